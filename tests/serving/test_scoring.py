"""A model that raises, or says no number, or too many: only the request that it fails on fails, and is told why."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.core.clock import ReplayClock, SystemClock
from backstay.core.errors import BackstayError
from backstay.core.times import instant
from backstay.definitions import FeatureSet, Request
from backstay.evaluation.calibration.calibrator import Calibrator
from backstay.evaluation.calibration.rule import Rule
from backstay.project import Project
from backstay.registry.routing import Part, Routing
from backstay.registry.versions import Registry
from backstay.serving.admission import Limiter
from backstay.serving.cache import Cache
from backstay.serving.core import Core
from backstay.serving.cuts import Cuts
from backstay.serving.job import Asking
from backstay.serving.metrics import Metrics
from backstay.serving.refusal import Unscored
from backstay.serving.routes import Choice, Cost, Snapshot
from backstay.serving.scoring import apart, row_by_row, scored, sound
from backstay.serving.shadows import Shadows, Shown
from backstay.serving.v2.messages import SERVICE, message
from backstay.storage.backends.memory import MemoryArtifacts, MemoryLedger, MemoryPredictions
from tests.predicted import prediction
from tests.serving import shop
from tests.serving.shop import Server
from tests.shared import once

RAISES, NONE, INFINITE, COUNT = 666.0, 777.0, 888.0, 555.0


class Odd:
    """Says a tenth of a row's number, but for four numbers."""

    def __init__(self, add: float = 0.0) -> None:
        self.calls, self.add = 0, add

    def score(self, matrix: Any) -> Any:
        self.calls += 1
        of = matrix[:, 0].astype(np.float64)
        if (of == RAISES).any():
            raise ValueError("the devil\nis in it")
        out = np.where(of == NONE, np.nan, np.where(of == INFINITE, -np.inf, of / 10 + self.add))
        return out if not (of == COUNT).any() else np.append(out, out) if len(out) == 1 else out[:-1]


WHYS = {
    RAISES: "ValueError: the devil is in it", NONE: "the score is NaN", INFINITE: "the score is infinite",
    COUNT: "the model gave scores of shape (2,) for 1 rows",
}  # fmt: skip


@given(st.lists(st.lists(st.sampled_from([1.0, 2.0, RAISES, COUNT]), max_size=4), max_size=40))
def test_groups_that_fail_are_those_that_fail_alone_and_their_first_row_is_told(groups: list[list[float]]) -> None:
    model, flat = Odd(), [one for group in groups for one in group]
    bounds = [0]
    for group in groups:
        bounds.append(bounds[-1] + len(group))
    matrix = np.array(flat, np.float32).reshape(-1, 1)
    try:
        scored(model, matrix)
    except (ValueError, BackstayError) as error:
        found, errors = apart(lambda part: scored(model, part), matrix, bounds, error)
    else:
        return
    firsts = {}
    for begin, group in zip(bounds, groups, strict=False):
        bad = [place for place, one in enumerate(group) if one in WHYS]
        firsts |= {begin + place: group[place] for place in bad[:1]}
        wanted = [math.nan] * len(group) if bad else [np.float32(one) / 10 for one in group]
        np.testing.assert_allclose(found[begin : begin + len(group)], wanted)
    assert errors.keys() == firsts.keys()
    assert all(isinstance(errors[one], ValueError if what == RAISES else BackstayError) for one, what in firsts.items())


def test_what_it_costs_is_bounded() -> None:
    for bad, most in ((1, 16), (64, 90)):
        model = Odd()
        matrix = np.array([RAISES] * bad + [1.0] * (64 - bad), np.float32)[:, None]
        apart(lambda part, model=model: scored(model, part), matrix, range(65), ValueError())
        assert model.calls <= most


def test_rows_have_a_score_or_a_reason() -> None:
    found, whys = row_by_row(Odd(), np.array([[1.0], [RAISES], [2.0], [NONE], [INFINITE], [COUNT]], np.float32))
    assert np.isfinite(found).tolist() == [True, False, True, False, False, False]
    assert whys == {1: WHYS[RAISES], 3: WHYS[NONE], 4: WHYS[INFINITE], 5: WHYS[COUNT]}
    assert [sound(np.array(one)) for one in ([], [1.0, -2.0], [np.nan], [1.0, np.inf], [np.inf, -np.inf])] == [
        True, True, False, False, False,
    ]  # fmt: skip


def served(number: int, scorer: Any, rule: Rule | None = None) -> Any:
    features = FeatureSet("f", [Request(size="float")])
    return SimpleNamespace(
        model=SimpleNamespace(name="m", features=features), scorer=scorer, rule=rule or Rule(5.0),
        version=SimpleNamespace(digest=f"d{number}", number=number), cost=Cost(1e-5, 1e-6),
    )  # fmt: skip


