"""Packages that not everybody needs: each comes with an extra, and is imported where it is used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from backstay.core.errors import BackstayError


def need(name: str, extra: str = "train") -> Any:
    """The module, imported now; `BackstayError` says how to install it.

    >>> need("json").dumps(1)
    '1'
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise missing(error, extra) from error


def missing(error: ImportError, extra: str = "train") -> BackstayError:
    """The error about a package that is not there, or that cannot be imported."""
    what = "training" if extra == "train" else "this"
    return BackstayError(
        f"{what} needs a package that cannot be imported: {error}", fix=f"pip install 'backstay[{extra}]'"
    )
