"""The training libraries, which come with the extra `train`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from backstay.core.errors import BackstayError


def need(name: str) -> Any:
    """The module, imported now; `BackstayError` says how to install it.

    >>> need("json").dumps(1)
    '1'
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise missing(error) from error


def missing(error: ImportError) -> BackstayError:
    return BackstayError(
        f"training needs a package that cannot be imported: {error}", fix="pip install 'backstay[train]'"
    )
