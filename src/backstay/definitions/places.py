"""Where in the user's own files something was declared, so that an error can say so."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_PACKAGE = str(Path(__file__).resolve().parents[1]) + os.sep


def declared_at() -> str:
    """File and line of the nearest caller outside this package ("features.py:22"), or "" if there is none.

    The path is relative where it lies below the current directory.
    """
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        if frame.f_back is None:
            return ""
        frame = frame.f_back
    name = frame.f_code.co_filename
    if name.startswith("<"):
        return ""
    below = os.path.relpath(name)
    return f"{name if below.startswith('..') else below}:{frame.f_lineno}"


def located(what: str, place: str) -> str:
    """The name of a definition with its place, as errors give it.

    >>> located("source 'landings'", "features.py:22"), located("source 'landings'", "")
    ("source 'landings' (features.py:22)", "source 'landings'")
    """
    return f"{what} ({place})" if place else what
