"""Where MLflow keeps what it is told: which server or database, and how to look at it."""

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from al_plugin import layout
from al_plugin.foreign import without_secrets

DATABASE = "mlflow.db"
ARTIFACTS = "mlruns"
_SQLITE = "sqlite:///"
# Without /runs, MLflow 3.17 forgets the rest and opens the list.
_CHARTS = "/#/experiments/{}/runs?workflowType=machine_learning&compareRunsMode=CHART"


@dataclass(frozen=True)
class Place:
    """One tracking store.

    ``uri`` is what MLflow is given, ``shown`` the same for people (no password, short),
    ``database`` the sqlite file where there is one, ``artifacts`` the folder for the artifacts of
    new experiments (None: the server decides), ``lock`` the file that makes tellers take turns,
    ``work`` the folder that ``uri`` is relative to, where it is.
    """

    uri: str
    shown: str
    database: Path | None
    artifacts: Path | None
    lock: Path
    work: Path | None = None

    @property
    def is_http(self) -> bool:
        """Whether a server must be asked."""
        return self.uri.startswith(("http://", "https://"))

    def link(self, experiment_id: str) -> str | None:
        """How to open the charts of an experiment (MLflow's own start page hides them)."""
        charts = _CHARTS.format(quote(experiment_id, safe=""))
        if self.is_http:
            return self.shown.rstrip("/") + charts
        if self.database is None:
            return None
        command = f"mlflow ui --backend-store-uri {shlex.quote(self.shown)}"
        return f"http://127.0.0.1:5000{charts} after `{command}`"


def resolve(configured: str | None, root: Path, home: Path | None = None) -> Place:
    """The tracking store of the campaign at ``root``.

    ``tracking.uri``, else MLFLOW_TRACKING_URI, else sqlite:///mlflow.db; a relative sqlite path is
    taken from ``home`` and its artifacts lie beside it.
    """
    folder = (_home(root.resolve()) if home is None else home).resolve()
    lock = folder / layout.PRIVATE / "locks" / "mlflow.lock"
    uri = configured or os.environ.get("MLFLOW_TRACKING_URI") or f"{_SQLITE}{DATABASE}"
    if not uri.startswith(_SQLITE) or uri == _SQLITE:
        return Place(uri, without_secrets(uri), None, None, lock)
    path, mark, options = uri.removeprefix(_SQLITE).partition("?")
    database = folder / path
    # Absolute, since MLflow keeps one store per URI, whatever the folder. But it would read a % in
    # the path as an escape and a ? as the start of options.
    work = database.parent if re.search(r"[%?]", str(database)) else None
    given = f"{_SQLITE}{database if work is None else database.name}{mark}{options}"
    shown = f"{_SQLITE}{_near(database)}{mark}{options}"
    return Place(given, shown, database, database.parent / ARTIFACTS, lock, work)


def _home(root: Path) -> Path:
    """The campaign itself for a temporary copy that `dvc exp run --temp` or a queue works in."""
    for folder in root.parents:
        if folder.parts[-3:] == (".dvc", "tmp", "exps"):
            return folder.parents[2]
    return root


def _near(database: Path) -> str:
    return os.path.relpath(database) if database.is_relative_to(Path.cwd()) else str(database)
