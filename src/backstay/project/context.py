"""The context of a project: its settings, definitions, records and clock, and who acts. What every verb works with."""

from __future__ import annotations

import getpass
import shlex
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backstay.core.clock import Clock, SystemClock
from backstay.core.errors import NotFoundError
from backstay.core.settings import FILE, expanded, read_settings
from backstay.core.times import instant
from backstay.features.backfill import Progress
from backstay.lifecycle.approval import Approval, ApprovalNeeded, Decision, decide
from backstay.lifecycle.environments import Arrived, arrive, packed
from backstay.lifecycle.records import Records
from backstay.lifecycle.reproduce import Reproduction, reproduce
from backstay.lifecycle.tuning import Tuned, tune
from backstay.monitoring.kept import Kept
from backstay.project.catalog import Catalog
from backstay.project.loading import Definitions, load_definitions
from backstay.project.objectives import Objectives
from backstay.project.permits import Permits
from backstay.project.routes import Routes
from backstay.project.services import Services
from backstay.registry.access import Authority
from backstay.registry.environment import Environment, capture
from backstay.registry.experiments import Run, Runs
from backstay.registry.steps import Steps
from backstay.registry.versions import Registry

if TYPE_CHECKING:
    from backstay.project.architecture import Architecture
    from backstay.project.archive import Archive
    from backstay.project.evaluations import Evaluations
    from backstay.project.papers import Papers
    from backstay.project.rulings import Rulings


