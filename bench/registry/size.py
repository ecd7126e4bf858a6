"""How many packages a distribution brings, and how large they are, by what their installers recorded."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement


def closure(name: str) -> dict[str, float]:
    """The packages that one needs, itself included and no extras: how many, and their files' sizes in 10^6 bytes."""
    names, todo, size = set[str](), [name], 0
    while todo:
        one = todo.pop()
        key = one.lower().replace("_", "-").replace(".", "-")
        if key in names:
            continue
        try:
            found = distribution(one)
        except PackageNotFoundError:
            continue
        names.add(key)
        size += sum(file.size or 0 for file in found.files or ())
        for text in found.requires or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                todo.append(needed.name)
    return {"packages": len(names), "size": size / 1e6}
