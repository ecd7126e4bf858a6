"""What bench/ takes from the package is there: it is imported when a case runs, which may be months after a rename."""

from __future__ import annotations

import ast
from importlib import import_module

from tests.house.trees import ROOT


def test_every_name_that_bench_imports_is_there() -> None:
    taken = {
        (node.module, one.name)
        for path in (ROOT / "bench").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "backstay"
        for one in node.names
    }
    assert len(taken) > 50
    gone = sorted(f"{module}.{name}" for module, name in taken if module and not _there(module, name))
    assert gone == []


def _there(module: str, name: str) -> bool:
    if hasattr(import_module(module), name):
        return True
    try:
        import_module(f"{module}.{name}")
    except ModuleNotFoundError:
        return False
    return True
