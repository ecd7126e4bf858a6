"""The catalogue: schema, lineage, tags and users of every feature; and search finds what one means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from tests.project.library import MODELS, write

from backstay.core.clock import ReplayClock
from backstay.core.errors import DefinitionError, InputError, NotFoundError
from backstay.core.times import instant
from backstay.features.trainingset import training_set
from backstay.project import Project
from backstay.project.catalog import FeatureEntry, FeatureSetEntry

NOW = "2024-01-26T02:00:00Z"
"""Three hours after the last payment."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Ingested, and trained once."""
    one = Project(write(tmp_path_factory.mktemp("library") / "shop"), clock=ReplayClock(instant(NOW)), actor="ana")
    one.ingest()
    one.train("risk", as_of=NOW)
    yield one
    one.close()


def feature(project: Project, name: str) -> FeatureEntry:
    found = project.catalog.show(name)
    assert isinstance(found, FeatureEntry)
    return found


def test_feature_sets_with_owner_tags_users_and_freshness(project: Project) -> None:
    spending, browsing = project.catalog.feature_sets()
    assert (spending.name, spending.owner, spending.models) == ("spending", "risk", ["risk", "scoring"])
    assert (browsing.name, browsing.owner, browsing.models) == ("browsing", "growth", ["growth"])
    assert spending.tags == ["personal", "pii", "reviewed"]
    assert browsing.tags == ["web"]
    (source,) = spending.sources
    assert (source["source"], source["age"], source["last_event"]) == ("payments", "3h", "2024-01-25T23:00:00Z")
    assert source["owner"] == "billing"
    assert browsing.sources[0]["events"] == 0
    assert spending.untagged == {"age_band": {"pii": "ten bands of some hundred thousand people each"}}
    assert [one["name"] for one in browsing.features] == ["customer_visits_1d", "basket"]


def test_a_set_names_its_file_and_line_and_the_versions_trained_on_it(project: Project) -> None:
    one = project.catalog.show("spending")
    assert isinstance(one, FeatureSetEntry)
    lines = MODELS.splitlines()
    file, _, line = one.place.rpartition(":")
    assert (Path(file).name, lines[int(line) - 1]) == ("models.py", "spending = FeatureSet(")
    assert one.versions is not None
    (version,) = one.versions
    assert (version["model"], version["number"], version["champion"]) == ("risk", 1, False)
    assert version["tags"] == ["personal", "pii", "reviewed"]
    assert version["untagged"] == one.untagged
    move = project.records.registry.move_alias
    move("risk", "champion", 1, evidence={"reason": "test"}, at=project.clock.now(), actor="ana", expect=None)
    assert feature(project, "age_band").versions[0]["champion"] is True


def test_lineage_goes_down_to_source_columns(project: Project) -> None:
    ratio = feature(project, "basket_ratio")
    assert ratio.made_of == ["basket", "customer_amount_7d"]
    assert ratio.columns == [
        {"source": None, "column": "basket", "tags": []},
        {"source": "payments", "column": "customer", "tags": ["personal"]},
        {"source": "payments", "column": "amount", "tags": []},
    ]
    mixed = feature(project, "mixed")
    assert mixed.made_of == ["age_band", "basket_ratio"]
    assert {(one["source"], one["column"]) for one in mixed.columns} == {
        (None, "basket"), ("payments", "customer"), ("payments", "amount"), ("payments", "age"),
    }  # fmt: skip
    assert [one["source"] for one in mixed.sources] == ["payments"]
    assert feature(project, "customer_payments_1d").made_of == ["payments.customer"]


def test_the_schema_of_a_feature(project: Project) -> None:
    one = feature(project, "customer_amount_7d")
    assert (one.kind, one.type, one.window, one.max_age, one.default) == ("mean", "float", "7d", None, 50.0)
    assert (one.entity, one.source, one.in_vector, one.feature_set) == ("customer", "payments", True, "spending")
    assert feature(project, "customer_age").max_age == "30d"
    assert feature(project, "basket_ratio").description == "the basket against the usual payment"
    assert "customer_amount_7d" in str(feature(project, "basket_ratio").expression)


