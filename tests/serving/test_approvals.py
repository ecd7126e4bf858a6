"""Approvals at the admin plane of a real server: seen and decided by a person with the role, written down by name."""

from __future__ import annotations

import http.client
import json
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backstay.project import Project
from tests.serving import shop
from tests.serving.shop import Server

PATH = "/v1/approvals/late/1"


class Reviewed:
    """A server with an admin plane, and its people: bob approves, eve predicts, and test made the versions."""

    def __init__(self, path: Path, server: Server) -> None:
        self.path, self.port = path, int(server.told["admin_url"].rpartition(":")[2])
        project = Project(path, actor="ana")
        for name, role in (("bob", "approve"), ("eve", "read_online"), ("test", "approve"), ("adam", "admin")):
            project.access.grant(name, role, None if role == "admin" else "order")  # type: ignore[arg-type]
        self.tokens = {name: project.access.token(name) for name in ("bob", "eve", "test", "adam")}
        self.tokens["home"] = server.token
        project.close()
        until = time.monotonic() + 10
        while self.ask("adam", "GET", "/v2")[0] != 200:  # a running server follows within a moment
            assert time.monotonic() < until
            time.sleep(0.02)

    def ask(
        self, name: str, method: str = "POST", path: str = PATH, *, basic: bool = False, **body: Any
    ) -> tuple[int, str, dict[str, str]]:
        token = self.tokens.get(name, name)
        header = f"Basic {b64encode(f'me:{token}'.encode()).decode()}" if basic else f"Bearer {token}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            data = json.dumps(body).encode() if body else None
            connection.request(method, path, data, {"Authorization": header})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), {n.lower(): v for n, v in answer.getheaders()}
        finally:
            connection.close()

    def entries(self) -> list[Any]:
        project = Project(self.path)
        found = project.entries("approval")
        project.close()
        return found


@pytest.fixture(scope="module")
def reviewed(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reviewed]:
    path = shop.copied(base, tmp_path_factory.mktemp("reviewed"))
    (path / "backstay.toml").write_text(shop.ADMIN.replace("grpc = true\ngrpc_port = 0\n", ""))
    models = path / "models.py"
    models.write_text(models.read_text().replace('    "late",\n', '    "late",\n    stakes="high",\n', 1))
    with Server(path) as server:
        yield Reviewed(path, server)


def test_a_reviewer_sees_the_evidence_and_decides(reviewed: Reviewed) -> None:
    status, page, headers = reviewed.ask("bob", "GET", basic=True)
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "late/1: the evidence" in page
    assert "default-src 'none'" in headers["content-security-policy"]
    status, text, _ = reviewed.ask("bob", "GET", f"{PATH}/bundle")
    bundle = json.loads(text)
    assert (status, bundle["version"], bundle["author"], bundle["shadow"]) == (200, "late/1", "test", None)
    assert bundle["gates"][-1]["decision"]["verdict"] == "PASS"
    status, text, _ = reviewed.ask("bob", decision="approve", why="looked at the slices")
    assert status == 200, text
    told = json.loads(text)
    assert (told["by"], told["decision"], told["why"]) == ("bob", "approve", "looked at the slices")
    status, text, _ = reviewed.ask("bob", decision="reject", why="worse at night")
    assert status == 200, text
    first, second = reviewed.entries()
    assert [(one.actor, one.body["decision"]) for one in (first, second)] == [("bob", "approve"), ("bob", "reject")]
    assert (first.id, first.body["bundle"]) == (told["entry_id"], told["bundle"])
    project = Project(reviewed.path, actor="ana")
    kept = project.papers.bundle(1, "late", kept=True)
    assert kept.digest == second.body["bundle"]
    assert [one["why"] for one in kept.told["decisions"]] == ["looked at the slices"]
    project.close()


@pytest.mark.parametrize(
    ("name", "asked", "status", "words"),
    [
        ("test", {"decision": "approve", "why": "mine"}, 400, "test made version 1, and cannot approve it"),
        ("eve", {"decision": "approve", "why": "nice"}, 403, "eve may not approve versions of model 'late'"),
        ("home", {"decision": "approve", "why": "nice"}, 403, "the home's own token names nobody"),
        ("nobody", {"decision": "approve", "why": "nice"}, 401, "the token is missing or wrong"),
        ("bob", {"decision": "approve", "why": "  "}, 400, "there is no reason"),
        ("bob", {"decision": "approve"}, 400, "there is no reason"),
        ("bob", {"decision": "maybe", "why": "x"}, 400, "the decision is 'maybe'"),
        ("bob", {"decision": "approve", "why": "x", "as": "ana"}, 400, "'as' is not taken"),
        ("bob", {}, 400, "the decision is None"),
    ],
)  # fmt: skip
def test_whoever_may_not_or_says_it_wrong_is_told(
    reviewed: Reviewed, name: str, asked: dict[str, Any], status: int, words: str
) -> None:
    before = len(reviewed.entries())
    got, text, _ = reviewed.ask(name, **asked)
    assert got == status, text
    assert words in text
    assert len(reviewed.entries()) == before


def test_what_is_not_there_is_told_and_a_browsers_password_decides_nothing(reviewed: Reviewed) -> None:
    why = {"decision": "approve", "why": "x"}
    status, text, _ = reviewed.ask("bob", path="/v1/approvals/late/2", **why)
    assert (status, "version 2 has not been judged" in text) == (400, True)
    assert reviewed.ask("bob", path="/v1/approvals/late/9", **why)[0] == 404
    assert reviewed.ask("bob", path="/v1/approvals/late/x", **why)[0] == 404
    assert reviewed.ask("bob", path="/v1/approvals/none/1", **why)[0] == 403
    assert reviewed.ask("adam", path="/v1/approvals/none/1", **why)[0] == 404
    assert reviewed.ask("bob", path="/v1/approvals/late", **why)[0] == 404
    assert reviewed.ask("bob", basic=True, **why)[0] == 401
    status, _, headers = reviewed.ask("nobody", "GET")
    assert (status, headers["www-authenticate"]) == (401, 'Basic realm="backstay"')
    assert reviewed.ask("bob", "GET", "/")[0] == 403  # the rest of the plane is an admin's
