"""Small pieces: files up to 400 lines, functions up to 50, classes up to 20 public methods, ports up to 7."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.house.trees import SOURCE, modules, parsed, shown

LINES, FUNCTION_LINES, METHODS, PORT_METHODS = 400, 50, 20, 7

Function = ast.FunctionDef | ast.AsyncFunctionDef


def test_no_file_is_too_long() -> None:
    lengths = {shown(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert not {name: length for name, length in lengths.items() if length > LINES}


def test_no_function_is_too_long() -> None:
    assert not {name: length for name, length in _functions() if length > FUNCTION_LINES}


def test_no_class_has_too_many_public_methods() -> None:
    counts = {f"{file} {node.name}": len(_public(node)) for file, node in _classes()}
    assert not {name: count for name, count in counts.items() if count > METHODS}


def test_ports_are_narrow() -> None:
    ports = {
        node.name: len(_methods(node)) for file, node in _classes() if file.endswith("/ports.py") and _protocol(node)
    }
    assert ports, f"no ports found under {shown(SOURCE)}"
    assert not {name: count for name, count in ports.items() if count > PORT_METHODS}


def _functions() -> Iterator[tuple[str, int]]:
    for file, tree in parsed():
        for node in ast.walk(tree):
            if isinstance(node, Function):
                assert node.end_lineno is not None
                yield f"{file}:{node.lineno} {node.name}", node.end_lineno - node.lineno + 1


def _classes() -> Iterator[tuple[str, ast.ClassDef]]:
    for file, tree in parsed():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                yield file, node


def _methods(node: ast.ClassDef) -> list[str]:
    return [part.name for part in node.body if isinstance(part, Function)]


def _public(node: ast.ClassDef) -> list[str]:
    return [name for name in _methods(node) if not name.startswith("_")]


def _protocol(node: ast.ClassDef) -> bool:
    return any(ast.unparse(base).split("[")[0].rpartition(".")[2] == "Protocol" for base in node.bases)