class Context:
    """An opened project; each part is made when it is first used. See `Project` for the arguments."""

    def __init__(
        self,
        path: str | Path = ".",
        *,
        home: str | Path | None = None,
        clock: Clock | None = None,
        actor: str | None = None,
    ) -> None:
        self.path = Path(path).resolve()
        self.settings: Mapping[str, Any] = read_settings(self.path)
        self.name = self.settings["project.name"] or self.path.name
        place = Path(home).resolve() if home else self.path / self.settings["project.home"]
        anchors, key = self.settings["ledger.anchors"], self.settings["registry.public_key"]
        self.services = Services(
            place,
            name=self.name,
            online_url=expanded(self.settings["online.url"], "online.url"),
            online_timeout=self.settings["online.timeout_ms"] / 1000,
            predictions_mode=self.settings["predictions.mode"],
            ledger_url=expanded(self.settings["ledger.url"], "ledger.url"),
            ledger_anchors=None if anchors is None else self.path / anchors,
            public_key=None if key is None else self.path / key,
        )
        self.clock = clock or SystemClock()
        self.actor = actor or getpass.getuser()

    @cached_property
    def definitions(self) -> Definitions:
        """What the user declared."""
        return load_definitions(self.path, self.settings["project.models"])

    @cached_property
    def records(self) -> Records:
        """The three records, the clock and the actor."""
        services = self.services
        registry = Registry(services.ledger, services.artifacts, services.verifier)
        steps = Steps(services.home / "steps", services.artifacts) if self.settings["training.cache"] else None
        return Records(
            services.events, services.predictions, services.ledger, registry, self.runs, self.clock, self.actor, steps,
            Kept(services.home / "windows"),
        )  # fmt: skip

    @cached_property
    def runs(self) -> Runs:
        """What was tried, with which parameters, and what came of it: search, get, metrics, compare."""
        return Runs(self.services.runs, self.services.artifacts, self.clock, self.actor)

    def run(
        self,
        name: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        note: str = "",
    ) -> Run:
        """Begin a run: a context to log metrics, parameters and files in. `train` makes one by itself."""
        return self.runs.begin(name, parameters=parameters, tags=tags, note=note)

    @cached_property
    def environment(self) -> Environment:
        """The code, lock file and packages that this process runs with."""
        lock = self.settings["project.lock"]
        return capture(self.path, None if lock is None else self.path / lock)

    @cached_property
    def access(self) -> Authority:
        """Who may do what: grants, revocations, tokens, decided by the actor and recorded in the ledger."""
        return Authority(self.services.ledger, self.clock, self.actor, self.definitions.feature_sets)

    @cached_property
    def permits(self) -> Permits:
        """What the actor may do."""
        return Permits(self.access, self.definitions)

    @cached_property
    def catalog(self) -> Catalog:
        """The catalogue of features: list, show, search."""
        return Catalog(self.definitions, self.records)

    @cached_property
    def objectives(self) -> Objectives:
        """Whether what models promise is kept: budgets, burn rates, and which alarm rings."""
        return Objectives(self.definitions, self.services.counts, self.clock)

    @cached_property
    def routes(self) -> Routes:
        """Which versions share a model's requests with its champion: show, set, clear, rollback."""
        return Routes(self.records, self.definitions, self.permits)

    @cached_property
    def rules(self) -> Rulings:
        """Calibrations and thresholds of versions: make them, and put them in force."""
        from backstay.project.rulings import Rulings

        return Rulings(self.records, self.definitions, self.permits)

    @cached_property
    def papers(self) -> Papers:
        """What a version goes out with: its model card, its bill of materials, its exports, and MLflow's mirror."""
        from backstay.project.bridge import Bridge
        from backstay.project.papers import Papers  # loaded late: a server writes none

        lock, strict = self.settings["project.lock"], self.settings["project.strict"]
        where = None if lock is None else self.path / lock
        records, known = self.records, self.definitions
        bridge = Bridge(self.name, self.services.home, records, known, self.permits, strict=strict)
        return Papers(self.name, records, known, self.permits, where, bridge)

    @cached_property
    def evaluations(self) -> Evaluations:
        """How good versions are, and how sure of that we may be: everything here is shown, nothing is decided."""
        from backstay.project.evaluations import Evaluations  # loaded late: a server evaluates nothing

        return Evaluations(self.records, self.definitions, self.permits)

    def architecture(self) -> Architecture:
        """What is deployed now, and on what, from what is recorded."""
        from backstay.project.architecture import architecture  # loaded late: a server draws nothing

        kept = self.objectives.show()
        return architecture(self.name, self.definitions, self.settings, self.records, self.access, kept)

    def tune(
        self,
        model: str | None = None,
        *,
        as_of: str | int | None = None,
        trials: int = 30,
        seed: int = 0,
        progress: Progress = lambda *_: None,
    ) -> Tuned:
        """Search the parameters of a model's `Tuning`, until so many trials are done; each of them is a run.

        Interrupted, killed or called again it goes on where it was, as long as data and search are the same.
        """
        chosen = self.definitions.model(model)
        self.permits.model(chosen, "tune", "read_offline", "define")
        moment = self.clock.now() if as_of is None else instant(as_of, where="as_of")
        return tune(
            self.records, chosen, as_of=moment, trials=trials, seed=seed, folder=self.services.home / "tuning",
            progress=partial(progress, "trials"),
        )  # fmt: skip

    @cached_property
    def archive(self) -> Archive:
        """All that was written: audit it, and let go of what nothing needs."""
        from backstay.project.archive import Archive  # loaded late: a server deletes nothing

        return Archive(self.services, self.records, self.definitions, self.permits)

    def reproduce(self, number: int, model: str | None = None) -> Reproduction:
        """Make a version again from its manifest, and say what is the same; nothing is registered."""
        chosen = self.definitions.model(model)
        self.permits.model(chosen, "reproduce versions of", "read_offline")
        return reproduce(self.records, chosen, number, self.environment)

    def decide(self, number: int, decision: Decision, model: str | None = None, *, why: str) -> Approval:
        """Approve or reject a version of a model, as another person than its author; the reason is kept."""
        chosen = self.definitions.model(model)
        self.permits.model(chosen, f"{decision} versions of", "approve")
        return decide(self.records, chosen, number, decision, why)

    def send(self, number: int, to: str | Path, model: str | None = None) -> Arrived:
        """Carry a version and its evidence into another project, and make it champion there.

        Where a rollout is declared there, and a champion answers, it is registered and goes by that: `move` is None.

        to: that project's folder, or its name among the settings `environments`
        """
        chosen = self.definitions.model(model)
        self.permits.model(chosen, "send versions of", "read_offline")
        other = Context(self._place(str(to)), clock=self.clock, actor=self.actor)
        try:
            there = other.definitions.model(chosen.name)
            other.permits.model(there, "promote a version of", "promote")
            arrived = arrive(other.records, there, packed(self.records, self.name, chosen.name, number))
        except ApprovalNeeded as error:
            if not error.fix.startswith("backstay "):
                raise
            fix = f"{error.fix} --project {shlex.quote(str(other.path))}"  # it waits there, by its number there
            raise ApprovalNeeded(error.what, where=error.where, expected=error.expected, fix=fix) from None
        finally:
            other.close()
        return replace(arrived, project=str(other.path))

    def _place(self, to: str) -> Path:
        """The folder of an environment, or of a project that is named by its folder."""
        if declared := self.settings.get(f"environments.{to}"):
            return self.path / str(declared)
        if not (self.path / to / FILE).is_file():
            names = [name.removeprefix("environments.") for name in self.settings if name.startswith("environments.")]
            raise NotFoundError(
                f"no environment {to!r} is declared, and there is no {FILE} in {self.path / to}",
                where=f"{FILE} [environments]", expected=", ".join(names) or "one that is declared: none is",
                fix=f'{to} = "FOLDER" under [environments], or name the folder of a project',
            )  # fmt: skip
        return self.path / to

    def close(self) -> None:
        """Release the stores."""
        self.services.close()
