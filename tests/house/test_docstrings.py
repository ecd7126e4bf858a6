"""Every public module opens with a docstring that says what it is for."""

from __future__ import annotations

import ast

from tests.house.trees import parsed


def test_every_public_module_has_a_docstring() -> None:
    public = {file: tree for file, tree in parsed() if not _private(file)}
    assert public
    assert not [file for file, tree in public.items() if not (ast.get_docstring(tree) or "").strip()]


def _private(file: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in file.split("/"))
