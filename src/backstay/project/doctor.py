"""The doctor: is everything as a server needs it? Looks at a project and changes nothing; each finding has its fix."""

from __future__ import annotations

import os
import shutil
import ssl
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from backstay.core.errors import BackstayError, IntegrityError
from backstay.core.machine import open_files
from backstay.core.times import SECOND, instant_text
from backstay.features.online import OnlineWriter
from backstay.project.certificate import expiry
from backstay.project.context import Context

OK, WARN, FAIL = "OK", "WARN", "FAIL"
_NETWORK = (
    "nfs",
    "cifs",
    "smb",
    "fuse.sshfs",
    "9p",
    "ceph",
    "glusterfs",
    "fuse.glusterfs",
    "lustre",
    "afs",
    "fuse.s3fs",
)
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. state: OK, WARN (it works, and may not for long) or FAIL; fix: "" where all is well."""

    check: str
    state: str
    what: str
    fix: str = ""

    def as_dict(self) -> dict[str, str]:
        return {"check": self.check, "state": self.state, "what": self.what, "fix": self.fix}


def broken(check: str, error: BackstayError) -> Finding:
    """A finding of what a check raised."""
    where = f" (at {error.where})" if error.where else ""
    expected = f"expected {error.expected}" if error.expected else "mend what is named there"
    return Finding(check, FAIL, f"{error.what}{where}", error.fix or expected)


def doctor(context: Context, progress: Callable[[str, int, int], None]) -> list[Finding]:
    """Every finding, in the order of the checks; a check that cannot be made is a FAIL of its own."""
    checks: dict[str, Callable[[Context], Iterator[Finding]]] = {
        "definitions": _definitions, "home": _home, "free space": _space, "token": _token, "clock": _clock,
        "open files": _files, "certificate": _certificate, "server": _server,
        "notifiers": _notifiers,
    }  # fmt: skip
    if context.services.home.is_dir():
        checks |= {
            "ledger": _ledger, "events": _events, "online state": _online, "champions": _champions,
            "predictions": _predictions,
        }  # fmt: skip
    out = [Finding("settings", OK, f"{context.path / 'backstay.toml'} is as it should be")]
    for place, (name, check) in enumerate(checks.items()):
        progress(name, place, len(checks))
        try:
            out += check(context)
        except BackstayError as error:
            out.append(broken(name, error))
        except OSError as error:
            file = f": {error.filename}" if error.filename else ""
            out.append(Finding(name, FAIL, f"{error.strerror}{file}", "mend the disk or the permissions"))
    return out


def _definitions(context: Context) -> Iterator[Finding]:
    found = context.definitions
    what = f"{len(found.models)} models, {len(found.feature_sets)} feature sets, {len(found.sources)} sources"
    yield Finding("definitions", OK, what)


def _home(context: Context) -> Iterator[Finding]:
    home = context.services.home
    if not home.is_dir():
        yield Finding("home", WARN, f"{home} is not there yet", "backstay ingest, or backstay serve, makes it")
        return
    kind = _filesystem(home)
    if kind.startswith(_NETWORK):
        fix = "move it to a local disk (project.home, or --home): locks and syncs do not hold over a network"
        yield Finding("home", FAIL, f"{home} is on {kind}, over a network", fix)
        return
    try:
        with tempfile.TemporaryFile(dir=home) as file:
            file.write(b"doctor")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        fix = "free space, or mend the disk or the permissions"
        yield Finding("home", FAIL, f"nothing can be written in {home}: {error.strerror}", fix)
        return
    yield Finding("home", OK, f"{home} is writable" + (f", on {kind}" if kind else ""))


def _filesystem(path: Path) -> str:
    """The kind of filesystem a path is on, as the system names it; "" where it does not tell."""
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    found = ("", "")
    for _, place, kind, *_ in (line.split() for line in mounts):
        if path.resolve().is_relative_to(place.replace("\\040", " ")) and len(place) >= len(found[0]):
            found = (place, kind)
    return found[1]


def _space(context: Context) -> Iterator[Finding]:
    home = context.services.home
    usage = shutil.disk_usage(next(one for one in (home, *home.parents) if one.exists()))
    state = FAIL if usage.free < 100 << 20 else WARN if usage.free < 1 << 30 else OK
    what = f"{usage.free / 2**30:,.1f} GiB of {usage.total / 2**30:,.1f} GiB are free"
    yield Finding(
        "free space", state, what, "" if state == OK else "free some: predictions that cannot be written are 503"
    )


def _token(context: Context) -> Iterator[Finding]:
    path = context.services.home / "token"
    if not path.exists():
        yield Finding("token", OK, "none yet: the first server makes it")
    elif path.stat().st_mode & 0o077:
        yield Finding(
            "token", FAIL, f"others can read {path}", f"chmod 600 {path}; if it was read, remove it and restart"
        )
    else:
        yield Finding("token", OK, "readable by its owner only")


def _clock(context: Context) -> Iterator[Finding]:
    now = context.clock.now()
    latest, written = max(_written(context), default=(0, ""))
    if latest > now + SECOND:
        what = f"it is {instant_text(now)}, and {written} of {instant_text(latest)}"
        yield Finding("clock", FAIL, what, "set the machine's clock (NTP): T and known times come from it")
    else:
        yield Finding("clock", OK, f"{instant_text(now // SECOND * SECOND)}, behind nothing in the record")


def _written(context: Context) -> list[tuple[int, str]]:
    """When what is written down was, and what it is. That it cannot be read is another check's."""
    out, services = [], context.services
    with suppress(IntegrityError):
        if (services.home / "ledger.sqlite").exists():
            out += [(one.at, "the ledger has an entry") for one in services.ledger.entries()]
    with suppress(IntegrityError):
        if (services.home / "predictions").is_dir():
            out += [(one.at, "there is a prediction") for one in services.predictions.scan(last=1)]
    return out


