"""The parts of a manifest that a model's definition declares, whoever made the files: features and signature."""

from __future__ import annotations

from backstay.definitions import FeatureSet, Model
from backstay.definitions.sources import type_name
from backstay.registry.manifest import Features, Signature


def declared_features(features: FeatureSet) -> Features:
    """A feature set as a manifest has it."""
    return Features(
        features.name,
        features.hash,
        list(features.vector),
        features.canonical(),
        tags=sorted(features.tags),
        untagged={feature: dict(reasons) for feature, reasons in features.untagged.items()},
    )


def declared_signature(model: Model) -> Signature:
    """What a request of a model has, what its files take, and what an answer has."""
    sources = {key: view.source for view in model.features.views for key in view.entity.keys}
    sources |= {model.label.key: model.label.source}
    return Signature(
        keys={key: type_name(sources[key].schema[key]) for key in model.keys},
        fields={feature.name: type_name(feature.dtype) for feature in model.features.requests},
        vector=list(model.features.vector),
        dtype="float32",
        outputs={"score": "float64", "decision": "bool"},
    )
