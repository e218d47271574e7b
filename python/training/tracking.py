"""Records runs in MLflow: parameters, training curves and results."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from training.errors import InputError


def default_uri(output: Path) -> str:
    """URI of a sqlite store in the output folder."""
    return f"sqlite:///{output.resolve() / 'mlflow.db'}"


class Run:
    """An open run of an experiment, created by `with tracking.run(...)`."""

    def __init__(self, client: Any, identifier: str) -> None:
        self._client, self.identifier = client, identifier

    def parameters(self, values: Mapping[str, object]) -> None:
        """Logs parameters. A resumed run already has the same ones."""
        for name, value in values.items():
            self._client.log_param(self.identifier, name, value)

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Logs figures at a step. For curves, the step is the epoch, counted from 1."""
        for name, value in values.items():
            self._client.log_metric(self.identifier, name, float(value), step=step)

    def artifact(self, path: Path) -> None:
        """Copies a file into the store."""
        self._client.log_artifact(self.identifier, str(path))


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Holds an exclusive lock on `folder`; waits for other processes to release it."""
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def run(uri: str, output: Path, experiment: str, name: str, identifier: str | None) -> Iterator[Run]:
    """Opens a run and closes it as finished, or as failed or killed if an exception is raised.

    SIGTERM is handled like Ctrl-C in the block, so that a run ended by a job scheduler is recorded as killed.

    Args:
      uri: MLflow's tracking store.
      output: folder of the run; also holds the artifacts of a local store.
      experiment: name of the experiment that the run belongs to.
      name: name of the run.
      identifier: the run to resume; None for a new run. If the store does not have the run, a new one is created.

    Raises:
      InputError: if the store cannot be used.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    warnings.filterwarnings("ignore", module="mlflow")
    logging.disable(logging.INFO)  # creating a store logs forty migrations
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    try:
        with _alone(output):  # two runs cannot create a store at the same time
            client = MlflowClient(uri)
            client.search_experiments(max_results=1)
        found = client.get_experiment_by_name(experiment)
        local = uri.startswith(("sqlite:", "file:")) or "://" not in uri
        place = (output.resolve() / "artifacts" / experiment).as_uri() if local else None
        number = found.experiment_id if found else client.create_experiment(experiment, artifact_location=place)
        if identifier:
            try:
                client.update_run(identifier, status="RUNNING")
            except MlflowException:
                identifier = None
        identifier = identifier or client.create_run(number, run_name=name).info.run_id
        logging.disable(logging.NOTSET)
    except Exception as error:  # of sqlalchemy, requests, mlflow: the store cannot be used
        raise InputError(f"--tracking_uri {uri}: {' '.join(str(error).split())[:300]}") from error
    handler = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield Run(client, identifier)
    except KeyboardInterrupt:
        client.set_terminated(identifier, "KILLED")
        raise
    except BaseException:
        client.set_terminated(identifier, "FAILED")
        raise
    finally:
        signal.signal(signal.SIGTERM, handler)
    client.set_terminated(identifier, "FINISHED")
