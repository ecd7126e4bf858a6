"""What all versions answered: read as far back as the newest versions served, and thinned as it is read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from backstay.core.times import DAY
from backstay.lifecycle.why import versions
from tests.lifecycle.signalled import START, made


def _records(model: Any, count: int, each: int) -> tuple[Any, list[Any]]:
    """Records of versions that were champion for ten days each; and the spans that predictions are asked for."""
    known = [
        SimpleNamespace(
            number=number, digest=f"d{number}",
            manifest=SimpleNamespace(
                cutoff=START + number * 10 * DAY, feature_set=SimpleNamespace(hash=model.features.hash)
            ),
        )
        for number in range(1, count + 1)
    ]  # fmt: skip
    asked: list[Any] = []

    def scan(*, model: str, since: int | None, until: int) -> Any:
        asked.append((since, until))
        for one in known:
            for place in range(each):
                at = one.manifest.cutoff + place
                if (since is None or at >= since) and at < until:
                    yield SimpleNamespace(version=one.digest, at=at, route="champion", error="", feature_set=hashed)

    hashed = model.features.hash
    registry = SimpleNamespace(
        versions=lambda name: known,
        history=lambda name, alias: [SimpleNamespace(to=one.number, at=one.manifest.cutoff) for one in known],
    )
    records = SimpleNamespace(
        registry=registry, predictions=SimpleNamespace(scan=scan), ledger=SimpleNamespace(entries=lambda **_: [])
    )
    return records, asked


def test_nothing_from_before_the_newest_versions_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "ROWS", 8)
    model = made()
    records, asked = _records(model, 15, 100)
    until = START + 140 * DAY
    groups = versions._answers(records, model, until)  # the last two do not serve yet
    assert asked == [(START + 20 * DAY, until)]
    assert sorted(groups) == list(range(2, 14))
    assert all(8 <= len(found) <= 16 for found in groups.values())
    assert [one.at % DAY for one in groups[2]] == list(range(0, 100, 8))


def test_of_few_versions_everything_is_read() -> None:
    model = made()
    records, asked = _records(model, 3, 5)
    groups = versions._answers(records, model, START + 100 * DAY)
    assert asked == [(None, START + 100 * DAY)]
    assert [len(found) for found in groups.values()] == [5, 5, 5]
