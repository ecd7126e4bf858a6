"""What of a folder in MLflow's model format can be served here: its data, by a runtime that is ours.

MLflow's `python_function` runs code that lies in the folder; it is never called. A flavour whose file is data (ONNX,
LightGBM's text, XGBoost's JSON) is taken as it is. A pickle is code, and is only taken for a model that says
runtime="sklearn-pickle" and trust_code=True.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backstay.core.errors import InputError
from backstay.core.packages import need
from backstay.definitions import Model
from backstay.runtimes import lightgbm, onnx, pickled, xgboost

DESCRIPTION = "MLmodel"
_DATA = {"onnx": (onnx.FILE, "onnx"), "lightgbm": (lightgbm.FILE, "lightgbm"), "xgboost": (xgboost.FILE, "xgboost")}
"""The flavours whose files may be data: the name that our runtime gives the file, and the runtime."""
_ENDINGS = {"onnx": ".onnx", "lightgbm": ".lgb", "xgboost": ".json"}
_PICKLES = ("lightgbm", "xgboost", "sklearn")
_PICKLE = "sklearn-pickle"


@dataclass(frozen=True, slots=True)
class Flavour:
    """One flavour of a folder, chosen: the runtime that serves it, its file under that runtime's name, its class."""

    name: str
    format: str
    file: str
    data: bytes
    model_class: str


def described(folder: Path) -> dict[str, Any]:
    """The folder's MLmodel, as plain data."""
    place = folder / DESCRIPTION
    try:
        found = need("yaml", "mlflow").safe_load(place.read_bytes())
    except OSError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("flavors"), dict):
        raise InputError(
            f"there is no {DESCRIPTION} that names flavours", where=DESCRIPTION, expected="a model that MLflow logged"
        )
    return found


def chosen(model: Model, folder: Path, told: Mapping[str, Any]) -> Flavour:
    """The flavour to take: one that is data, or a pickle where the model trusts it; `InputError` says why none."""
    flavours = told["flavors"]
    for name, (file, runtime) in _DATA.items():
        path = str(flavours.get(name, {}).get("data", ""))
        if path.endswith(_ENDINGS[name]):
            data = _single(folder, path) if name == "onnx" else _read(folder, path)
            return Flavour(name, runtime, file, data, str(flavours[name].get("model_class", "")))
    for name in _PICKLES:
        held = flavours.get(name, {})
        path = str(held.get("pickled_model") or held.get("data") or "")
        if path.endswith(".pkl") and held.get("serialization_format") in ("pickle", "cloudpickle"):
            _trusted(model, name)
            return Flavour(name, _PICKLE, pickled.FILE, _read(folder, path), str(held.get("model_class", "")))
    forms = "; ".join(sorted(_form(name, held) for name, held in flavours.items())) or "none"
    raise InputError(
        f"none of its flavours can be served here: {forms}", where=f"{DESCRIPTION}, flavors",
        expected="onnx, lightgbm with a Booster, or xgboost with model_format='json': files that are data",
        fix="log it once more with mlflow.onnx.log_model(...); python_function alone is code, and is never run",
    )  # fmt: skip


def check_inputs(told: Mapping[str, Any], vector: Sequence[str]) -> bool:
    """Whether the signature names the inputs; `InputError` where it names others than the vector has, or in its order.

    Without a signature, or with one of a tensor, only the number of inputs is known.
    """
    signature = told.get("signature") or {}
    given = json.loads(signature.get("inputs") or "[]")
    metadata = (told.get("metadata") or {}).get("backstay")
    names = [one.get("name") for one in given if one.get("type") != "tensor"]
    if not names and isinstance(metadata, dict):
        names = list(metadata.get("columns", []))
    if names and names != list(vector):
        raise InputError(
            f"its signature has the inputs {_short(names)}", where=f"{DESCRIPTION}, signature",
            expected=f"the model's vector, in this order: {_short(vector)}",
            fix="declare the feature set that it was trained on, its features in the order of training",
        )  # fmt: skip
    for one in given:
        shape = one.get("tensor-spec", {}).get("shape", [len(vector)])
        if shape[-1] not in (-1, len(vector)) or (len(given) > 1 and not names):
            raise InputError(
                f"its signature has {len(given)} tensor(s), the first of shape {tuple(shape)}",
                where=f"{DESCRIPTION}, signature", expected=f"one of shape (-1, {len(vector)})",
                fix="declare the feature set that it was trained on",
            )  # fmt: skip
    return bool(names)


def packages(folder: Path) -> dict[str, str]:
    """The packages that MLflow pinned for it, which are those that it was logged with."""
    place = folder / "requirements.txt"
    lines = place.read_text(encoding="utf-8").splitlines() if place.is_file() else []
    pinned = (line.partition(";")[0].strip().partition("==") for line in lines)
    return {name.strip(): version.strip() for name, equal, version in pinned if equal and name and version}


def _trusted(model: Model, flavour: str) -> None:
    if model.runtime != _PICKLE or not model.trust_code:
        raise InputError(
            f"its flavour {flavour!r} is a pickle: code, which runs when it is loaded",
            where=f"{DESCRIPTION}, flavors",
            expected="a flavour that is data: onnx, or lightgbm with a Booster",
            fix=f"log it with mlflow.onnx.log_model(...), or, if you trust whoever can write there, say "
            f"Model({model.name!r}, ..., runtime='{_PICKLE}', trust_code=True)",
        )


def _single(folder: Path, path: str) -> bytes:
    """An ONNX model as one file; MLflow puts large tensors beside it, unless it is told otherwise."""
    data = _read(folder, path)
    known = {DESCRIPTION, "conda.yaml", "python_env.yaml", "requirements.txt", Path(path).name}
    beside = [one for one in _files(folder) if one not in known and not one.startswith(("backstay/", "input_example"))]
    if not beside:
        return data
    library = need("onnx")
    whole: bytes = library.load(str(folder / path)).SerializeToString()
    return whole


def _files(folder: Path) -> Iterator[str]:
    return (one.relative_to(folder).as_posix() for one in sorted(folder.rglob("*")) if one.is_file())


def _read(folder: Path, path: str) -> bytes:
    place = (folder / path).resolve()
    if not place.is_relative_to(folder.resolve()) or not place.is_file():
        raise InputError(f"there is no file {path!r} in it", where=DESCRIPTION, expected="the files that it names")
    return place.read_bytes()


def _form(name: str, held: Any) -> str:
    form = held.get("serialization_format") or held.get("model_format") if isinstance(held, dict) else None
    return f"{name} ({form})" if form else name


def _short(names: Sequence[Any]) -> str:
    told = ", ".join(str(name) for name in names[:12])
    return f"{told}, ... ({len(names)})" if len(names) > 12 else told
