"""A bill of materials against the official JSON schema of CycloneDX 1.6: writes what is wrong with it, or null."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(Path(sys.argv[1]).read_text(encoding="utf-8"))
sys.stdout.write(json.dumps(None if found is None else str(found)) + "\n")
