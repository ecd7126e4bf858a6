"""What a project's module declares: models, feature sets without a model, sources that nothing uses yet."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from backstay.core.errors import AccessError, DefinitionError, NotFoundError
from backstay.project import Project

MODELS = """from backstay import Count, Entity, EventSource, FeatureSet, Mean, Windowed

visits = EventSource("visits", schema={"customer": "string", "seconds": "float"})
unused = EventSource("unused", schema={"x": "float"})
customer = Entity("customer")
browsing = FeatureSet("browsing", [Windowed(visits, by=customer, over="1h", n=Count(), seconds=Mean("seconds"))])
"""


def project(folder: Path, text: str = MODELS, actor: str | None = None) -> Project:
    (folder / "backstay.toml").write_text('[project]\nname = "shop"\n')
    (folder / "models.py").write_text(text)
    return Project(folder, actor=actor)


def test_a_feature_set_needs_no_model(tmp_path: Path) -> None:
    one = project(tmp_path, actor="ana")
    assert [*one.definitions.sources] == ["visits", "unused"]
    event = {"event_time": datetime.now(UTC), "customer": "c1", "seconds": 3.0}
    assert one.features.push("visits", [event])["accepted"] == 1
    assert one.features.online([{"customer": "c1"}])[0].values == {"customer_n_1h": 1, "customer_seconds_1h": 3.0}
    assert one.backfill() == {"visits": 0}
    (shown,) = one.catalog.feature_sets()
    assert (shown.name, shown.models) == ("browsing", [])
    assert one.status().models == []
    assert one.access.grant("bob", "write", "browsing")
    other = Project(tmp_path, actor="bob")
    assert other.features.push("visits", [event])["sequence"] == 2
    with pytest.raises(AccessError, match="read feature set 'browsing'"):
        other.features.online([{"customer": "c1"}])
    with pytest.raises(AccessError, match="push to source 'unused'"):  # of no set, so it takes the role on all of them
        other.features.push("unused", [{"event_time": datetime.now(UTC), "x": 1.0}])
    with pytest.raises(NotFoundError, match="the project has no model"):
        one.train()
    for each in (one, other):
        each.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", "no model, no feature set and no source"),
        (MODELS + 'again = EventSource("visits", schema={"x": "float"})\n', "two sources are named 'visits'"),
        (MODELS + 'again = FeatureSet("browsing", [Windowed(visits, over="1d", n=Count())])\n', "two feature sets"),
    ],
)
def test_what_a_module_lacks_or_has_twice(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DefinitionError, match=said) as caught:
        _ = project(tmp_path, text).definitions
    assert "models.py" in caught.value.where
    if "two" in said:
        assert caught.value.where.count("models.py:") == 2


def test_an_error_in_the_module_is_placed_once(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError) as caught:
        _ = project(tmp_path, MODELS.replace('Mean("seconds")', 'Mean("customer")')).definitions
    assert caught.value.where.startswith("feature set 'browsing', feature 'customer_seconds_1h' (")
    assert caught.value.where.endswith("models.py:6)")
    with pytest.raises(DefinitionError, match="NameError: name 'Sum' is not defined") as caught:
        _ = project(tmp_path, MODELS.replace('Mean("seconds")', 'Sum("seconds")')).definitions
    assert caught.value.where.endswith("models.py:6")
