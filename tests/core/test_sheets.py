"""Sheets: what people wrote is text in them, in Markdown and on a page."""

from __future__ import annotations

from backstay.core.sheets import Code, Facts, Points, Rows, Section, Sheet

BAD = "<script>x</script> a|b [l](http://e) *b* `c` _i_ # h\nnext snake_case"


def test_markdown_is_text() -> None:
    text = Sheet("t", [Section("s", [BAD, Facts({BAD: BAD}), Rows(("a", ">n"), [(BAD, Code("a|`b"))])])]).markdown()
    assert "<script" not in text
    assert "[l](" not in text
    assert "snake_case" in text
    assert "\\_i\\_" in text
    (row,) = [line for line in text.splitlines() if line.startswith("| &lt;") and "``" in line]
    assert row.replace("\\|", "").count("|") == 3
    assert "| a | n |\n| --- | ---: |" in text


def test_a_page_is_text() -> None:
    blocks = [BAD, Facts({"x": None}), Points([BAD]), Rows(("a",), []), Facts({"y": Code(BAD)})]
    page = Sheet(BAD, [Section(BAD, blocks)]).page()
    assert "<script" not in page
    assert "not recorded" in page
    assert "none" in page
    assert "<code>&lt;script" in page
