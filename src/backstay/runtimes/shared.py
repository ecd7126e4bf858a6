"""Shared libraries of packages, loaded without the package.

`import lightgbm` and `import xgboost` take seconds, nearly all of it scikit-learn, of which scoring needs nothing; the
library in C that does the work is there in milliseconds.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from backstay.core.packages import missing

_ENDING = ".dylib" if sys.platform == "darwin" else ".so"


@cache
def shared_library(package: str, name: str, extra: str) -> ctypes.CDLL:
    """The library of an installed package, a file in its folder or in `lib` below it."""
    spec = find_spec(package)
    file = name + _ENDING
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for place in ("lib", ""):
            path = Path(folder) / place / file
            if path.is_file():
                return ctypes.CDLL(str(path))
    raise missing(ImportError(f"{package} is not installed" if spec is None else f"{package} has no {file}"), extra)