class World:
    """A core with a champion (version 1) and a share (version 2)."""

    def __init__(self, champion: Any = None, share: Any = None, cache: bool = False, rule: Rule | None = None) -> None:
        ledger = MemoryLedger()
        routing = Routing(ledger, Registry(ledger, MemoryArtifacts()))
        entry = routing.set("m", [Part("v2", 2, "d2", 1_000)], key=("order",), why="try it", at=1, actor="ana")
        two = served(2, share or Odd(100.0), rule)
        self.snapshot = Snapshot(served(1, champion or Odd(), rule), entry, {"d2": two})
        self.cuts, self.log = Cuts(routing, SystemClock()), MemoryPredictions()
        self.core = Core(
            self.log, SystemClock(), Metrics(), replay=False, cuts=self.cuts, cache=Cache(100_000) if cache else None
        )

    def job(self, values: list[float], choices: list[Choice] | None = None) -> Asking:
        job = Asking(
            len(values), choice=self.snapshot.choices[0], vector=np.array(values, np.float32)[:, None], at=1,
            snapshot=self.snapshot,
        )  # fmt: skip
        job.assign(choices or self.snapshot.choices[0])
        return job

    def ask(self, *jobs: Asking) -> list[Any]:
        self.core.predict(jobs)
        return [job.error.what if isinstance(job.error, Unscored) else job.answer.scores for job in jobs]  # type: ignore[union-attr]


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("bad", WHYS)
def test_one_bad_request_fails_no_other_and_is_logged_with_why(bad: float, cache: bool) -> None:
    world = World(cache=cache)
    for _ in range(2):  # the second time, from the cache where there is one
        told = world.ask(world.job([10.0]), world.job([bad]), world.job([30.0, 40.0]))
        assert told == [[1.0], f"version 1 of model 'm' has no score for what was asked: {WHYS[bad]}", [3.0, 4.0]]
    logged = list(world.log.scan())
    assert Counter(len(one.values) for one in logged) == {1: 8}, "each is written down once"
    assert [one.values for one in logged if one.failed] == [[bad]] * 2
    assert {(one.error, one.decision, one.route) for one in logged if one.failed} == {(WHYS[bad], False, "champion")}
    assert all(one.answered and not one.error for one in logged if not one.failed)
    assert world.core.unscored == 2
    asked_apart = bad in (RAISES, COUNT)  # what that takes is not what a version takes for a batch
    assert all((one.took == 0) == asked_apart for one in list(world.log.scan())[:4])


def test_all_may_fail() -> None:
    world = World()
    told = world.ask(*[world.job([RAISES]) for _ in range(20)])
    assert len(told) == 20
    assert all(isinstance(one, str) for one in told)
    assert [one.failed for one in world.log.scan()] == [True] * 20


@pytest.mark.parametrize("bad", [RAISES, NONE, COUNT])
def test_many_rows_are_all_or_nothing_though_several_versions_answer_them(bad: float) -> None:
    world = World(share=Odd(100.0))
    champion, share = world.snapshot.choices[0], world.snapshot.choices[1]
    jobs = [world.job([10.0, bad, 20.0, 30.0], [share, champion, champion, share]), world.job([40.0])]
    told = world.ask(*jobs)
    assert told[0].startswith("version 1 of model 'm' has no score for row 1: ")
    assert told[1] == [4.0]
    assert {(one.values[0], one.failed) for one in world.log.scan()} == {(bad, True), (40.0, False)}


@pytest.mark.parametrize("bad", [NONE, COUNT, RAISES])
def test_a_share_falls_back_whatever_it_does_and_where_the_champion_fails_too_it_is_told(bad: float) -> None:
    class Sound:
        def score(self, matrix: Any) -> Any:
            return np.full(len(matrix), 0.5)

    for champion, answers in ((Sound(), True), (Odd(), False)):
        world = World(champion=champion)
        share = world.snapshot.choices[1]
        told = world.ask(world.job([bad], [share]))
        [one] = world.log.scan()
        assert one.route == "fallback"
        assert one.failed != answers
        assert (told == [[0.5]]) == answers
        assert answers or f"; the champion: {WHYS[bad]}" in one.error
        assert world.cuts.failed == 1
        world.cuts.close()


def test_a_calibrator_is_asked_about_no_row_without_a_score() -> None:
    world = World(rule=Rule(0.5, Calibrator("isotonic", points=((0.0, 0.0), (10.0, 1.0)))))
    told = world.ask(world.job([10.0]), world.job([INFINITE]))
    assert told[0] == [0.1]
    assert "the score is infinite" in told[1]


def test_too_few_scores_of_a_shadow_are_logged_as_none_and_lose_no_row() -> None:
    log = MemoryPredictions()
    choice = Choice(served(9, Odd()), "shadow", 1.0)
    shadows = Shadows(log, SystemClock(), Limiter(1, 1_000))
    shadows.offer([Shown(choice, np.array([one], np.float32), prediction(int(one))) for one in (1.0, COUNT, 2.0)])
    shadows.close()
    assert [one.error for one in log.scan()] == ["the model gave scores of shape (2,) for 3 rows"] * 3
    assert (shadows.logged, shadows.failed) == (0, 3)


