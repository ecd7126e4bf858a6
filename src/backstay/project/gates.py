"""Gates of a project's models: check a candidate, override a check, and what holds of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from backstay.core.errors import InputError, NotFoundError
from backstay.core.times import instant
from backstay.definitions import Model
from backstay.lifecycle.evidence import record_tests
from backstay.lifecycle.gates import Standing, where_it_stands
from backstay.lifecycle.judge import Judgement, judge
from backstay.lifecycle.overrides import Override, override, overrides
from backstay.lifecycle.reproduce import record_reproduction

if TYPE_CHECKING:
    from backstay.project.context import Context

LATEST = "latest"


class Gates:
    """`Gates(project)`. Times are given as `2013-04-01`, ISO 8601, or integer microseconds, UTC.

    Gates(project).check("latest").decision.verdict
    """

    def __init__(self, project: Context) -> None:
        self._project = project

    def number(self, candidate: str | int, model: str | None = None) -> int:
        """The number of a version, which may be given as "latest"; `NotFoundError` if there is none."""
        one = self._model(model)
        if candidate == LATEST:
            versions = self._project.records.registry.versions(one.name)
            if not versions:
                raise NotFoundError(f"model {one.name!r} has no versions", where=one.name, fix="backstay train")
            return versions[-1].number
        try:
            return self._project.records.registry.get(one.name, int(candidate)).number
        except ValueError:
            raise InputError(
                f"{candidate!r} is no version", where=one.name, expected=f"a version's number, or {LATEST!r}",
                fix="see: backstay versions",
            ) from None  # fmt: skip

    def check(
        self, candidate: str | int = LATEST, model: str | None = None, *, as_of: str | int | None = None,
        tests: str | Path | None = None, again: bool = False,
    ) -> Judgement:  # fmt: skip
        """Ask all gates about a version. The answer is recorded, as that of `judge` is; it is the same.

        tests: a report of the feature tests, in JUnit XML, which is written down first
        again: make the version again first, and write down what came of it (as `project.reproduce`, which does not)
        """
        one = self._model(model)
        self._project.permits.judged(one, "check versions of", "read_offline")
        number = self.number(candidate, model)
        if tests is not None:
            record_tests(self._project.records, one, _read(Path(tests)), where=str(tests))
        if again:
            found = self._project.reproduce(number, model)
            version = self._project.records.registry.get(one.name, number)
            record_reproduction(self._project.records, version, found.outcome.value, found.why)
        return judge(self._project.records, one, number, as_of=self._moment(as_of))

    def override(
        self, number: int, check: str, model: str | None = None, *, why: str, expires: str | None = None,
        withdraw: bool = False, as_of: str | int | None = None,
    ) -> Override:  # fmt: skip
        """Let a check of a version's last judgement not count, as another person than its author; the reason is kept.

        expires: after which time it no longer holds, such as "7d"; withdraw: take it back
        """
        one = self._model(model)
        self._project.permits.model(one, "override checks of versions of", "approve")
        return override(
            self._project.records, one, number, check, why, expires=expires, withdraw=withdraw,
            as_of=self._moment(as_of),
        )  # fmt: skip

    def overrides(self, number: int, model: str | None = None) -> list[Override]:
        """All that was ever overridden of a version, and taken back, the oldest first."""
        one = self._read(model)
        return overrides(self._project.records, self._project.records.registry.get(one.name, number))

    def standing(self, number: int, model: str | None = None, *, as_of: str | int | None = None) -> Standing:
        """The gate's last answer about a version, and why it does not hold, if it does not."""
        one = self._read(model)
        version = self._project.records.registry.get(one.name, number)
        return where_it_stands(self._project.records, one, version, as_of=self._moment(as_of))

    def _model(self, name: str | None) -> Model:
        return self._project.definitions.model(name)

    def _read(self, name: str | None) -> Model:
        one = self._model(name)
        self._project.permits.model(one, "look at the gates of", "read_offline")
        return one

    def _moment(self, value: str | int | None) -> int:
        return self._project.clock.now() if value is None else instant(value, where="as_of")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"it cannot be read: {error.strerror}", where=str(path), expected="the feature tests' report, JUnit XML",
            fix="pytest --junitxml=FILE",
        ) from None  # fmt: skip
