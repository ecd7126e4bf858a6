"""Tuning: each trial is a run, a killed search goes on, and what it found is trained and reproduced."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from backstay.core.errors import ConflictError, DefinitionError, InputError
from backstay.definitions import Choice, FloatRange, IntRange, Tuning
from backstay.lifecycle.reproduce import Outcome
from backstay.lifecycle.tuning import Tuned
from backstay.project import Project
from backstay.storage.runs import RunRecord
from tests.serving import shop
from tests.warm import Warm

SPACE = 'tuning=Tuning({"num_leaves": IntRange(3, 31, log=True), "reg_lambda": FloatRange(0.0, 10.0)}, folds=2),'
KILLED = """
import sys
from backstay.core.clock import ReplayClock
from backstay.core.times import instant
from backstay.project import Project
path, moment = sys.argv[1:]
project = Project(path, clock=ReplayClock(instant(moment)), actor="ann")
print("begun", flush=True)
project.tune("late", as_of=moment, trials=200)
"""


@pytest.fixture
def tuned(path: Path) -> Path:
    models = path / "models.py"
    text = models.read_text().replace("import Ask, Count,", "import Ask, Count, FloatRange, IntRange, Tuning,", 1)
    models.write_text(text.replace('    "late",\n', f'    "late",\n    {SPACE}\n', 1))
    return path


def trials(project: Project, wanted: Callable[[str], bool] = lambda _: True) -> list[RunRecord]:
    return [one for one in project.runs.search() if "study" in one.tags and wanted(one.tags["trial"])]


def search(path: Path, trials: int, **more: int) -> Tuned:
    project = Project(path, actor="ann")
    try:
        return project.tune("late", as_of=shop.SECOND, trials=trials, **more)
    finally:
        project.close()


def test_each_trial_is_a_run(tuned: Path) -> None:
    steps: list[tuple[int, int]] = []
    project = Project(tuned, actor="ann")
    found = project.tune("late", as_of=shop.SECOND, trials=8, progress=lambda _, *step: steps.append(step))  # type: ignore[arg-type]
    assert (found.trials, found.fresh, found.metric) == (8, 8, "auc")
    assert set(found.best) == {"num_leaves", "reg_lambda"}
    runs = trials(project, lambda trial: trial != "default")
    assert len(runs) == 8
    assert all(one.status == "finished" and one.seconds is not None for one in runs)
    assert all({"cpu_seconds", "peak_memory_mb", "auc"} <= set(one.metrics) for one in runs)
    best = project.runs.get(found.run)
    assert best.metrics["mean.auc"] == found.value
    assert found.value == max(one.metrics.get("mean.auc", 0) for one in runs)
    assert project.runs.metrics(found.run).filter(name="auc").height == 2
    assert 0.5 < found.default < 1
    assert steps[0] == (0, 8)
    assert steps[-1] == (8, 8)


def test_again_is_no_more_and_further_is_the_same_search(tuned: Path) -> None:
    first = search(tuned, 4)
    again = search(tuned, 4)
    assert (again.fresh, again.run, again.default) == (0, first.run, first.default)
    further = search(tuned, 6)
    assert (further.trials, further.fresh) == (6, 2)
    other = search(tuned, 1, seed=5)
    assert (other.trials, other.fresh) == (1, 1)


def test_a_search_that_was_killed_goes_on_and_begins_as_an_undisturbed_one(tuned: Path, tmp_path: Path) -> None:
    twin = shop.copied(tuned, tmp_path / "twin")
    undisturbed = search(twin, 6)
    for _ in range(2):
        process = Warm(KILLED, tuned, shop.SECOND)
        assert process.stdout.readline() == "begun\n"
        project = Project(tuned)
        already = len(trials(project))
        while len(trials(project)) < already + 3:
            assert process.poll() is None
            time.sleep(0.02)  # without a rest, looking takes the core that the search needs
        process.close()
        project.close()
    found = search(tuned, max(6, len(trials(Project(tuned))) + 1))
    assert found.trials >= 6
    project, other = Project(tuned), Project(twin)
    tried = [one.parameters for one in trials(project, lambda trial: trial == "0")]
    assert {key: value for key, value in tried[0].items() if key.startswith("tuned.")} == {
        key: value
        for key, value in trials(other, lambda trial: trial == "0")[0].parameters.items()
        if key.startswith("tuned.")
    }
    assert {one.status for one in trials(project)} <= {"finished", "killed"}
    assert undisturbed.trials == 6


def test_only_one_searches_at_a_time(tuned: Path) -> None:
    process = Warm(KILLED, tuned, shop.SECOND)
    assert process.stdout.readline() == "begun\n"
    project = Project(tuned)
    while not trials(project, lambda trial: trial == "0"):
        assert process.poll() is None
        time.sleep(0.02)
    with pytest.raises(ConflictError, match="another process is tuning"):
        search(tuned, 3)
    process.close()
    assert search(tuned, 1).trials >= 1


def test_what_was_found_is_trained_and_made_again(tuned: Path) -> None:
    found = search(tuned, 3)
    project = Project(tuned, actor="ann")
    version = project.train("late", as_of=shop.SECOND, like=found.run[:8])
    assert version.manifest.tuned == found.best
    assert version.manifest.parameters["num_leaves"] == found.best["num_leaves"]
    assert project.reproduce(version.number, "late").outcome is Outcome.EXACT
    training = project.runs.search("version is not null")[0]
    with pytest.raises(InputError, match="is no trial of model 'late'"):
        project.train("late", as_of=shop.SECOND, like=training.id)


def test_a_model_that_says_nothing_about_tuning(path: Path) -> None:
    with pytest.raises(InputError, match=r"says nothing about tuning.*Tuning\(\{"):
        search(path, 1)


def test_a_parameter_that_the_estimator_does_not_have(tuned: Path) -> None:
    models = tuned / "models.py"
    models.write_text(models.read_text().replace('"reg_lambda"', '"lamda"'))
    with pytest.raises(DefinitionError, match="LGBMClassifier has no parameter 'lamda'"):
        search(tuned, 1)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: Tuning({}), "nothing to tune"),
        (lambda: Tuning({"a": IntRange(3, 3)}), "from 3 to 3"),
        (lambda: Tuning({"a": FloatRange(0, 1, log=True)}), "above 0 with log"),
        (lambda: Tuning({"a": Choice("x")}), "nothing to choose from"),
        (lambda: Tuning({"a": Choice("x", object())}), "no plain value"),
        (lambda: Tuning({"a": (1, 2)}), "IntRange, FloatRange or Choice"),  # type: ignore[dict-item]
        (lambda: Tuning({"a": IntRange(1, 2)}, folds=0), "folds=0"),
        (lambda: Tuning({"a": IntRange(1, 2)}, embargo="soon"), "Tuning.embargo"),
    ],
)
def test_mistakes_in_a_definition(made, said: str) -> None:
    with pytest.raises((DefinitionError, InputError), match=said):
        made()
