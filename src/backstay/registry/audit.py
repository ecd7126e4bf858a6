"""The audit: is every byte of the record what was written?

From the ledger down: its chain and its kept heads; each version's manifest and every file that it names; and the tables
that its training set was read from, file by file. Nothing is trusted because something above it was right, and nothing
stops the audit: it names all that is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from backstay.core.errors import BackstayError, IntegrityError
from backstay.core.show import Shown
from backstay.registry.versions import ModelVersion, Registry
from backstay.storage.ports import Entry, EventStore, Ledger

Progress = Callable[[int, int], None]
Result = TypeVar("Result")


class Look(Protocol):
    """Does one thing; what goes wrong is written down, and the answer is None."""

    def __call__(self, where: str, one: Callable[[], Result]) -> Result | None: ...


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not what was written: where it is, what is wrong with it, and what mends it."""

    where: str
    what: str
    fix: str


@dataclass(frozen=True, slots=True)
class Audit(Shown):
    """What was looked at, and what is wrong with it.

    head: number and digest of the ledger's last entry, as `backstay ledger head` prints it; "" if it has none
    """

    entries: int
    head: str
    versions: int
    files: int
    tables: int
    problems: tuple[Problem, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        problems = [{"where": one.where, "what": one.what, "fix": one.fix} for one in self.problems]
        return {
            "sound": self.sound, "entries": self.entries, "head": self.head, "versions": self.versions,
            "files": self.files, "tables": self.tables, "problems": problems,
        }  # fmt: skip


def audit(
    ledger: Ledger,
    registry: Registry,
    events: EventStore,
    progress: Progress = lambda *_: None,
    *,
    others: Iterable[str] = (),
) -> Audit:
    """Look at everything; `progress` is told how many files and tables were read, and of how many.

    others: digests of files that records outside the ledger name, such as those of runs
    """
    entries: list[Entry] = []
    problems: dict[Problem, None] = {}

    def look(where: str, one: Callable[[], Result]) -> Result | None:
        try:
            return one()
        except BackstayError as error:
            problems[Problem(error.where or where, error.what, error.fix)] = None
            return None

    look("the ledger", lambda: ledger.verify(entries.append))
    versions = list(_versions(ledger, registry, look))
    kept = [one for one in versions if registry.retired(one.model, one.number) is None]
    files = {digest: (one, name) for one in kept for name, digest in one.manifest.files.items()}
    tables = {
        (source, one.manifest.dataset.sources[source], seal)
        for one in versions
        if one.origin is None  # the tables of others are in the project that they came from
        for source, seal in one.manifest.dataset.seals.items()
    }
    # Evidence and signatures, parcels, files of runs: what stands in no manifest.
    documents = [one for one in dict.fromkeys([*_documents(entries), *others]) if one not in files]
    total = len(files) + len(tables) + len(documents)
    for done, (one, name) in enumerate(files.values(), 1):
        look(f"{one.model}/{one.number}/{name}", partial(registry.file, one, name))
        progress(done, total)
    for done, (source, version, seal) in enumerate(sorted(tables), len(files) + 1):
        look(f"source {source!r}", partial(_check_sealed, events, source, version, seal))
        progress(done, total)
    for done, digest in enumerate(documents, len(files) + len(tables) + 1):
        look(f"document {digest[:12]}", partial(registry.kept, digest))
        progress(done, total)
    head = f"{entries[-1].id}:{entries[-1].digest}" if entries else ""
    return Audit(len(entries), head, len(versions), len(files) + len(documents), len(tables), tuple(problems))


def _versions(ledger: Ledger, registry: Registry, look: Look) -> Iterator[ModelVersion]:
    """Every version whose entry and manifest are as they were written."""
    for model in look("the ledger", registry.models) or ():
        for number in range(1, 1 + len(ledger.entries(kind="version", subject=model))):
            version = look(f"{model}/{number}", partial(registry.get, model, number))
            if version is not None:
                yield version


def _documents(entries: Iterable[Entry]) -> Iterator[str]:
    """The documents that entries name: the evidence of approvals, signatures, parcels from other projects."""
    for one in entries:
        for body in (one.body, one.body.get("origin") or {}, one.body.get("evidence") or {}):
            yield from (body[name] for name in ("bundle", "parcel") if name in body)


def _check_sealed(events: EventStore, source: str, version: int, seal: str) -> None:
    if events.seal(source, version, read=True).digest != seal:
        raise IntegrityError(
            f"version {version} of the table of {source!r} is not the one that a model was trained on",
            where=f"source {source!r}",
            expected=f"the content {seal[:12]}",
            fix="restore the source's folder from a backup",
        )
