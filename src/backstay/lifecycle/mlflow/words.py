"""How names and values of ours are said in MLflow, which allows fewer of them, and the tags that the mirror sets."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping
from typing import Any

from backstay.core.identity import sha256
from backstay.storage.runs import FAILED, FINISHED, KILLED, RUNNING

PROJECT, MODEL, RUN, STATE, FILES = (f"backstay.{name}" for name in ("project", "model", "run", "state", "files"))
VERSION, MANIFEST, ALIASES, RETIRED = (f"backstay.{name}" for name in ("version", "manifest", "aliases", "retired"))

STATUS = {RUNNING: "RUNNING", FINISHED: "FINISHED", FAILED: "FAILED", KILLED: "KILLED"}
_ALLOWED = re.compile(r"[\w\-./ ]{1,250}")
_LONGEST_FILE = 200
_LONGEST_PARAMETER, _LONGEST_TAG = 6_000, 8_000
_OURS = ("backstay.", "mlflow.")


def key(name: str) -> str:
    """A name that MLflow takes for a parameter, metric or tag. Another one gets its digest, so that none are confused.

    >>> key("model.rate"), key("auc@10"), key("a//b")
    ('model.rate', 'auc_10-4b975f3a', 'a_b-7a9acf33')
    """
    whole = posixpath.normpath(name) == name and name != "." and not name.startswith(("/", ".."))
    if whole and _ALLOWED.fullmatch(name):
        return name
    plain = re.sub(r"[^\w\-. ]+", "_", name)[:_LONGEST_FILE].strip(". ")
    return f"{plain}-{sha256(name.encode())[:8]}"


def tag(name: str) -> str:
    """A tag's name; those that would say something to MLflow, or in our place, get another.

    >>> tag("stage"), tag("mlflow.runName")
    ('stage', 'tags.mlflow.runName')
    """
    return key(f"tags.{name}" if name.startswith(_OURS) else name)


def parameter(value: Any) -> str:
    """A parameter's value as a text: texts as they are, anything else as JSON. The run's own file has all of it."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return cut(text, _LONGEST_PARAMETER)


def tags(values: Mapping[str, str]) -> dict[str, str]:
    """A run's tags."""
    return {tag(name): cut(value, _LONGEST_TAG) for name, value in values.items()}


def cut(text: str, most: int = _LONGEST_TAG) -> str:
    """A text of at most so many characters; dots say that there was more."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def file(name: str) -> str:
    """A file's name in a folder. One that is no plain name gets its digest before it; so none leaves the folder.

    >>> file("curve.png"), file("../a b")
    ('curve.png', '2c2c791a-_a b')
    """
    plain = re.sub(r"[^\w\-. ]+", "_", name)[-_LONGEST_FILE:].strip(". ")
    return name if name == plain else f"{sha256(name.encode())[:8]}-{plain}"
