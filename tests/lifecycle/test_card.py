"""The model card: everything on it is in the record, and what is not in the record is said to be missing."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from backstay.core.clock import ReplayClock
from backstay.core.errors import NotFoundError
from backstay.core.times import instant
from backstay.lifecycle.card import Card
from backstay.project import Project
from tests.serving import shop

CLOCK = ReplayClock(instant(shop.SECOND))


def card(path: Path, number: int = 1, actor: str = "test") -> Card:
    project = Project(path, clock=CLOCK, actor=actor)
    try:
        return project.papers.card(number, "late")
    finally:
        project.close()


def changed(path: Path, old: str, new: str) -> None:
    text = (path / "models.py").read_text()
    assert old in text
    (path / "models.py").write_text(text.replace(old, new, 1))


@pytest.fixture
def ruled(path: Path) -> Path:
    """With a calibration and a threshold of version 1 in force."""
    project = Project(path, clock=ReplayClock(instant("2024-02-29")), actor="ana")
    project.rules.calibrate(1, "late", kind="isotonic")
    project.rules.threshold(1, "late", calibration=1, cost=(1, 9))
    project.rules.put(1, "late", calibration=1, threshold=1, why="a missed one costs nine")
    project.close()
    return path


def test_it_tells_what_the_record_holds(base: Path) -> None:
    made = card(base)
    told, text = made.as_dict(), made.sheet.markdown()
    manifest = told["manifest"]
    for digest in (told["digest"], manifest["dataset"]["digest"], manifest["feature_set"]["hash"],
                   *manifest["files"].values(), *manifest["dataset"]["seals"].values()):  # fmt: skip
        assert digest in text
    for name, version in manifest["code"]["packages"].items():
        assert f"| {name} | {version} |" in text
    for name in manifest["parameters"]:
        assert f"| `{name}` |" in text
    for feature in told["features"]:
        assert f"| `{feature['feature']}` |" in text
    assert f"{manifest['dataset']['rows']:,} of {manifest['dataset']['asked']:,}" in text
    (gate,) = told["gates"]
    (compared,) = gate["compared"]
    assert gate["verdict"] == "PASS"
    assert f"{compared['gain']['estimate']:+.4f} [{compared['gain']['low']:+.4f}" in text
    assert "against the base rate" not in text
    assert "| the base rate | auc |" in text
    (reign,) = told["champion"]
    assert (reign["until"], reign["by"]) == (None, "test")
    assert "yes, now" in text
    assert told["author"] == "test"


def test_the_same_record_gives_the_same_card(base: Path, tmp_path: Path) -> None:
    here, there = card(base), card(shop.copied(base, tmp_path), actor="somebody else")
    assert here.sheet.markdown() == there.sheet.markdown()
    assert here.sheet.page() == there.sheet.page()
    assert json.dumps(here.as_dict()) == json.dumps(there.as_dict())


def test_what_is_not_recorded_is_said(base: Path) -> None:
    text = card(base, 2).sheet.markdown()
    assert "| intended use | not recorded |" in text
    assert "| commit | not recorded |" in text
    assert "| objective | not recorded |" in text
    assert "| note | the second |" in text
    assert "Its lineage is incomplete: code.commit, code.lock missing." in text
    assert "Its gate was never asked." in text
    assert "It was never champion." in text
    assert "No comparison is recorded." in text
    assert "Nothing is recorded of how good it is." in text


def test_a_gate_that_could_not_tell_is_a_limit(path: Path) -> None:
    project = Project(path, clock=CLOCK, actor="test")
    answer = project.judge(2, "late", as_of=shop.SECOND)
    project.close()
    assert answer.decision.verdict == "INSUFFICIENT"
    told = card(path, 2)
    assert any(one.startswith("Its gate's last answer is INSUFFICIENT: period_mature") for one in told.about.limits)


def test_what_no_one_looked_at_is_a_limit(base: Path, ruled: Path) -> None:
    assert card(base).about.limits[-1] == (
        "Not recorded of it: quality by slice, calibration, fairness, and who is meant to use it."
    )
    assert card(ruled).about.limits[-1] == (
        "Not recorded of it: quality by slice, fairness, and who is meant to use it."
    )


def test_every_paper_has_the_threshold_in_force(ruled: Path) -> None:
    """The rule is no part of the files: what goes out with them names it, and says what they lack."""
    project = Project(ruled, clock=CLOCK, actor="test")
    papers = project.papers
    said = "true from 0.1 by the rule c1 t1, calibrated apart from its files"
    assert f"the probability of late; {said}" in papers.card(1, "late").sheet.markdown()
    document = papers.bom(1, "late")
    subject = document["metadata"]["component"]
    assert subject["modelCard"]["modelParameters"]["outputs"] == [{"format": f"probability of late: float64; {said}"}]
    properties = {one["name"]: one["value"] for one in subject["properties"]}
    assert (properties["backstay:threshold"], properties["backstay:rule"]) == ("0.1", "c1 t1")
    assert document["metadata"]["timestamp"] == "2024-02-29T00:00:00Z"  # when it was put in force
    (one,) = (one for one in project.architecture().as_dict()["models"] if one["model"] == "late")
    assert (one["runtime"]["threshold"], one["runtime"]["rule"]) == (0.1, "c1 t1")
    for to in ("mlflow", "sagemaker", "vertex"):
        papers.export(1, to, ruled / to, "late")
    project.close()
    lines = (ruled / "mlflow" / "MLmodel").read_text().split("\n")
    assert {"    threshold: 0.1", '    rule: "c1 t1"'} <= set(lines)
    assert any(line.startswith('    calibration: "1 ') and line.endswith(' - not applied"') for line in lines)
    request = json.loads((ruled / "sagemaker" / "create_model_package.json").read_text())
    recorded = request["CustomerMetadataProperties"]
    assert (recorded["backstay.threshold"], recorded["backstay.rule"]) == ("0.1", "c1 t1")
    body = json.loads((ruled / "vertex" / "upload_model.json").read_text())
    assert body["model"]["labels"]["backstay_rule"] == "c1-t1"
    for text in (request["ModelPackageDescription"], body["model"]["description"]):
        assert "Its files give raw scores: the rule c1 t1 is in force" in text
        assert text.endswith("true from a calibrated 0.1.")


def test_stakes_and_approvals(path: Path) -> None:
    changed(path, '    "late",\n', '    "late",\n    stakes="high",\n')
    assert any("no approval holds: version 1 waits for" in one for one in card(path).about.limits)
    project = Project(path, clock=CLOCK, actor="eve")
    project.decide(1, "approve", "late", why="looked at")
    project.close()
    made = card(path)
    assert not any("approval" in one for one in made.about.limits)
    assert "| eve | approve | looked at |" in made.sheet.markdown()


def test_routes_and_reigns_that_ended(path: Path) -> None:
    project = Project(path, clock=CLOCK, actor="test")
    project.routes.set({"v2": 0.05}, "late", why="is it as good?")
    project.routes.clear("late", why="it is")
    shop.move_champion(project, 2)
    project.close()
    first, second = card(path, 1), card(path, 2)
    assert first.as_dict()["champion"][0]["until"] is not None
    assert "not now; it was" in first.sheet.markdown()
    assert first.as_dict()["routes"] == []
    text = second.sheet.markdown()
    assert "| answers 5.00% as v2 | is it as good? |" in text
    assert "| none any more | it is |" in text
    assert second.about.champion


def test_descriptions_and_tags_are_those_of_its_own_definitions(path: Path) -> None:
    changed(path, '    event_time="paid",\n', '    event_time="paid",\n    owner="sales",\n    tags={"note": "pii"},\n')
    changed(path, '    defaults={"shop_late_1d": 0.5},\n', '    defaults={"shop_late_1d": 0.5},\n'
            '    owner="risk",\n    descriptions={"hour": "of the day | UTC"},\n')  # fmt: skip
    text = card(path).sheet.markdown()
    assert "of the day \\| UTC" in text
    assert "| owner, as declared today | risk |" in text
    assert "| sales | pii |" in text
    changed(path, 'over=["1d", "7d"]', 'over=["1d", "10d"]')  # of another length: Python tells sources by time and size
    made = card(path)
    assert not made.about.same_features
    assert "of the day" not in made.sheet.markdown()
    assert "The project's features are others today" in made.sheet.markdown()


def test_a_version_that_came_from_another_project_has_its_evidence(path: Path) -> None:
    with (path / "backstay.toml").open("a") as file:
        file.write('\n[environments]\nproduction = "../production"\n')
    folder = shop.write(path.parent / "production")
    (folder / "backstay.toml").write_text(shop.TOML.replace('"shop"', '"production"'))
    project = Project(path, clock=CLOCK, actor="ann")
    project.send(1, "production", "late")
    project.close()
    made = card(folder)
    text = made.sheet.markdown()
    assert made.about.gates[0]["project"] == "shop"
    assert "version 1 of project shop" in text
    assert "of shop | test | PASS |" in text


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "img", "iframe")
        assert not {"src", "href"} & {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone_and_is_text(path: Path) -> None:
    changed(path, '    "late",\n', '    "late",\n    description="<script>alert(1)</script> | # [x](y)",\n')
    made = card(path)
    assert _Page(made.sheet.page()).open == []
    assert "<script" not in made.sheet.markdown()
    assert "[x\\](y)" in made.sheet.markdown()


def test_there_is_no_card_of_what_is_not_there(base: Path) -> None:
    with pytest.raises(NotFoundError):
        card(base, 9)


def test_a_damaged_manifest_gives_no_card(base: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(base, tmp_path / "shop"))
    digest = card(path).about.version.digest
    shop.tamper(path / ".backstay" / "artifacts" / digest[:2] / digest[2:])
    with pytest.raises(Exception, match="digest"):
        card(path)
