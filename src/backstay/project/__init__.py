"""The composition root: the one place that reads settings, picks backends and builds services.

`Project` is the façade: every verb of the command line is one call on it. It lists names and holds no logic.
"""

from backstay.project.gates import Gates
from backstay.project.project import GateRefused, Project

__all__ = ["GateRefused", "Gates", "Project"]
