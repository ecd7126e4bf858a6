"""A request of CreateModelPackage against SageMaker's API: what botocore's validator says, and the API's own patterns.

The patterns are checked here since botocore leaves them to the service; \\p{..} is Python's nearest class.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.loaders
import botocore.model
import botocore.validate

CLASSES = {r"\p{L}": r"\w", r"\p{N}": r"\d", r"\p{Z}": r"\s", r"\p{M}": "", r"\p{S}": r"\W", r"\p{P}": r"\W"}


def faults(shape: Any, value: Any, where: str) -> Iterator[str]:
    match shape.type_name:
        case "structure":
            for name, member in shape.members.items():
                if name in value:
                    yield from faults(member, value[name], f"{where}.{name}")
        case "list":
            for one in value:
                yield from faults(shape.member, one, f"{where}[]")
        case "map":
            most = shape.metadata.get("max")
            if most is not None and len(value) > most:
                yield f"{where}: {len(value)} entries, at most {most}"
            for key, one in value.items():
                yield from faults(shape.key, key, f"{where} key")
                yield from faults(shape.value, one, f"{where}.{key}")
        case "string":
            most, pattern, allowed = shape.metadata.get("max"), shape.metadata.get("pattern"), shape.enum
            if most is not None and len(value) > most:
                yield f"{where}: {len(value)} characters, at most {most}"
            if allowed and value not in allowed:
                yield f"{where}: {value!r} is none of {allowed}"
            for name, plain in CLASSES.items():
                pattern = pattern and pattern.replace(name, plain)
            if pattern and not re.fullmatch(re.sub(r"\)\$\{", "){", pattern), value):
                yield f"{where}: {value!r} does not match {pattern}"


service = botocore.model.ServiceModel(botocore.loaders.Loader().load_service_model("sagemaker", "service-2"))
shape = service.operation_model("CreateModelPackage").input_shape
request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
report = botocore.validate.ParamValidator().validate(request, shape)
sys.stdout.write(
    json.dumps({"report": report.generate_report(), "faults": list(faults(shape, request, "request"))}) + "\n"
)