def _files(_: Context) -> Iterator[Finding]:
    most = open_files()  # which a server takes when it starts
    if most < 4_096:
        fix = "raise the hard limit (LimitNOFILE= of systemd, ulimit -Hn 65536): each client is one"
        yield Finding("open files", WARN, f"{most:,} at most", fix)
    else:
        yield Finding("open files", OK, f"{most:,} at most")


def _certificate(context: Context) -> Iterator[Finding]:
    from backstay.serving.tls import configured

    tls = configured(context.settings, context.path, context.settings["serving.host"])
    if tls is None:
        plain = context.settings["serving.plaintext"]
        yield Finding(
            "certificate", OK, "none: a proxy terminates TLS" if plain else "none: only this machine is served"
        )
        return
    ends = expiry(tls.certificate, tls.key)
    left = (ends - context.clock.now() / SECOND) / _DAY
    state = FAIL if left <= 0 else WARN if left < 21 else OK
    fix = "" if state == OK else "renew it, then SIGHUP (several workers) or restart the server"
    yield Finding("certificate", state, f"ends at {instant_text(int(ends) * SECOND)}, in {left:,.0f} days", fix)


def _notifiers(context: Context) -> Iterator[Finding]:
    """Whether each can be made; nothing is sent."""
    from backstay.project.incidents import configured

    makers = configured(context.settings)
    if not makers:
        yield Finding("notifiers", OK, "none: incidents are told of by backstay incidents alone")
    for name, make in makers.items():
        try:
            make()
        except BackstayError as error:
            yield broken("notifiers", error)
        else:
            yield Finding("notifiers", OK, f"{name} is as it should be; whether it answers shows the first incident")


def _server(context: Context) -> Iterator[Finding]:
    settings = context.settings
    host, port = settings["serving.host"], settings["serving.port"]
    if not port:
        yield Finding("server", OK, "it takes a free port, which is not known here")
        return
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not listened on
    scheme = "http" if settings["serving.tls_certificate"] is None else "https"
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/v2/health/"
    unverified = ssl.create_default_context()  # no token is sent: whether it lives is all that is asked
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(f"{url}live", timeout=3, context=unverified) as answer:  # noqa: S310
            lives = b'"live"' in answer.read(1_000)
        with urllib.request.urlopen(f"{url}ready", timeout=3, context=unverified):  # noqa: S310
            pass
    except urllib.error.HTTPError as error:
        with error:
            why = error.read(1_000).decode(errors="replace")
        yield Finding(
            "server", WARN, f"{url}ready is {error.code}: {why}", "promote what has no champion, or see its log"
        )
    except OSError as error:
        reason = getattr(error, "reason", error)
        refused = isinstance(reason, ConnectionRefusedError)
        what = f"nothing listens at {host}:{port}" if refused else f"{url}live does not answer: {reason}"
        yield Finding("server", OK if refused else FAIL, what, "" if refused else "see what listens there, and its log")
    else:
        yield Finding("server", OK if lives else WARN, f"answers at {host}:{port}, and is ready")


def _ledger(context: Context) -> Iterator[Finding]:
    yield Finding("ledger", OK, f"{context.services.ledger.verify():,} entries, and their chain is whole")


def _events(context: Context) -> Iterator[Finding]:
    events = context.services.events
    for name in context.definitions.sources:
        last = events.last_sequence(name)
        rows = events.read(name, columns=["known_time"]).height if last else 0
        check = f"events {name}"
        if rows != last:
            yield Finding(check, FAIL, f"{rows:,} events are there of {last:,}", "restore the table from a backup")
        else:
            yield Finding(
                check, OK if last else WARN, f"{last:,} events", "" if last else f"backstay ingest {name}, or push some"
            )


def _online(context: Context) -> Iterator[Finding]:
    services, sets = context.services, list(context.definitions.feature_sets.values())
    writer = OnlineWriter(services.online, sets)
    for source in {source.name: source for one in sets for source in one.sources}.values():
        there, last = writer.watermarks(source), services.events.last_sequence(source.name)
        check = f"online state {source.name}"
        if max(there) > last:
            what = f"it has seen event {max(there):,} of {last:,}: the record was cut or is another one"
            yield Finding(check, FAIL, what, "backstay features backfill makes it again")
        elif min(there) < last:
            fix = "backstay features backfill; a server does it when it starts"
            yield Finding(check, WARN, f"{last - min(there):,} events behind the record", fix)
        else:
            yield Finding(check, OK, f"in step with {last:,} events")


def _champions(context: Context) -> Iterator[Finding]:
    from backstay.serving.champions import honoured

    registry = context.records.registry
    for name, model in context.definitions.models.items():
        check, move = f"champion {name}", registry.alias(name, "champion")
        if move is None:
            yield Finding(check, WARN, "none: requests are 503", f"backstay promote NUMBER --model {name}")
            continue
        try:
            version = registry.get(name, move.to)
            honoured(model, version)
            for file in version.manifest.files:
                registry.file(version, file)
        except BackstayError as error:
            yield broken(check, error)
            continue
        yield Finding(check, OK, f"version {move.to}: {len(version.manifest.files)} files are what was registered")


def _predictions(context: Context) -> Iterator[Finding]:
    lost, mode = context.services.predictions.lost(), context.settings["predictions.mode"]
    if lost:
        fix = "durable loses none (predictions.mode); else find out why the disk could not follow"
        yield Finding("predictions", WARN, f"{lost:,} were lost in lossy mode", fix)
    else:
        yield Finding("predictions", OK, f"{mode}: none was lost")
