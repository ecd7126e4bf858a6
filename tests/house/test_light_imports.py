"""What must not be loaded. Looked up in a fresh process: this one has long imported everything."""

from __future__ import annotations

import subprocess
import sys

from tests.house.trees import ROOT

TRAINING = {"lightgbm", "sklearn", "onnx", "onnxmltools", "skl2onnx", "pandas", "scipy"}
FRAMES = {"polars", "numpy", "deltalake", "onnxruntime", "sqlalchemy", "typer", "rich"}

_EVERY_MODULE_OF_SERVING = """
import importlib, pkgutil, backstay.serving
for module in pkgutil.walk_packages(backstay.serving.__path__, "backstay.serving."):
    importlib.import_module(module.name)
"""
_THE_SERVER_OF_A_PROJECT = """
from pathlib import Path
import backstay.project.serving
from backstay.project.loading import load_definitions
load_definitions(Path("examples/flights").resolve(), "models.py")
"""


def loaded(code: str) -> set[str]:
    """The top-level packages that `code` has loaded, run in a process of its own."""
    report = "\nimport sys; print('\\n'.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code + report], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_importing_the_package_loads_no_frames_and_no_models() -> None:
    assert not loaded("import backstay") & (FRAMES | TRAINING)


def test_a_verb_starts_without_what_only_its_work_takes() -> None:
    assert not loaded("from backstay.cli import main") & (FRAMES - {"typer", "rich"} | TRAINING)


def test_serving_loads_no_training_library() -> None:
    packages = loaded(_EVERY_MODULE_OF_SERVING)
    assert "backstay" in packages
    assert not packages & TRAINING


def test_the_server_of_a_project_loads_no_training_library() -> None:
    assert not loaded(_THE_SERVER_OF_A_PROJECT) & TRAINING
