"""Model versions: what was trained, from what, and which of them is champion.

A *model version* is its *manifest*: the digests of its files, its data, its features, its code and its parameters. The
same training gives the same manifest to the byte, so a version can be made again and compared; and a manifest that
misses a part says so (`missing_lineage`), which strict mode refuses.

An *alias* (champion, challenger) points at a version. It is moved by compare-and-swap, and each move is an entry of the
ledger with who, when and on what evidence:

    ok      seen = registry.alias("arrivals", "champion")
            registry.move_alias("arrivals", "champion", 2, evidence=..., at=now, actor="ana", expect=seen.entry_id)
    not ok  two people promote at once, and the second undoes what the first decided without having seen it

What is read is verified against what was recorded, all the way: ledger entry, manifest, file.
"""

from backstay.registry.environment import Environment, capture
from backstay.registry.manifest import Code, Dataset, Features, Manifest, Scoring, missing_lineage
from backstay.registry.versions import AliasMove, ModelVersion, Registry

__all__ = [
    "AliasMove",
    "Code",
    "Dataset",
    "Environment",
    "Features",
    "Manifest",
    "ModelVersion",
    "Registry",
    "Scoring",
    "capture",
    "missing_lineage",
]