def test_tags_are_inherited_and_a_removal_has_its_reason(project: Project) -> None:
    assert feature(project, "customer_age").tags == ["personal", "pii"]
    band = feature(project, "age_band")
    assert band.tags == ["personal"]
    assert band.untagged == {"pii": "ten bands of some hundred thousand people each"}
    assert feature(project, "mixed").tags == ["personal", "reviewed"]


def test_a_version_records_its_tags_and_their_removals(project: Project) -> None:
    (version,) = project.versions("risk")
    recorded = version.manifest.feature_set
    assert recorded.tags == ["personal", "pii", "reviewed"]
    assert recorded.untagged == {"age_band": {"pii": "ten bands of some hundred thousand people each"}}


def test_a_name_that_several_sets_have_wants_the_set(project: Project) -> None:
    with pytest.raises(InputError, match=r"one of spending.basket, browsing.basket"):
        project.catalog.show("basket")
    assert feature(project, "browsing.basket").models == ["growth"]


@pytest.mark.parametrize(
    ("typed", "meant"), [("spendin", "spending"), ("age_bnd", "age_band"), ("spending.age_bnd", "age_band")]
)
def test_a_name_that_is_not_there(project: Project, typed: str, meant: str) -> None:
    with pytest.raises(NotFoundError, match=rf"'{typed}'.*did you mean .*{meant}"):
        project.catalog.show(typed)


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (["age_band"], "age_band"),
        (["spending"], "spending"),
        (["AGE", "band"], "age_band"),
        (["usual payment"], "basket_ratio"),  # its description
        (["billing", "mean", "7d"], "customer_amount_7d"),  # the source's owner, the kind, the window in the name
        (["web", "visits"], "customer_visits_1d"),
        (["pii", "latest"], "customer_age"),
        (["growth"], "browsing"),  # owner
        (["scoring", "reviewed", "ratio"], "basket_ratio"),  # a model that uses it
    ],
)
def test_search_ranks_what_is_meant_first(project: Project, words: list[str], first: str) -> None:
    searched = project.catalog.search(words)
    assert searched.found[0].name == first, [(one.name, one.score, one.matched) for one in searched.found]
    assert searched.did_you_mean == []


def test_every_word_must_be_found(project: Project) -> None:
    assert {one.name for one in project.catalog.search(["personal"]).found} >= {"spending", "age_band", "customer_age"}
    assert "customer_visits_1d" not in {one.name for one in project.catalog.search(["personal"]).found}
    both = project.catalog.search(["personal", "visits"])
    assert (both.found, both.did_you_mean) == ([], [])
    lost = project.catalog.search(["spendig"])
    assert lost.found == []
    assert "spending" in lost.did_you_mean
    assert project.catalog.search([]).found == []


def test_two_feature_sets_of_one_name_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "shop")
    (path / "models.py").write_text(MODELS.replace('"browsing",', '"spending",'))
    with pytest.raises(DefinitionError, match="two feature sets are named 'spending'"):
        _ = Project(path).definitions


def test_a_training_set_inherits_the_tags_of_its_features(project: Project, tmp_path: Path) -> None:
    asked = pl.DataFrame({"at": [instant(NOW)], "customer": ["c1"], "basket": [3.0]})
    for made in (
        project.features.historical(asked, "spending"),
        project.features.historical(asked, "spending", out=tmp_path / "out"),
    ):
        assert made.tags == ("personal", "pii", "reviewed")
    model = project.model("risk")
    trained = training_set(model, project.services.events, as_of=instant(NOW))
    assert trained.tags == trained.before(instant(NOW), 0).tags == ("personal", "pii", "reviewed")
