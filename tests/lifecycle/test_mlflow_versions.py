"""Versions and aliases in MLflow, against a server of the test's own: what happens here while a mirror runs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from backstay.core.clock import ReplayClock
from backstay.core.times import instant
from backstay.lifecycle.mlflow import Server, words
from backstay.lifecycle.mlflow.versions import VersionMirror
from backstay.project import Project
from tests.serving import shop

CLOCK = ReplayClock(instant(shop.SECOND))


class Fake:
    """A registered model with version 1 of ours, and the alias champion at it."""

    uri = "http://there"

    def __init__(self, digest: str) -> None:
        tags = {words.PROJECT: "shop", words.MODEL: "late", words.ALIASES: "champion"}
        self.model = SimpleNamespace(tags=tags, aliases={"champion": "1"})
        self.version = SimpleNamespace(version="1", tags={words.VERSION: "1", words.MANIFEST: digest})
        self.done: list[tuple[Any, ...]] = []

    def find(self, call: str, *_: str) -> Any:
        return self.model

    def pages(self, call: str, *_: str) -> Any:
        yield self.version

    def ask(self, call: str, *arguments: str) -> Any:
        if not call.startswith("get"):
            self.done.append((call, *arguments))
        return self.model


def test_an_alias_that_moves_to_what_is_not_there_yet_waits(path: Path) -> None:
    project = Project(path, clock=CLOCK, actor="test")
    records, model = project.records, project.model("late")
    server = Fake(records.registry.get("late", 1).digest)
    mirror = VersionMirror(cast(Server, server), records, "shop", model)
    assert [one[2] for one in mirror.aliases()] == ["as it was"]
    shop.move_champion(project, 2)  # while it runs, to a version that this mirror will not write
    assert list(mirror.aliases()) == []
    assert server.done == []  # neither moved nor removed: next time
    project.close()
