"""A shadow beside what was answered, by a real server: requests, pairs, labels, slices, and what is left out."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from backstay.core.clock import ReplayClock
from backstay.core.errors import NotFoundError
from backstay.core.times import instant, instant_text
from backstay.definitions import Shadow
from backstay.lifecycle.shadow import shadow_comparison, shadowed
from backstay.project import Project
from backstay.rollout.shadow import ShadowComparison
from backstay.storage.predictions import Prediction
from tests.serving import shop
from tests.serving.shop import Server, command, environment, request
from tests.serving.test_routes import _when

ORDERS = range(2_010, 2_330)
"""Orders of the last ten days: neither version has learned from them."""
LATER = "2024-03-02"
SLICES = """    slices=[Slice("large", where=pl.col("size") > 700), Slice("gifts", where=pl.col("gift"))],
    rollout=Rollout(shadow=Shadow(rows=300, quality="not_worse", margin=0.2)),
"""


def _asked(path: Path) -> list[dict[str, Any]]:
    """A request for each order, an hour before it is paid."""
    project = Project(path)
    rows = {row["order"]: row for row in project.definitions.sources["orders"].read().to_dicts()}  # type: ignore[misc]
    project.close()
    out = []
    for number in ORDERS:
        row = rows[f"o{number}"]
        at = instant(row["paid"].isoformat()) - 3_600_000_000
        fields = {name: row[name] for name in ("size", "items", "gift", "channel", "note")}
        due = row["due"].isoformat()
        out.append(
            request(
                order=row["order"], shop=row["shop"], counter=row["counter"], due=due, at=instant_text(at), **fields
            )
        )
    return sorted(out, key=lambda one: one["at"])


def _shadowed(path: Path) -> Path:
    """A project whose server answered them all, with version 2 as a shadow."""
    models = path / "models.py"
    text = models.read_text().replace("import Request,", "import Rollout, Shadow, Slice, Request,", 1)
    models.write_text(text.replace('    "late",\n', f'    "late",\n{SLICES}', 1))
    project = Project(path, actor="ana")
    asked = _asked(path)
    with Server(path, "--replay") as server:
        project.routes.set({}, "late", shadow=["v2"], why="look at it")
        _when(server, "champion", "shadow")
        for begin in range(0, len(asked), 16):
            for one in asked[begin : begin + 16]:
                status, told = server.predict(one)
                assert status == 200, told
    project.close()
    return path


@pytest.fixture(scope="module")
def served(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _shadowed(shop.copied(base, tmp_path_factory.mktemp("shadowed")))


def _opened(path: Path) -> Project:
    return Project(path, clock=ReplayClock(instant(LATER)), actor="bob")


def test_what_a_shadow_said_is_compared_with_what_was_answered(served: Path) -> None:
    project = _opened(served)
    logged = shop.logged(served)
    answered = {one.id: one for one in logged if one.route == "champion"}
    said = [one for one in logged if one.route == "shadow"]
    assert {one.of for one in said} == answered.keys()
    found = project.evaluations.shadow(2, "late")
    assert (found.rows, found.asked.against, found.left_out) == (len(ORDERS), 1, {})
    assert found.scores is not None
    apart = [one.score - answered[one.of].score for one in said]
    assert found.scores.difference.estimate == pytest.approx(np.mean(apart))  # type: ignore[union-attr]
    flips = [one.decision != answered[one.of].decision for one in said]
    assert found.flips.flipped == sum(flips)
    large = [one for one in said if one.fields["size"] > 700]
    assert {one.name: one.rows for one in found.slices}["large"] == len(large)
    gifts = [one for one in said if one.fields["gift"]]
    assert {one.name: one.rows for one in found.slices}["gifts"] == len(gifts) > 0
    # All labels are mature by then; a replay is not timed.
    assert (found.labelled, found.labels, found.latency) == (len(ORDERS), {}, None)
    assert found.quality.metric == "auc"
    assert 0.5 < (found.quality.candidate or 0) < 1
    assert found.as_dict()["quality"]["gain"]["clusters"] >= 7
    assert found.check(Shadow(rows=300)).verdict == "PASS"
    assert found.check(Shadow(rows=300, quality="not_worse", margin=0.2)).verdict == "PASS"
    assert found.check(Shadow(rows=400)).verdict == "INSUFFICIENT"
    project.close()


def test_labels_that_are_not_mature_are_not_looked_at(served: Path) -> None:
    project = _opened(served)
    half = project.evaluations.shadow(2, "late", as_of="2024-02-25")
    later = [one for one in shop.logged(served) if one.route == "shadow"]
    mature = sum(one.at + project.model("late").label.maturity <= instant("2024-02-25") for one in later)
    assert 0 < half.labelled <= mature < half.rows
    assert half.labels["not mature"] == half.rows - mature
    day = project.evaluations.shadow(2, "late", since="2024-02-22", until="2024-02-23")
    expected = [one for one in later if instant("2024-02-22") <= one.at < instant("2024-02-23")]
    assert day.rows == len(expected) > 0
    nobody = project.evaluations.shadow(1, "late")
    assert (nobody.rows, nobody.asked.against) == (0, None)
    assert nobody.check(Shadow(rows=1)).verdict == "INSUFFICIENT"
    with pytest.raises(NotFoundError):
        project.evaluations.shadow(9, "late")
    registry = project.records.registry
    assert [shadowed(project.records, registry.get("late", number)) for number in (1, 2)] == [False, True]
    project.close()


def _pairs(path: Path) -> list[tuple[Prediction, Prediction]]:
    logged = shop.logged(path)
    answered = {one.id: one for one in logged if one.route == "champion"}
    return sorted(((answered[one.of], one) for one in logged if one.route == "shadow"), key=lambda pair: pair[0].at)


def _logged_anew(path: Path, records: list[Prediction]) -> Project:
    """The project with these predictions in the place of its own."""
    shutil.rmtree(path / ".backstay" / "predictions")
    project = _opened(path)
    project.services.predictions.append(records)
    return project


def _changed(path: Path, change: Any) -> ShadowComparison:
    """The comparison of a log whose shadows, and what they were shown, were changed."""
    new = [one for pair in change(_pairs(path)) for one in pair]
    project = _logged_anew(path, new)
    found = project.evaluations.shadow(2, "late")
    project.close()
    return found


def _told(pair: tuple[Prediction, Prediction], number: int, one: dict[str, Any], two: dict[str, Any]) -> list[Any]:
    ids = f"a{number}", f"s{number}"
    answered = msgspec.structs.replace(pair[0], **{"id": ids[0], **one})
    return [answered, msgspec.structs.replace(pair[1], **{"id": ids[1], "of": ids[0], **two})]


@pytest.mark.parametrize(
    ("one", "two", "why"),
    [
        ({}, {"of": "nobody"}, "not paired: what was answered is not in the log"),
        ({}, {"of": ""}, "not paired: what was answered is not in the log"),
        ({"route": "fallback", "error": "no"}, {}, "answered for a share that failed"),
        ({"version": "itself"}, {}, "answered by itself"),
        ({"route": "v9", "version": "v9"}, {}, "answered by another version than the champion"),
        ({"rule": "t9"}, {}, "under another calibration or threshold"),
        ({}, {"rule": "t9"}, "under another calibration or threshold"),
        ({"score": math.nan}, {}, "answered without a score"),
        ({}, {"of": "a0"}, "said twice"),
    ],
)  # fmt: skip
def test_what_is_no_pair_is_left_out_and_counted(
    served: Path, tmp_path: Path, one: dict[str, Any], two: dict[str, Any], why: str
) -> None:
    path = shop.copied(served, tmp_path)

    def change(pairs: list[tuple[Prediction, Prediction]]) -> list[Any]:
        changed = one | ({"version": pairs[0][1].version} if one.get("version") == "itself" else {})
        odd = [_told(pair, n, changed, two) for n, pair in enumerate(pairs[1:11], 1)]
        rest = [_told(pair, n, {}, {}) for n, pair in enumerate(pairs) if not 1 <= n < 11]
        return rest[:1] + odd + rest[1:]

    found = _changed(path, change)
    assert (found.rows, found.left_out) == (len(ORDERS) - 10, {why: 10})


def test_rows_without_a_score_count_against_it(served: Path, tmp_path: Path) -> None:
    path = shop.copied(served, tmp_path)
    bad = {"score": math.nan, "decision": False, "error": "ValueError: no"}

    def change(pairs: list[tuple[Prediction, Prediction]]) -> list[Any]:
        return [_told(pair, n, {}, bad if n < 40 else {}) for n, pair in enumerate(pairs)]

    found = _changed(path, change)
    assert (found.rows, found.failures.failed) == (len(ORDERS) - 40, 40)
    assert found.failures.reasons == {"ValueError: no": 40}
    assert found.check(Shadow(rows=100)).verdict == "FAIL"
    project = _opened(path)
    report = project.verify("late")
    assert (report.holds, report.unscored) == (True, 40)
    assert sum(one.served for one in project.quality("late", as_of=LATER)) == len(ORDERS)
    project.compact()
    assert sum(math.isnan(one.score) for one in project.services.predictions.scan()) == 40
    broken = next(one for one in project.services.predictions.scan() if one.error)
    told = project.trace(broken.id).prediction
    assert (told["error"], told["of"]) == ("ValueError: no", broken.of)
    project.close()


def test_a_champion_that_changes_begins_anew(served: Path, tmp_path: Path) -> None:
    path = shop.copied(served, tmp_path)

    def change(pairs: list[tuple[Prediction, Prediction]]) -> list[Any]:
        first = [_told(pair, n, {}, {"served_at": n}) for n, pair in enumerate(pairs)]
        return [_old(one) if n < 200 else one for n, one in enumerate(first)]

    def _old(pair: list[Any]) -> list[Any]:
        return [msgspec.structs.replace(pair[0], rule="t7"), pair[1]]

    found = _changed(path, change)
    assert (found.rows, found.left_out) == (len(ORDERS) - 200, {"under another calibration or threshold": 200})


def test_fifty_thousand_pairs_take_seconds(served: Path, tmp_path: Path) -> None:
    path = shop.copied(served, tmp_path)
    pairs = _pairs(path)
    many = [one for n in range(50_000) for one in _told(pairs[n % len(pairs)], n, {"took": 90}, {"took": 200})]
    project = _logged_anew(path, many)
    begin = time.process_time()
    found = shadow_comparison(project.records, project.model("late"), 2)
    took = time.process_time() - begin
    assert found.rows == 50_000
    assert found.latency is not None
    assert took < 8, took
    project.close()


def test_a_shadow_is_timed_outside_of_replays_and_shown_by_the_command(base: Path, tmp_path: Path) -> None:
    path = shop.copied(base, tmp_path)
    project = Project(path, actor="ana")
    width = len(project.model("late").features.vector)
    tensor = {"name": "features", "shape": [40, width], "datatype": "FP32", "data": [1.0] * 40 * width}
    with Server(path) as server:
        project.routes.set({}, "late", shadow=["v2"], why="look at it")
        _when(server, "champion", "shadow")
        for _ in range(5):
            assert server.infer({"inputs": [tensor]})[0] == 200
    said = [one for one in project.services.predictions.scan() if one.route == "shadow"]
    assert len(said) == 200
    assert all(one.took > 0 for one in said)
    found = project.evaluations.shadow(2, "late")
    assert (found.rows, found.labelled, found.labels) == (200, 0, {"without the label's key": 200})
    project.close()
    page = tmp_path / "shadow.html"
    words = command(path, "2", "--model", "late", "--html", str(page))
    words[words.index("serve") : words.index("serve") + 1] = ["shadow"]
    words = [one for one in words if one not in ("--port", "0")]
    told = subprocess.run(words, capture_output=True, text=True, check=True, env=environment())
    assert json.loads(told.stdout)["rows"] == 200
    assert page.read_text().startswith("<!doctype html>")


def test_the_evidence_has_what_the_shadow_said(served: Path, tmp_path: Path) -> None:
    path = shop.copied(served, tmp_path)
    project = _opened(path)
    project.judge(2, "late", as_of=LATER)
    found = project.papers.bundle(2, "late")
    assert (found.told["shadow"]["rows"], found.told["shadow"]["version"]) == (len(ORDERS), 2)
    assert found.told["shadow"]["check"]["verdict"] == "PASS"
    page = found.page()
    assert page.startswith("<!doctype html>")
    assert "http" not in page.replace("http-equiv", "")
    for words in ("As a shadow, beside what was answered", "backstay approve 2 --model late", "Decisions that would be",
                  found.digest, "What its gate answered"):  # fmt: skip
        assert words in page
    assert project.papers.bundle(2, "late").digest == found.digest
    approval = project.decide(2, "reject", "late", why="a test")
    kept = project.papers.bundle(2, "late", kept=True)
    assert (kept.digest, kept.told["shadow"]["rows"]) == (approval.bundle, len(ORDERS))
    with pytest.raises(NotFoundError, match="nothing was decided about version 1"):
        project.papers.bundle(1, "late", kept=True)
    project.close()
    (tmp_path / "evidence.html").write_text(page)
