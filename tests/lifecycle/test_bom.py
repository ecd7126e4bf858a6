"""The bill of materials: valid by the official schema, whole, and the same bytes for the same record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from backstay.core.clock import ReplayClock
from backstay.core.identity import sha256
from backstay.core.times import instant
from backstay.project import Project
from tests.serving import environments, shop

CLIENTS = Path(__file__).with_name("clients")
CLOCK = ReplayClock(instant(shop.SECOND))
LOCK = f"""numpy==0.0.1 ; python_version < "3.0" \\
    --hash=sha256:{"a" * 64}
numpy==0.0.1 ; sys_platform == "win32" \\
    --hash=sha256:{"a" * 64}
Some.Package==1.2+local \\
    --hash=sha256:{"b" * 64} \\
    --hash=sha256:{"c" * 64}
"""


def bom(path: Path, number: int = 1) -> dict[str, Any]:
    project = Project(path, clock=CLOCK, actor="test")
    try:
        return project.papers.bom(number, "late")
    finally:
        project.close()


def check(document: dict[str, Any], folder: Path) -> None:
    """Against the schema that CycloneDX ships, and its references among themselves, which no schema checks."""
    file = folder / "bom.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    assert environments.run("formats", "cyclonedx_valid.py", str(file), clients=CLIENTS) is None
    subject = document["metadata"]["component"]
    parts = [subject, *subject["components"], *document["components"]]
    refs = [one["bom-ref"] for one in parts]
    assert len(refs) == len(set(refs))
    for one in document["dependencies"]:
        assert {one["ref"], *one.get("dependsOn", [])} <= set(refs)
    for one in subject["modelCard"]["modelParameters"]["datasets"]:
        assert one["ref"] in refs


@pytest.fixture
def locked(path: Path) -> Path:
    """With a third version, of a project that names its lock file; tags, owners, and an approval."""
    models = path / "models.py"
    text = models.read_text().replace('    "late",\n', '    "late",\n    stakes="high",\n    description="Late?",\n', 1)
    owned = '    event_time="paid",\n    owner="sales",\n    description="paid orders",\n    tags={"size": "pii"},\n'
    text = text.replace('    event_time="paid",\n', owned)
    untag = '    defaults={"shop_late_1d": 0.5},\n    untag={"size_ratio": {"pii": "a ratio"}},\n'
    models.write_text(text.replace('    defaults={"shop_late_1d": 0.5},\n', untag))
    (path / "backstay.toml").write_text(shop.TOML.replace('name = "shop"', 'name = "shop"\nlock = "made.lock"'))
    (path / "made.lock").write_text(LOCK)
    project = Project(path, clock=CLOCK, actor="ann")
    project.train("late", as_of=shop.FIRST, holdout="14d", seed=1)
    project.judge(3, "late", as_of=shop.SECOND)
    project.close()
    return path


def test_it_is_valid_and_whole(base: Path, tmp_path: Path) -> None:
    document = bom(base)
    check(document, tmp_path)
    subject = document["metadata"]["component"]
    version = Project(base).versions("late")[0]
    assert {one["name"]: one["hashes"][0]["content"] for one in subject["components"]} == version.manifest.files
    components = {one["bom-ref"]: one for one in document["components"]}
    for name, number in version.manifest.code.packages.items():
        assert components[f"pkg:pypi/{name}@{number}"]["scope"] == "required"
    assert components["data:events/orders"]["version"] == str(version.manifest.dataset.sources["orders"])
    metrics = subject["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert metrics[0]["type"] == "auc gain over the base rate (95% interval)"
    low, high = (float(metrics[0]["confidenceInterval"][name]) for name in ("lowerBound", "upperBound"))
    assert low <= float(metrics[0]["value"]) <= high
    properties = {one["name"]: one["value"] for one in subject["properties"]}
    assert properties["backstay:manifest"] == version.digest
    inputs = [one["format"].partition(":")[0] for one in subject["modelCard"]["modelParameters"]["inputs"]]
    assert inputs == version.manifest.feature_set.vector


def test_the_same_record_gives_the_same_bytes(base: Path, tmp_path: Path) -> None:
    first, copy = bom(base), shop.copied(base, tmp_path)
    assert json.dumps(first) == json.dumps(bom(copy))
    project = Project(copy, clock=ReplayClock(instant("2024-02-21")), actor="eve")
    project.decide(1, "approve", "late", why="looked at")
    project.close()
    second = bom(copy)
    assert second["serialNumber"] == first["serialNumber"]
    assert second["version"] == first["version"] + 1
    assert second["metadata"]["timestamp"] == "2024-02-21T00:00:00Z"
    assert bom(base, 2)["serialNumber"] != first["serialNumber"]


def test_what_the_lock_holds(locked: Path, tmp_path: Path) -> None:
    document = bom(locked, 3)
    check(document, tmp_path)
    components = {one["bom-ref"]: one for one in document["components"]}
    package = components["pkg:pypi/some-package@1.2%2Blocal"]
    assert package["version"] == "1.2+local"
    assert "scope" not in package
    hashes = [one["content"] for one in package["externalReferences"][0]["hashes"]]
    assert hashes == ["b" * 64, "c" * 64]
    markers = [one["value"] for one in components["pkg:pypi/numpy@0.0.1"]["properties"]]
    assert markers == ['python_version < "3.0"', 'sys_platform == "win32"']
    table = components["data:events/orders"]
    assert table["data"][0]["sensitiveData"] == ["pii"]
    assert table["data"][0]["governance"]["owners"][0]["organization"]["name"] == "sales"
    risks = document["metadata"]["component"]["modelCard"]["considerations"]["ethicalConsiderations"]
    assert {"name": "feature size_ratio is made of data with the tag pii", "mitigationStrategy": "a ratio"} in risks
    (locked / "made.lock").write_text(LOCK + "more==1\n")
    other = {one["bom-ref"] for one in bom(locked, 3)["components"]}
    assert other == components.keys() - {"pkg:pypi/some-package@1.2%2Blocal", "pkg:pypi/numpy@0.0.1"}
    assert sha256(LOCK.encode()) in json.dumps(document)
    assert document["compositions"] == [{"aggregate": "unknown", "dependencies": ["model:late/3"]}]
    assert bom(locked, 1)["compositions"][0]["aggregate"] == "incomplete"


def test_a_version_that_nobody_judged(base: Path, tmp_path: Path) -> None:
    document = bom(base, 2)
    check(document, tmp_path)
    card = document["metadata"]["component"]["modelCard"]
    assert card["quantitativeAnalysis"]["performanceMetrics"] == []
    assert "Its gate was never asked." in card["considerations"]["technicalLimitations"]
    assert "useCases" not in card["considerations"]
