"""`architecture`: what is deployed, from the record; and the entry that a server writes as it starts."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from backstay.core.machine import machine
from backstay.project import Project
from backstay.project.architecture_page import render
from tests.cli.conftest import Life, Run, Server, write_project

Cli = Callable[..., Run]
SECRET = "hunter22"


@pytest.fixture
def project(life: Life, tmp_path: Path) -> Path:
    return Path(shutil.copytree(life.project, tmp_path / "shop"))


class Page(HTMLParser):
    """Whether every tag is closed, and what a page would load or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not {"src", "href", "onload", "onclick"} & {name for name, _ in attrs}
        if tag not in ("meta", "rect", "line", "path"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("rect", "line", "path"):
            assert self.open.pop() == tag


def test_it_tells_what_is_deployed_and_on_what(cli: Cli, life: Life) -> None:
    told = cli("architecture", "--project", life.project, "--json").json
    server = told["server"]
    assert server["machine"] == machine()
    assert server["workers"] == 1
    assert server["replay"]
    assert server["packages"]["backstay"]
    assert server["packages"]["onnxruntime"]
    assert server["changed"] == {}
    (model,) = told["models"]
    assert model["versions"]["champion"]["number"] == 1
    assert model["versions"]["previous"] is None
    assert model["versions"]["champion"]["tables"] == {"orders": 0}
    assert model["routes"] == [{"name": "champion", "version": 1, "share": 1.0, "shadow": False}]
    files = {one["file"]: one for one in model["files"]}
    stored = life.project / ".backstay" / "artifacts"
    digest = files["model.onnx"]["sha256"]
    assert files["model.onnx"]["bytes"] == (stored / digest[:2] / digest[2:]).stat().st_size
    assert model["features"]["hash"] == Project(life.project).model().features.hash
    assert [part["entity"] for part in model["features"]["parts"]] == ["shop"]
    assert model["runtime"]["format"] == "onnx"
    assert model["users"] == []
    assert model["objective"]["objective"] is None
    assert told["sources"][0]["trained_on"] == {"late": 0}
    assert told["page"] is None


def test_people_see_a_summary(cli: Cli, life: Life) -> None:
    shown = cli("architecture", "--project", life.project)
    assert shown.code == 0
    for said in ("the machine it last ran on", "nothing is refused: it replays history", "LMDB, in the home", "late",
                 "version 1, since 20", "champion v1 answers 100%", "model.onnx", "none declared"):  # fmt: skip
        assert said in shown.out
    assert "next: backstay architecture --out architecture.html" in shown.err


def test_the_page_stands_alone(cli: Cli, life: Life, tmp_path: Path) -> None:
    out = tmp_path / "a.html"
    shown = cli("architecture", "--project", life.project, "--out", out)
    assert shown.code == 0
    text = out.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert "svg" in page.tags
    assert not {"script", "link", "img", "iframe"} & page.tags
    assert not re.findall(r"@import|url\((?!#)|https?://", text)
    for said in ("The architecture of shop", machine()["cpu"], "model.onnx", "1d, 7d, 2d"):
        assert said in text
    assert cli("architecture", "--project", life.project, "--out", out, "--json").json["page"] == str(out)


def test_a_page_that_cannot_be_written_is_told(cli: Cli, life: Life, tmp_path: Path) -> None:
    shown = cli("architecture", "--project", life.project, "--out", tmp_path / "none" / "a.html", "--json")
    assert shown.code == 2
    assert "cannot be written" in shown.json["error"]
    assert shown.json["fix"]


def test_what_is_not_known_is_said_to_be_unknown(cli: Cli, tmp_path: Path) -> None:
    path = write_project(tmp_path)
    told = cli("architecture", "--project", path, "--json").json
    assert told["server"] is None
    assert told["models"][0]["versions"]["champion"] is None
    shown = cli("architecture", "--project", path)
    assert "no server has started with this home yet" in shown.out
    text = render(told)
    assert Page(text).open == []
    assert "no server has started with this home yet" in text
    assert "none: requests are 503" in text


def test_what_people_wrote_is_escaped(cli: Cli, life: Life) -> None:
    told = cli("architecture", "--project", life.project, "--json").json
    told["project"] = told["models"][0]["description"] = told["route_why"] = "<script>alert(1)</script>"
    told["models"][0]["route_why"] = "<script>alert(1)</script>"
    told["sources"][0]["source"] = told["models"][0]["features"]["parts"][0]["entity"] = "<script>"
    told["server"]["machine"]["cpu"] = "<script>"
    assert "<script" not in render(told)


def test_a_server_writes_one_entry_as_it_starts_and_no_secret(cli: Cli, project: Path) -> None:
    before = len(Project(project).entries(limit=1_000))
    with Server(project, "--workers", "2") as server:
        token = Path(server.told["token"]).read_text()
        port = server.told["url"].rpartition(":")[2]
    (entry,) = Project(project).entries(limit=1_000)[before:]
    assert (entry.kind, entry.subject) == ("server", "started")
    body = dict(entry.body)
    assert body["workers"] == body["settings"]["serving.workers"] == 2
    assert not body["replay"]
    assert body["machine"] == machine()
    written = repr(body)
    for never in (token, port, str(project), "online.url", "token", "tls_key", "serving.port"):
        assert never not in written
    admission = Project(project).architecture().serving["admission"]
    assert admission.startswith("what can be answered in half of 100ms (serving.objective_ms)")
    assert "2 workers on " in cli("ledger", "show", "-n", 1, "--kind", "server", "--project", project).out
    (project / "backstay.toml").write_text('[project]\nname = "shop"\n[serving]\nqueue_limit = 64\n')
    changed = Project(project).architecture().server
    assert changed is not None
    assert changed["changed"] == {"serving.queue_limit": {"then": 1024, "now": 64}}
    assert "Settings have changed since" in Project(project).architecture().page()


def test_where_the_online_state_is_stays_a_secret(project: Path) -> None:
    (project / "backstay.toml").write_text(
        f'[project]\nname="shop"\n[online]\nurl = "redis://:{SECRET}@127.0.0.1:1/0"\n'
    )
    opened = Project(project)
    told = opened.architecture()
    assert told.stores["online state"] == "Redis or Valkey"
    assert SECRET not in told.page()
    assert SECRET not in repr(told.as_dict())


def test_shares_shadows_users_and_damage_are_shown(project: Path) -> None:
    opened = Project(project, actor="ana")
    opened.train(as_of="2024-02-25")
    opened.routes.set({"v2": 0.05}, shadow=["v2"], why="is v2 as good?")
    opened.access.grant("scoring", "read_online", "order")
    champion = opened.architecture().models[0]
    digest = champion["files"][0]["sha256"]
    file = project / ".backstay" / "artifacts" / digest[:2] / digest[2:]
    file.unlink()
    told = Project(project).architecture()
    (model,) = told.models
    assert [(one["version"], one["share"], one["shadow"]) for one in model["routes"]] == [
        (1, 0.95, False), (2, 0.05, False), (2, 1.0, True),
    ]  # fmt: skip
    assert model["versions"]["shadows"] == [2]
    assert model["users"] == [
        {"principal": "ana", "roles": ["admin"]}, {"principal": "scoring", "roles": ["read_online"]},
    ]  # fmt: skip
    assert model["files"][0]["bytes"] is None
    assert model["files"][0]["problem"]
    assert "scoring (read_online)" in told.page()
    assert "is v2 as good?" in told.page()