MODELS = (
    shop.MODELS[: shop.MODELS.index("features = FeatureSet(")]
    + """features = FeatureSet("order", [Request(size="float", items="int", optional=["size"])])


def estimator():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression())


"""
    + shop.MODELS[shop.MODELS.index("late = Model(") : shop.MODELS.index("unborn = ")]
)
CODE = MODELS.replace("estimator=estimator,", 'estimator=estimator, runtime="sklearn-pickle", trust_code=True,')


def _born(folder: Path) -> None:
    """Version 1 says NaN where the size is null, and version 2 raises an error."""
    path = folder / "shop"
    path.mkdir()
    (path / "backstay.toml").write_text(f"{shop.TOML}grpc = true\ngrpc_port = 0\n")
    for number, text in enumerate((MODELS, CODE), 1):
        (path / "models.py").write_text(text)
        project = Project(path, clock=ReplayClock(instant(shop.SECOND)), actor="test")
        if number == 1:
            project.ingest()
        project.train("late", as_of=shop.FIRST, note=str(number))
        project.close()
    project = Project(path, clock=ReplayClock(instant(shop.SECOND)), actor="test")
    shop.move_champion(project, 1)
    project.close()


@pytest.fixture(scope="module")
def null(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once(tmp_path_factory, "null", _born) / "shop"


def asked(items: int, size: float | None) -> dict[str, Any]:
    return {"keys": {"order": f"o{items}"}, "fields": {"size": size, "items": items}}


def _grpc(server: Server) -> tuple[str, str]:
    request = message("ModelInferRequest")(model_name="late")
    one = request.inputs.add(name="features", datatype="FP32", shape=[1, 2])
    one.contents.fp32_contents.extend([math.nan, 3.0])
    with grpc.insecure_channel(server.told["grpc"]) as channel:
        call = channel.unary_unary(
            f"/{SERVICE}/ModelInfer", request_serializer=lambda one: one.SerializeToString(),
            response_deserializer=message("ModelInferResponse").FromString,
        )  # fmt: skip
        with pytest.raises(grpc.RpcError) as told:
            call(request, metadata=(("authorization", f"Bearer {server.token}"),), timeout=20)
    return told.value.code().name, told.value.details()


@pytest.mark.parametrize("number", [1, 2])
def test_every_way_says_the_same(null: Path, number: int, tmp_path: Path) -> None:
    path = shop.copied(null, tmp_path)
    project = Project(path, actor="test")
    if number == 2:
        shop.move_champion(project, 2)
    what = ("the score is NaN", "ValueError: Input X contains NaN")[number - 1]
    said = f"version {number} of model 'late' has no score for what was asked: {what}"
    with Server(path) as server:
        status, told = server.predict(asked(1, None))
        assert (status, told["error"].startswith(said)) == (422, True), told
        status, told = server.predict({"rows": [asked(2, 1.0), asked(3, None)]})
        assert (status, told["field"]) == (422, "rows[1]")
        tensor = {"name": "features", "shape": [1, 2], "datatype": "FP32", "data": [None, 3]}
        status, told = server.infer({"inputs": [tensor]})
        assert (status, told["field"], told["error"].startswith(said)) == (422, "inputs", True), told
        code, details = _grpc(server)
        assert (code, said in details) == ("FAILED_PRECONDITION", True), details
        assert server.predict(asked(4, 1.0))[0] == 200
        server.text("/metrics")
        assert "backstay_predictions_failed 4.0" in server.text("/metrics")
        responses = server.ask("GET", "/openapi.json")[1]["paths"]["/v1/models/late/predict"]["post"]["responses"]
        assert "422" in responses
    logged = shop.logged(path)
    assert Counter(one.failed for one in logged) == {True: 4, False: 1}
    assert all(one.error.startswith(what) and not one.decision for one in logged if one.failed)
    assert project.trace(next(one.id for one in logged if one.failed)).prediction["error"].startswith(what)
    report = project.verify("late")
    assert (report.holds, report.checked, report.unscored) == (True, 1, 4)
    assert sum(cohort.served for cohort in project.quality("late")) == 1
    pl.DataFrame({"order": ["a", "b"], "size": [None, 10.0], "items": [1, 2]}).write_parquet(tmp_path / "t.parquet")
    done = project.predict(tmp_path / "t.parquet", tmp_path / "out", "late")
    project.close()
    assert (done.scored, done.refused) == (1, 1)
    [reason] = done.errors
    assert reason.startswith(what)
    output = done.frame.collect()
    assert output["score"].is_null().to_list() == output["decision"].is_null().to_list() == [True, False]
