"""The table of settings: every one there is, with its default and what it means. `backstay settings` prints it.

They are read from `backstay.toml` in the project's folder, where `serving.port` is `port` under `[serving]`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backstay.core.errors import InputError, NotFoundError
from backstay.core.urls import NAME, filled_url

FILE = "backstay.toml"
ENVIRONMENTS = "environments."
"""Under `[environments]` stand names that a user chooses, each the folder of another project."""
NOTIFY = "notify."
"""Under `[notify]` stand, beside what the table has, names of notifiers, each with the text that it is made with."""
_OPEN = {ENVIRONMENTS: "the folder of another project", NOTIFY: "what a notifier is made with"}


@dataclass(frozen=True, slots=True)
class Setting:
    name: str
    default: str | int | float | bool | None
    meaning: str
    choices: tuple[str, ...] = ()
    bounds: tuple[float, float] | None = None
    """of a number, the least and the most"""

    def within(self, value: float, where: str) -> None:
        """Raise `InputError` for a number that is out of bounds."""
        if self.bounds is not None and not self.bounds[0] <= value <= self.bounds[1]:
            least, most = self.bounds
            expected = f"{least} or more" if most == _MOST and value < least else f"{least} to {most}"
            raise InputError(f"{self.name} is {value!r}", where=where, expected=expected)


_MOST = 2**63 - 1
"""where nothing but the number's own width is a bound"""
_PORT = (0, 65_535)
_BODY = (1, 2**31 - 1)
"""gRPC has the length of a message in 32 bits"""


SETTINGS: tuple[Setting, ...] = (
    Setting("project.name", None, "the project's name; the folder's name if it is not given"),
    Setting("project.models", "models.py", "the module that defines or imports the models, feature sets and sources"),
    Setting("project.home", ".backstay", "where records, artifacts and online state are kept, relative to the project"),
    Setting("project.lock", None, "the lock file of the training environment, for the lineage of each version"),
    Setting("project.strict", False, "refuse to register a model version whose lineage is incomplete"),
    Setting(
        "online.url",
        None,
        "the shared online state, redis:// or rediss://, ${NAME} from the environment; else the home",
    ),
    Setting("online.timeout_ms", 250, "how long a read of the shared online state may take, in ms", bounds=(1, 60_000)),
    Setting(
        "ledger.url",
        None,
        "the shared ledger, postgresql://, ${NAME} from the environment; else a SQLite file in the home",
    ),
    Setting(
        "ledger.anchors",
        None,
        "the file that keeps the ledger's heads, relative to the project; else ledger.anchors in the home",
    ),
    Setting(
        "registry.public_key",
        None,
        "load only versions that were signed with this key's private one, PEM, relative to the project",
    ),
    Setting("training.cache", False, "take a fit from the last one of the same data, code, parameters and lock file"),
    Setting(
        "features.memory",
        0,
        "bytes that a source's events may take at once in a training set; 0: no bound",
        bounds=(0, _MOST),
    ),
    Setting(
        "predictions.mode",
        "durable",
        "when a prediction is acknowledged: durable: written; sync: on the disk; lossy: at once, losses are counted",
        ("durable", "sync", "lossy"),
    ),
    Setting("serving.host", "127.0.0.1", "the address the server listens on; anything but loopback is everybody's"),
    Setting("serving.port", 8000, "the port the server listens on; 0 takes a free one", bounds=_PORT),
    Setting("serving.tls_certificate", None, "the certificate chain of the server, PEM, relative to the project"),
    Setting("serving.tls_key", None, "the key of the certificate, PEM, relative to the project"),
    Setting(
        "serving.plaintext",
        False,
        "listen without TLS on an address that is not loopback: a proxy in front terminates it",
    ),
    Setting("serving.workers", 1, "how many processes answer requests, all of them on one listener", bounds=(1, 256)),
    Setting(
        "serving.grace",
        0,
        "seconds that the server goes on for after SIGTERM, not ready any more; behind a load balancer, 5 or more",
        bounds=(0, 86_400),
    ),
    Setting("serving.log", "text", "the form of the server's lines on standard error", ("text", "json")),
    Setting(
        "serving.slow_ms",
        1_000,
        "requests that take so long, in ms, are told of in the log, as failed ones are",
        bounds=(0, _MOST),
    ),
    Setting("serving.access_log", False, "whether every request is told of in the log"),
    Setting(
        "serving.traces",
        "off",
        "whether requests are traced; otlp: to the collector that the environment names (OTEL_EXPORTER_OTLP_ENDPOINT)",
        ("off", "otlp"),
    ),
    Setting(
        "serving.trace_share",
        0.01,
        "the share of requests that are traced where the caller has not decided, 0 to 1",
        bounds=(0, 1),
    ),
    Setting("serving.body_limit", 1_048_576, "the largest body of a request for predictions, in bytes", bounds=_BODY),
    Setting("serving.rows_limit", 1_024, "the most rows in one request for predictions", bounds=(1, _MOST)),
    Setting("serving.lookup_limit", 1_048_576, "the largest body of a lookup of features, in bytes", bounds=_BODY),
    Setting("serving.push_limit", 16_777_216, "the largest body of pushed events, in bytes", bounds=_BODY),
    Setting(
        "serving.objective_ms",
        100,
        "the latency that answers are kept within, in ms, or a model's tighter objective; what cannot be is refused",
        bounds=(1, _MOST),
    ),
    Setting(
        "serving.queue_limit",
        1_024,
        "the most rows admitted and not yet answered, however fast the answers are",
        bounds=(1, _MOST),
    ),
    Setting(
        "serving.cache_bytes",
        0,
        "bytes that a worker's cache of scores may take; 0: there is none",
        bounds=(0, _MOST),
    ),
    Setting("serving.grpc", False, "whether the Open Inference Protocol is served over gRPC too, at serving.host"),
    Setting("serving.grpc_port", 8001, "the port of gRPC; 0 takes a free one", bounds=_PORT),
    Setting("serving.admin", False, "whether the admin plane (the model repository) listens, on loopback"),
    Setting("serving.admin_port", 8002, "the port of the admin plane; 0 takes a free one", bounds=_PORT),
    Setting("notify.timeout_ms", 5_000, "how long a notifier may take for a message, in ms", bounds=(1, 60_000)),
    Setting(
        "notify.least",
        "input_drift",
        "the lowest severity of an incident that people are told of",
        ("input_drift", "data_quality", "skew", "score_drift", "estimated_loss", "realised_loss"),
    ),
)

