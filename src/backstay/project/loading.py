"""Loads what the user wrote: the models, feature sets and sources that the project's module defines or imports."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from backstay.core.errors import BackstayError, DefinitionError, NotFoundError
from backstay.definitions import EventSource, FeatureSet, Model, Objective

Named = TypeVar("Named", Model, FeatureSet, EventSource)


@dataclass(frozen=True, slots=True)
class Definitions:
    """The models and feature sets of a project, and the sources they rest on, each by name."""

    models: dict[str, Model]
    feature_sets: dict[str, FeatureSet]
    sources: dict[str, EventSource]

    def model(self, name: str | None) -> Model:
        """The named model; without a name, the only one there is."""
        if not self.models:
            raise NotFoundError("the project has no model", fix="assign a Model(...) to a name in its module of models")
        if name is None and len(self.models) == 1:
            return next(iter(self.models.values()))
        if name is None or name not in self.models:
            what = f"there is no model {name!r}" if name else "the project has several models"
            raise NotFoundError(what, expected=f"one of {', '.join(sorted(self.models))}", fix="name one with --model")
        return self.models[name]

    @property
    def objectives(self) -> dict[str, Objective]:
        """What models promise, by the model's name: of those that have declared it."""
        return {name: model.objective for name, model in self.models.items() if model.objective is not None}

    def feature_set(self, name: str | None) -> FeatureSet:
        """The named feature set; without a name, the only one there is."""
        sets = self.feature_sets
        if not sets:
            raise NotFoundError(
                "the project has no feature set", fix="assign a FeatureSet(...) to a name in its module"
            )
        if name is None and len(sets) == 1:
            return next(iter(sets.values()))
        if name is None or name not in sets:
            what = f"there is no feature set {name!r}" if name else "the project has several feature sets"
            raise NotFoundError(what, expected=f"one of {', '.join(sorted(sets))}", fix="name one of them")
        return sets[name]


def load_definitions(project: Path, models_file: str) -> Definitions:
    """Import the project's module of models, fresh, with the project's folder importable."""
    path = project / models_file
    if not path.is_file():
        raise NotFoundError(f"there is no {models_file}", where=str(project), fix="set project.models in backstay.toml")
    values = list(vars(_import(project, path)).values())
    models = _named([one for one in values if isinstance(one, Model)], "models")
    sets = [model.features for model in models.values()]
    sets += [model.fairness.attributes for model in models.values() if model.fairness is not None]
    feature_sets = _named([*sets, *(one for one in values if isinstance(one, FeatureSet))], "feature sets")
    sources = [source for one in feature_sets.values() for source in one.sources]
    sources += [source for model in models.values() for source in model.sources]
    found = Definitions(
        models,
        feature_sets,
        _named([*sources, *(one for one in values if isinstance(one, EventSource))], "sources"),
    )
    if not found.sources:
        raise DefinitionError(
            "the module defines no model, no feature set and no source",
            where=str(path),
            fix="assign a Model(...), a FeatureSet(...) or an EventSource(...) to a name in it",
        )
    return found


def _named(definitions: Iterable[Named], kind: str) -> dict[str, Named]:
    """Definitions by name; two of one name are refused."""
    out: dict[str, Named] = {}
    for one in definitions:
        other = out.setdefault(one.name, one)
        if other is not one:
            places = " and ".join(filter(None, (other.place, one.place)))
            raise DefinitionError(
                f"two {kind} are named {one.name!r}",
                where=places,
                expected="one definition for one name",
                fix="define it once and import it, or rename one",
            )
    return out


def _import(project: Path, path: Path) -> ModuleType:
    # Modules of another project (also called features, models, ...) must not be taken for this one's.
    own = {file.stem for file in project.glob("*.py")}
    for name in own & sys.modules.keys():
        origin = getattr(sys.modules[name], "__file__", None)
        if origin is None or Path(origin).parent != project:
            del sys.modules[name]
    sys.path.insert(0, str(project))
    # Bytecode is taken for the source's where both are of one second and one size: a definition would be an old one.
    kept, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
        return module
    except BackstayError as error:
        if re.search(r"\.py:\d", error.where):  # it says where already
            raise
        place = ", ".join(filter(None, (error.where, _line(error, project))))
        raise type(error)(error.what, where=place, expected=error.expected, fix=error.fix) from error
    except Exception as error:
        line = _line(error, project)
        raise DefinitionError(
            f"{path.name} cannot be loaded: {type(error).__name__}: {error}",
            where=line or str(path),
            fix=_remedy(error, path),
        ) from error
    finally:
        sys.dont_write_bytecode = kept
        sys.path.remove(str(project))


def _remedy(error: Exception, path: Path) -> str:
    """What to do about a module that cannot be imported."""
    if isinstance(error, ModuleNotFoundError):
        return f"install what has {error.name!r}, or correct the name"
    if isinstance(error, ImportError) and error.name == path.stem:  # it is half way through being loaded itself
        return f"a module that {path.name} imports imports {path.name}: move what both need into a third"
    return "mend that line"


def _line(error: BaseException, project: Path) -> str:
    """The last line of the user's own files in the error's trace."""
    if isinstance(error, SyntaxError) and error.filename and error.filename.startswith(str(project)):
        return f"{error.filename}:{error.lineno}"
    found, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file.startswith(str(project)) and "site-packages" not in file:
            found = f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found
