"""Results print as aligned lines and as escaped HTML tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from backstay.core.show import Shown


@dataclass(frozen=True, slots=True)
class Inner(Shown):
    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Outer(Shown):
    title: str
    parts: tuple[Inner, ...]
    more: dict[str, Any] = field(default_factory=dict)


OUTER = Outer("<b>bold</b>", (Inner("a", 0.5), Inner("b", 1.5)), {"deep": {"x": 1}})


def test_records_within_records_are_plain_data() -> None:
    assert OUTER.as_dict()["parts"] == [{"name": "a", "value": 0.5}, {"name": "b", "value": 1.5}]


def test_a_terminal_gets_aligned_lines() -> None:
    assert str(OUTER).splitlines() == [
        "title  <b>bold</b>",
        "parts",
        "  - name a, value 0.5",
        "  - name b, value 1.5",
        "more",
        "  deep",
        "    x  1",
    ]


def test_a_notebook_gets_a_table_and_nobody_elses_markup() -> None:
    text = OUTER._repr_html_()
    assert "&lt;b&gt;bold" in text
    assert "<b>bold" not in text
    assert text.count("<table>") == 4
