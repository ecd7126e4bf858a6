"""A tracking URI of MLflow, asked by MLflow's own client; what goes wrong there is told with the place."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from backstay.core.errors import BackstayError, ConflictError, InputError
from backstay.core.packages import missing, need

_QUIETLY = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # it would tell its makers what is called
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # where --json has its one object
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # by default seven, which take minutes where nobody answers
}
"""Settings of MLflow's client that are set here, unless the environment has them otherwise."""
_NOT_THERE = "RESOURCE_DOES_NOT_EXIST"
_NO_ALIAS = " not found."  # MLflow has no code of its own for an alias that is not there


class Server:
    """The calls of `MlflowClient` against one tracking URI. `uri` is shown without a user's name and password."""

    def __init__(self, uri: str) -> None:
        if not uri.strip():  # MLflow would take it for a store of its own in the working directory
            raise InputError(
                "the tracking URI is empty", where="URI", expected="where MLflow is",
                fix="for example http://127.0.0.1:5000",
            )  # fmt: skip
        for name, value in _QUIETLY.items():
            os.environ.setdefault(name, value)
        mlflow = need("mlflow", "mlflow")
        logging.getLogger("mlflow.store.model_registry").setLevel(logging.WARNING)  # a line for each version
        self._refused: type[Exception] = mlflow.exceptions.MlflowException
        self._given, self.uri = uri, shown(uri)
        self._secret = uri.partition("://")[2].partition("@")[0] + "@"
        try:
            self._client = mlflow.MlflowClient(tracking_uri=uri)
        except ImportError as error:  # a database wants more of MLflow than its client
            raise missing(error, "mlflow") from error
        except self._refused as error:
            raise self._told(error) from error

    def ask(self, call: str, *arguments: Any, **named: Any) -> Any:
        """What a method of the client answers; `BackstayError` with what MLflow said and where."""
        try:
            return getattr(self._client, call)(*arguments, **named)
        except (self._refused, OSError) as error:
            raise self._told(error) from error

    def find(self, call: str, *arguments: Any) -> Any:
        """The same; None if what is asked about is not there."""
        try:
            return getattr(self._client, call)(*arguments)
        except (self._refused, OSError) as error:
            if getattr(error, "error_code", "") == _NOT_THERE or str(error).endswith(_NO_ALIAS):
                return None
            raise self._told(error) from error

    def pages(self, call: str, *arguments: Any, **named: Any) -> Iterator[Any]:
        """Everything that a search finds, page by page."""
        token = None
        while True:
            page = self.ask(call, *arguments, page_token=token, **named)
            yield from page
            token = page.token
            if not token:
                return

    def experiment(self, name: str, tags: dict[str, str]) -> str:
        """The id of the experiment of this name, made if there is none."""
        found = self.find("get_experiment_by_name", name)
        if found is None:
            return str(self.ask("create_experiment", name, tags=tags))
        if found.lifecycle_stage != "active":
            raise ConflictError(
                f"the experiment {name!r} was deleted there", where=self.uri,
                fix=f"restore it there (mlflow experiments restore -x {found.experiment_id}), or purge it",
            )  # fmt: skip
        return str(found.experiment_id)

    def download(self, uri: str, folder: str) -> str:
        """Bring the files under an artifact URI into a folder; where they lie then."""
        artifacts = need("mlflow.artifacts", "mlflow")
        try:
            return str(artifacts.download_artifacts(artifact_uri=uri, dst_path=folder, tracking_uri=self._given))
        except (self._refused, OSError) as error:
            raise self._told(error) from error

    def entities(self) -> Any:
        """MLflow's plain classes: Metric, Param, RunTag."""
        return need("mlflow.entities", "mlflow")

    def _told(self, error: Exception) -> BackstayError:
        said = (str(error).splitlines() or [type(error).__name__])[0].replace(self._secret, "")
        if isinstance(error, OSError) or "failed with exception" in said or "Max retries" in said:
            return BackstayError(
                f"MLflow cannot be reached: {said}", where=self.uri,
                fix="start it, or name the URI at which it answers, e.g. http://127.0.0.1:5000",
            )  # fmt: skip
        return BackstayError(f"MLflow refused: {said}", where=self.uri)


def shown(uri: str) -> str:
    """A URI without the user's name and password, as it may be recorded.

    >>> shown("https://ann:secret@mlflow.internal:5000/x"), shown("sqlite:///mlflow.db"), shown("mlruns")
    ('https://mlflow.internal:5000/x', 'sqlite:///mlflow.db', 'mlruns')
    """
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else uri
