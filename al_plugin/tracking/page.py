"""A round's report page beside the rest of its run."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from al_plugin.errors import TrackingError
from al_plugin.tracking import conversed

if TYPE_CHECKING:
    from al_plugin.settings import Params

ARTIFACT = "report.html"


def attach(params: "Params", key: str, page: bytes, *, root: str | Path = ".") -> str:
    """Add the page to the run of the round with this key, replacing an older one; a line that says so.

    TrackingError where MLflow does not answer or was not told of the round.
    """
    from al_plugin.tracking import place

    where = place.resolve(params.tracking.uri, Path(root), None)
    name, trouble = conversed(where, lambda: _log(params.campaign.experiment, key, page))
    if trouble:
        raise TrackingError(f"MLflow at {where.shown} could not be told ({trouble})", change="al report --track later")
    if name is None:
        raise TrackingError(f"MLflow at {where.shown} has no run of this round", change="run al track, then this again")
    return f"added to MLflow's run {name} as {ARTIFACT}"


def _log(experiment: str, key: str, page: bytes) -> str | None:
    from mlflow import MlflowClient

    client = MlflowClient()
    found = client.get_experiment_by_name(experiment)
    runs = client.search_runs([found.experiment_id], f"tags.`al.round_key` = '{key}'") if found else []
    if not runs:
        return None
    with tempfile.TemporaryDirectory(prefix="al-report-") as folder:
        path = Path(folder, ARTIFACT)
        path.write_bytes(page)
        client.log_artifact(runs[0].info.run_id, str(path))
    return str(runs[0].info.run_name)
