"""What the rules look at: the source tree as files and as syntax."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "backstay"

_GENERATED = {
    ".git",
    ".venv",
    ".venv-bench",
    ".venv-bench-registry",
    ".venv-bench-evaluation",
    ".venv-bench-monitoring",
    ".venv-bench-serving",
    ".venv-clients",
    ".data",
    "demo",
    "dist",
    "build",
    ".backstay",
    "__pycache__",
}


def modules() -> list[Path]:
    """Every Python file of the package."""
    return sorted(SOURCE.rglob("*.py"))


@cache
def parsed() -> list[tuple[str, ast.Module]]:
    """Every module of the package, by its path as a message would name it; read once, since several rules ask."""
    return [(shown(path), ast.parse(path.read_text(encoding="utf-8"))) for path in modules()]


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def written() -> list[Path]:
    """Every file that people or tools wrote for keeping: not what is made anew."""
    return sorted(_files(ROOT))


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in _GENERATED or path.name.endswith(("_cache", ".egg-info")) or path.name == ".hypothesis":
            continue
        if path.is_dir():
            yield from _files(path)
        elif path.is_file():
            yield path
