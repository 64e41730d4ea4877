"""Runs: one parent per campaign, one child per distinct round. Safe to kill anywhere and to repeat.

Every step either finds what an earlier, interrupted teller did or does it; metrics carry the
child's start time, so that writing them again changes nothing. The tag ``al.complete`` comes last.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from al_plugin import layout
from al_plugin.tracking import artifacts, model, tables
from al_plugin.tracking.record import Record, repository
from al_plugin.tracking.source import DVCDatasetSource

COMPLETE = "al.complete"
_NOTE = "mlflow.note.content"
_KIND = {"mlflow.experimentKind": "custom_model_development"}
# What MLflow takes in one request.
_METRICS, _SETTINGS = 1000, 100
_INPUTS = (
    ("labels", layout.LABELED, "training"),
    ("evaluation", layout.EVAL, "evaluation"),
    ("pool", layout.POOL, "pool"),
    ("scores", layout.SCORES, "scores"),
)


def experiment(name: str, artifact_folder: Path | None) -> str:
    """Id of the experiment, made if it is not there; marked as one of training, not of prompts."""
    client = MlflowClient()
    found = client.get_experiment_by_name(name)
    if found is None:
        location = artifact_folder / name.replace("/", "-") if artifact_folder else None
        try:
            return str(client.create_experiment(name, location.as_uri() if location else None, _KIND))
        except MlflowException as error:
            found = client.get_experiment_by_name(name)
            if error.error_code != "RESOURCE_ALREADY_EXISTS" or found is None:
                raise
    if found.lifecycle_stage != "active":
        raise MlflowException(f"experiment {name} is deleted; restore it, or name another in campaign.experiment")
    for key, value in _KIND.items():
        if found.tags.get(key) != value:
            client.set_experiment_tag(found.experiment_id, key, value)
    return str(found.experiment_id)


def tell(experiment_id: str, record: Record, *, register: bool) -> tuple[bool, str]:
    """Tell of the round unless it was told; whether it was news, and the name of its run."""
    known = search(experiment_id, f"tags.`al.round_key` = '{record.key}'")
    for run in known:
        if run.data.tags.get(COMPLETE) == "true" and run.info.status == "FINISHED":
            return False, str(run.info.run_name)
    parent = _parent(experiment_id, record.campaign)
    with _child(experiment_id, record, parent, known) as run:
        model_id = _write(run, record, register=register)
        _tell_parent(experiment_id, parent, run, record)
        mlflow.set_tags({COMPLETE: "true", **({"al.model": model_id} if model_id else {})})
    return True, record.name


def search(experiment_id: str, condition: str) -> list[Run]:
    """Runs that are not deleted, oldest first."""
    client, page = MlflowClient(), None
    found: list[Run] = []
    while True:
        runs = client.search_runs(
            [experiment_id], condition, max_results=1000, order_by=["start_time ASC"], page_token=page
        )
        found += runs
        page = runs.token
        if not page:
            return found


def _newest_rounds(experiment_id: str, campaign: str) -> list[Run]:
    """Complete runs of a campaign's rounds, those of most labels first, as many as its table can show."""
    tags = {"al.kind": "round", "al.campaign": campaign, COMPLETE: "true"}
    condition = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
    order = ["metrics.`round/labels` DESC", "start_time DESC"]
    return list(MlflowClient().search_runs([experiment_id], condition, max_results=tables.MOST_ROUNDS, order_by=order))


def _parent(experiment_id: str, campaign: str) -> Run:
    """The campaign's run. Ended at once, so that it never shows a clock that runs for ever."""
    tags = {"al.kind": "campaign", "al.campaign": campaign}
    condition = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
    found = search(experiment_id, condition)
    if found:
        return found[0]
    with mlflow.start_run(run_name=campaign, experiment_id=experiment_id, tags=tags) as active:
        run: Run = active
    return run


def _child(experiment_id: str, record: Record, parent: Run, known: Sequence[Run]) -> mlflow.ActiveRun:
    """The round's run, active: the unfinished one of an earlier teller, or a new one."""
    tags = {**record.tags, _NOTE: tables.round_note(record)}
    if known:
        return mlflow.start_run(run_id=known[0].info.run_id, tags=tags)
    return mlflow.start_run(
        run_name=record.name, experiment_id=experiment_id, parent_run_id=parent.info.run_id, tags=tags
    )


def _write(run: Run, record: Record, *, register: bool) -> str | None:
    """Everything the round's run holds; the id of its model if it has one."""
    model_id = model.log(run, record) if model.servable(record) else None
    shown = [{"path": path, "type": "table"} for path in artifacts.log(record)]
    repo = repository(record.root)
    mlflow.log_inputs(
        datasets=[
            MetaDataset(  # type: ignore[abstract]  # MLflow leaves `profile` to it
                DVCDatasetSource(path, record.digests[path], repo), name=name, digest=record.digests[path]
            )
            for name, path, _ in _INPUTS
        ],
        contexts=[context for _, _, context in _INPUTS],
        tags_list=[None for _ in _INPUTS],
    )
    _log(
        run.info.run_id,
        [Param(name, value) for name, value in record.settings.items()],
        list(_metrics(record, run.info.start_time, model_id)),
        [RunTag("mlflow.loggedArtifacts", json.dumps(shown))],
    )
    if model_id and register:
        model.register(run, record, model_id)
    return model_id


def _log(run_id: str, params: list[Param], metrics: list[Metric], tags: list[RunTag]) -> None:
    """In one request, or as many as MLflow's limits ask for."""
    client = MlflowClient()
    while params or metrics or tags:
        client.log_batch(run_id, metrics[:_METRICS], params[:_SETTINGS], tags)
        params, metrics, tags = params[_SETTINGS:], metrics[_METRICS:], []


def _metrics(record: Record, at: int, model_id: str | None) -> Iterator[Metric]:
    """Numbers of the round at step 0, so that bars compare rounds; the training curve by epoch."""
    for group, values in (("round", record.round_metrics), ("scores", record.score_metrics)):
        for name, value in values.items():
            yield Metric(f"{group}/{name}", value, at, 0, model_id=model_id, run_id=None)
    for row in record.epochs:
        for name, value in row.items():
            if name != "epoch":
                yield Metric(f"train/{name.removeprefix('train_')}", value, at, int(row["epoch"]))


def _tell_parent(experiment_id: str, parent: Run, child: Run, record: Record) -> None:
    """One point per number of labels on the campaign's learning curve, and the table of its rounds."""
    client, run_id = MlflowClient(), parent.info.run_id
    there = {point.step for point in client.get_metric_history(run_id, "campaign/labels")}
    points = []
    if record.labels not in there:
        points = [
            Metric(f"campaign/{name}", value, child.info.start_time, record.labels)
            for name, value in record.campaign_metrics.items()
        ]
    rounds = [
        (run.data.tags, _round_metrics(run))
        for run in _newest_rounds(experiment_id, record.campaign)
        if run.info.run_id != child.info.run_id
    ]
    note = tables.campaign_note(record.campaign, [*rounds, (record.tags, record.round_metrics)])
    client.log_batch(run_id, metrics=points, tags=[RunTag(_NOTE, note)])
    client.set_terminated(run_id, "FINISHED")


def _round_metrics(run: Run) -> Mapping[str, float]:
    return {name.removeprefix("round/"): value for name, value in run.data.metrics.items() if name.startswith("round/")}
