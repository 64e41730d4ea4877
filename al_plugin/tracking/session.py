"""A conversation with MLflow that leaves the process, the terminal and the database as they were."""

import contextlib
import fcntl
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from al_plugin.tracking.place import Place
from al_plugin.tracking.silence import silenced

# Read by MLflow when it is imported or when it acts; what the user has set stays.
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
# MLflow's own are 7 retries of 120 s: minutes of silence where a server has died.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
# Would make MLflow resume someone else's run.
_FOREIGN = ("MLFLOW_RUN_ID",)
_LOUD = ("mlflow", "alembic")


@contextmanager
def quiet() -> Iterator[None]:
    """No telemetry, progress bars, links, INFO lines or warnings of MLflow while the block runs."""
    with _environment(_QUIET), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow  # noqa: F401  (sets the level of its logger)

        loggers = [logging.getLogger(name) for name in _LOUD]
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Take turns with other tellers on this machine: find, then create, must not interleave."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "w", encoding="utf-8") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


@contextmanager
def talking(where: Place) -> Iterator[None]:
    """MLflow's fluent functions go to ``where`` while the block runs, without the campaign's context tags.

    A sqlite database is made first where there is none. Call inside ``alone``.
    """
    import mlflow

    if where.database is not None and not where.database.exists():
        _create(where.database)
    before = os.environ.get("MLFLOW_TRACKING_URI")
    with _environment(_PATIENCE, without=_FOREIGN), silenced(), contextlib.chdir(where.work or "."):
        mlflow.set_tracking_uri(where.uri)
        try:
            yield
        finally:
            mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # forgets, and unsets the variable
            if before is not None:
                os.environ["MLFLOW_TRACKING_URI"] = before


def _create(database: Path) -> None:
    """Make an empty tracking database in one step.

    MLflow migrates a new database for a second and cannot go on with one left half migrated, so it
    is made under another name and renamed.
    """
    from mlflow import MlflowClient

    for left_behind in database.parent.glob(f".{database.name}.*.writing*"):
        left_behind.unlink()
    # MlflowClient keeps one store per URI and process, so the name is new every time.
    temporary = database.with_name(f".{database.name}.{uuid4().hex}.writing")
    database.parent.mkdir(parents=True, exist_ok=True)
    # The default experiment's artifacts go to ./mlruns of wherever the database is made.
    with contextlib.chdir(database.parent):
        MlflowClient(tracking_uri=f"sqlite:///{temporary.name}").search_experiments(max_results=1)
    temporary.replace(database)


@contextmanager
def _environment(defaults: Mapping[str, str], without: tuple[str, ...] = ()) -> Iterator[None]:
    """Set what is not set and take away ``without``; put everything back afterwards."""
    before = {name: os.environ.get(name) for name in (*defaults, *without)}
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    for name in without:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        for name, old in before.items():
            if old is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = old
