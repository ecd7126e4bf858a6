"""The bridge to MLflow: runs, versions and aliases are mirrored to a tracking URI, and models come in from one.

    server = Server("http://mlflow.internal:5000")
    mirror(records, "flights", models, server)
    bring(records, model, server, "models:/late/1", strict=False, claims=Claims())

The mirror goes one way: nothing is decided by what MLflow says. What it is read for is what is there already, so that
nothing is written twice. MLflow is imported when a `Server` is made.
"""

from backstay.lifecycle.mlflow.arrival import Claims, asked, bring
from backstay.lifecycle.mlflow.mirror import Mirrored, mirror
from backstay.lifecycle.mlflow.server import Server

__all__ = ["Claims", "Mirrored", "Server", "asked", "bring", "mirror"]
