"""A body of projects.locations.models.upload against Google's discovery document: writes what does not fit it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

KINDS = {"string": str, "boolean": bool, "object": dict, "array": list, "integer": int, "number": (int, float)}
package = metadata.distribution("google-api-python-client")
path = package.locate_file("googleapiclient/discovery_cache/documents/aiplatform.v1.json")
document = json.loads(Path(str(path)).read_text(encoding="utf-8"))


def faults(schema: dict[str, Any], value: Any, where: str) -> Iterator[str]:
    if "$ref" in schema:
        schema = document["schemas"][schema["$ref"]]
    if schema.get("type") in KINDS and not isinstance(value, KINDS[schema["type"]]):
        yield f"{where}: {value!r} is no {schema['type']}"
    elif isinstance(value, list):
        for one in value:
            yield from faults(schema["items"], one, f"{where}[]")
    elif isinstance(value, dict):
        for name, one in value.items():
            known = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            if known is None:
                yield f"{where}: there is no {name!r}"
            elif known.get("readOnly"):
                yield f"{where}.{name}: only the service sets it"
            else:
                yield from faults(known, one, f"{where}.{name}")


upload = document["resources"]["projects"]["resources"]["locations"]["resources"]["models"]["methods"]["upload"]
body = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
sys.stdout.write(json.dumps(list(faults(upload["request"], body, "body"))) + "\n")
