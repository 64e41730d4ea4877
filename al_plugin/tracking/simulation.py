"""A simulation as MLflow shows it: a run per arm with a run per seed inside, steps are numbers of labels."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from al_plugin.tracking import Told, conversed, unreachable

if TYPE_CHECKING:
    from al_plugin.settings import Params
    from al_plugin.tracking.place import Place

_EXPERIMENT = "{}/simulations"
_DONE = "the simulation's files are complete, `al simulate --track` tells it later"


def tell_simulation(params: "Params", document: Mapping[str, Any], files: Sequence[Path]) -> Told:
    """Tell MLflow of a simulation's document and files: once per content, however often asked.

    Where MLflow does not answer the status is ``unreachable``, or TrackingError if ``tracking.required``.
    """
    from al_plugin.tracking import place

    where = place.resolve(params.tracking.uri, Path())
    found, trouble = conversed(where, lambda: _told(params, where, document, files))
    return unreachable(params, where, trouble, _DONE) if found is None else found


def _told(params: "Params", where: "Place", document: Mapping[str, Any], files: Sequence[Path]) -> Told:
    from al_plugin.tracking import runs

    name = _EXPERIMENT.format(params.campaign.experiment)
    experiment_id = runs.experiment(name, where.artifacts)
    fresh = [_tell(experiment_id, document, arm, files) for arm in (document["results"] or {"arms": ()})["arms"]]
    link = where.link(experiment_id)
    if any(fresh):
        return Told("told", f"simulation told to MLflow, experiment {name}", link)
    return Told("already", f"MLflow was told of this simulation before, experiment {name}", link)


def _tell(experiment_id: str, document: Mapping[str, Any], arm: str, files: Sequence[Path]) -> bool:
    """One arm with its seeds, unless it was told; whether it was news."""
    import mlflow
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    from al_plugin.tracking.runs import COMPLETE, search

    key = hashlib.sha256(json.dumps([arm, document], sort_keys=True).encode()).hexdigest()
    client = MlflowClient()
    known = search(experiment_id, f"tags.`al.simulation_key` = '{key}'")
    for run in known:
        if run.data.tags.get(COMPLETE) == "true":
            return False
        # Told half way by one that was stopped: begun anew.
        for child in search(experiment_id, f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"):
            client.delete_run(child.info.run_id)
        client.delete_run(run.info.run_id)
    tags = {"al.kind": "simulation", "al.arm": arm, "al.simulation_key": key, "al.simulation": document["key"]}
    with mlflow.start_run(run_name=arm, experiment_id=experiment_id, tags=tags) as run:
        mlflow.log_params(_settings(document, arm))
        client.log_batch(
            run.info.run_id, [Metric(n, v, run.info.start_time, step) for n, v, step in _points(document, arm)]
        )
        for path in filter(Path.exists, files):
            mlflow.log_artifact(str(path))
        _tell_seeds(experiment_id, run.info.run_id, document, arm)
        mlflow.set_tag(COMPLETE, "true")
    return True


def _tell_seeds(experiment_id: str, parent: str, document: Mapping[str, Any], arm: str) -> None:
    import mlflow
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    found, metric = document["results"]["arms"][arm], document["question"]["metric"]
    for seed, values in enumerate(found["by_seed"]):
        tags = {"al.kind": "simulated_run", "al.arm": arm}
        with mlflow.start_run(
            run_name=f"{arm} seed {seed}", experiment_id=experiment_id, nested=True, parent_run_id=parent, tags=tags
        ) as run:
            at = run.info.start_time
            points = [
                Metric(f"simulation/{metric}", v, at, labels) for labels, v in zip(found["labels"], values, strict=True)
            ]
            area = Metric("simulation/area", found["area_by_seed"][seed], at, found["labels"][-1])
            MlflowClient().log_batch(run.info.run_id, [*points, area])


def _settings(document: Mapping[str, Any], arm: str) -> dict[str, str]:
    plan = {name: document["plan"][name] for name in ("seeds", "start", "n", "rounds", "root")}
    return {name: str(value) for name, value in {**document["strategies"][arm], **plan, **document["settings"]}.items()}


def _points(document: Mapping[str, Any], arm: str) -> Iterator[tuple[str, float, int]]:
    """Name, value and number of labels of every metric of an arm."""
    found, metric = document["results"]["arms"][arm], document["question"]["metric"]
    for i, labels in enumerate(found["labels"]):
        yield f"simulation/{metric}", found["mean"][i], labels
        if found["half_width"] is not None:
            yield f"simulation/{metric}_low", found["mean"][i] - found["half_width"][i], labels
            yield f"simulation/{metric}_high", found["mean"][i] + found["half_width"][i], labels
    last = found["labels"][-1]
    yield "simulation/area", found["area"], last
    if found["to_target"] is not None:
        yield "simulation/labels_to_target", found["to_target"], last
    for one in document["results"]["against_reference"]:
        if one["first"] == arm:
            yield "simulation/area_minus_random", one["mean"], last
            if one["low"] is not None:
                yield "simulation/area_minus_random_low", one["low"], last
                yield "simulation/area_minus_random_high", one["high"], last
