"""Loads what the user wrote: the module of models, and through it features and sources."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from backstay.core.errors import BackstayError, DefinitionError, NotFoundError
from backstay.definitions import EventSource, FeatureSet, Model


@dataclass(frozen=True, slots=True)
class Definitions:
    """The models of a project, and the sources they rest on."""

    models: dict[str, Model]
    sources: dict[str, EventSource]

    def model(self, name: str | None) -> Model:
        """The named model; without a name, the only one there is."""
        if name is None and len(self.models) == 1:
            return next(iter(self.models.values()))
        if name is None or name not in self.models:
            what = f"there is no model {name!r}" if name else "the project has several models"
            raise NotFoundError(what, expected=f"one of {', '.join(sorted(self.models))}", fix="name one with --model")
        return self.models[name]

    @property
    def feature_sets(self) -> dict[str, FeatureSet]:
        """The feature sets that the models name."""
        return {model.features.name: model.features for model in self.models.values()}

    def feature_set(self, name: str | None) -> FeatureSet:
        """The named feature set; without a name, the only one there is."""
        sets = self.feature_sets
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
    module = _import(project, path)
    models: dict[str, Model] = {}
    for value in vars(module).values():
        if isinstance(value, Model):
            if value.name in models and models[value.name] is not value:
                raise DefinitionError(f"two models are named {value.name!r}", where=str(path), fix="rename one")
            models[value.name] = value
    if not models:
        raise DefinitionError("the module defines no model", where=str(path), fix="assign a Model(...) to a name in it")
    sets: dict[str, FeatureSet] = {}
    for model in models.values():
        if sets.setdefault(model.features.name, model.features) is not model.features:
            raise DefinitionError(
                f"two feature sets are named {model.features.name!r}", where=model.features.where, fix="rename one"
            )
    return Definitions(models, _sources(models))


def _import(project: Path, path: Path) -> ModuleType:
    # Modules of another project (also called features, models, ...) must not be taken for this one's.
    own = {file.stem for file in project.glob("*.py")}
    for name in own & sys.modules.keys():
        origin = getattr(sys.modules[name], "__file__", None)
        if origin is None or Path(origin).parent != project:
            del sys.modules[name]
    sys.path.insert(0, str(project))
    try:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
        return module
    except BackstayError as error:
        place = ", ".join(filter(None, (error.where, _line(error, project))))
        raise type(error)(error.what, where=place, expected=error.expected, fix=error.fix) from error
    except Exception as error:
        line = _line(error, project)
        raise DefinitionError(
            f"{path.name} cannot be loaded: {type(error).__name__}: {error}", where=line or str(path)
        ) from error
    finally:
        sys.path.remove(str(project))


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


def _sources(models: dict[str, Model]) -> dict[str, EventSource]:
    out: dict[str, EventSource] = {}
    for model in models.values():
        label = model.label
        used = [*model.features.sources, model.ask.source, label.source, *([label.void] if label.void else [])]
        for source in used:
            if out.setdefault(source.name, source) is not source:
                raise DefinitionError(f"two sources are named {source.name!r}", fix="define it once and import it")
    return out