_BY_NAME = {setting.name: setting for setting in SETTINGS}


def read_settings(project: Path) -> dict[str, Any]:
    """Every setting's value, from the project's `backstay.toml` and the defaults."""
    path = project / FILE
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(
            f"there is no {FILE} in {project}",
            expected="a project's folder",
            fix=f"go to the project's folder, or name it with --project; a project begins with a {FILE}",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{FILE} is not TOML: {error}", where=str(path), expected="TOML in UTF-8", fix="mend it there"
        ) from None
    except OSError as error:
        raise InputError(
            f"{FILE} cannot be read: {error.strerror}", where=str(path), expected="a file that you may read",
            fix="mend its permissions, or put a file in its place",
        ) from None  # fmt: skip
    given = dict(_flat(document))
    for name, value in given.items():
        _check(name, value, path)
    others = {name: value for name, value in given.items() if name not in _BY_NAME}
    return {setting.name: given.get(setting.name, setting.default) for setting in SETTINGS} | others


def _flat(document: Mapping[str, Any]) -> list[tuple[str, Any]]:
    out: list[tuple[str, Any]] = []
    for section, values in document.items():
        if isinstance(values, dict):
            out += [(f"{section}.{name}", value) for name, value in values.items()]
        else:
            out.append((section, values))
    return out


def _check(name: str, value: object, path: Path) -> None:
    setting = _BY_NAME.get(name)
    place = f"{name.partition('.')[0]}."
    if setting is None and place in _OPEN:
        setting = Setting(name, None, _OPEN[place])
    if setting is None:
        raise InputError(
            f"there is no setting {name!r}", where=str(path), expected=f"one of {', '.join(_BY_NAME)}", fix="remove it"
        )
    kind = str if setting.default is None else type(setting.default)
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise InputError(
            f"{name} is {value!r}",
            where=str(path),
            expected={str: "a text", int: "a whole number", float: "a number", bool: "true or false"}[kind],
        )
    if setting.choices and value not in setting.choices:
        raise InputError(f"{name} is {value!r}", where=str(path), expected=f"one of {', '.join(setting.choices)}")
    if isinstance(value, int | float):
        setting.within(value, str(path))


def within_bounds(name: str, value: float, where: str) -> None:
    """Raise `InputError` for a number that this setting may not have, given elsewhere than in the file."""
    _BY_NAME[name].within(value, where)


def expanded(value: str | None, name: str) -> str | None:
    """A setting's text with `${NAME}` replaced by the environment's: that is where a password stands, not in a file.

    In a URL each is put into its part (`core.urls`).
    """

    def variable(named: str) -> str:
        if named not in os.environ:
            raise InputError(
                f"the environment has no variable {named!r}",
                where=name,
                fix=f"export {named}=..., then run again",
            )
        return os.environ[named]

    if value is None:
        return None
    return filled_url(value, variable) if "://" in value else NAME.sub(lambda found: variable(found[1]), value)
