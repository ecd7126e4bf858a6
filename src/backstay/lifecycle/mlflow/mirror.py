"""The mirror: what this project has recorded, as MLflow shows it. Done again, it adds what came since."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from backstay.core.show import Shown
from backstay.definitions import Model
from backstay.lifecycle.mlflow.runs import RunMirror
from backstay.lifecycle.mlflow.server import Server
from backstay.lifecycle.mlflow.versions import VersionMirror
from backstay.lifecycle.records import Records

SAME = "as it was"


@dataclass(frozen=True, slots=True)
class Written(Shown):
    """One thing that was mirrored.

    kind:  "run", "version" or "alias"
    name:  what it is called here: a run's name and id, `late/3`, `late/champion`
    there: where it is in MLflow: a run's id, `PROJECT.late/2`; empty if it was removed
    what:  "new", "updated", "moved", "removed", or "as it was"
    """

    kind: str
    name: str
    there: str
    what: str


@dataclass(frozen=True, slots=True)
class Mirrored(Shown):
    """What came of a mirroring: everything there is, and what was done about it."""

    to: str
    things: Sequence[Written]

    @property
    def written(self) -> list[Written]:
        """What was not there as it is here."""
        return [one for one in self.things if one.what != SAME]

    def as_dict(self) -> dict[str, Any]:
        same = len(self.things) - len(self.written)
        return {"to": self.to, "written": [one.as_dict() for one in self.written], "as_it_was": same}


def mirror(
    records: Records,
    project: str,
    models: Sequence[Model],
    server: Server,
    *,
    others: bool = True,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Mirrored:
    """Write the runs, versions and aliases of these models to MLflow; with `others` the runs of other names, too.

    Everything is looked at before anything is written: `IntegrityError` names a version that was changed there.
    """
    names = [model.name for model in models]
    registered = [VersionMirror(server, records, project, model) for model in models]
    runs = [one for one in reversed(records.runs.search()) if others or one.name in names]
    made_by = {(one.name, one.version): one for one in runs if one.version is not None}
    total = len(runs) + sum(len(one.versions) for one in registered)
    mirrors: dict[str, RunMirror] = {}

    def of(name: str) -> RunMirror:
        return mirrors.get(name) or mirrors.setdefault(name, RunMirror(server, records.runs, project, name))

    out: list[Written] = []
    for run in runs:
        progress(len(out), total)
        out.append(Written("run", f"{run.name} {run.id[:8]}", *of(run.name).write(run)))
    for one in registered:
        for version in one.versions:
            progress(len(out), total)
            where = f"{version.model}/{version.number}"
            made = one.write(version, of(version.model), made_by.get((version.model, version.number)))
            out.append(Written("version", where, *made))
        model = names[registered.index(one)]
        out += [Written("alias", f"{model}/{name}", there, what) for name, there, what in one.aliases()]
    progress(total, total)
    return Mirrored(server.uri, out)
