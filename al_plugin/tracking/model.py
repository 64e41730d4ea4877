"""The round's model in MLflow: logged once per run, registered under the campaign, alias challenger."""

import contextlib
import io
import shutil
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mlflow import MlflowClient, pyfunc, register_model
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus, Run
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, Schema

from al_plugin import layout
from al_plugin.tracking.record import Record

CHALLENGER = "challenger"
_SERVED = Path(__file__).with_name("served.py")
_NEEDS = ("mlflow", "numpy", "pandas", "safetensors", "torch")
# The kinds of model and of network that served.py computes; a module of the user's own is not served.
_KINDS = ("mlp", "ensemble", "split_head", "variational", "swag", "cosine", "proxy")
_BODIES = ("mlp", "linear", "cnn")
_ARTIFACTS = {"weights": layout.WEIGHTS, "card": layout.CARD}


def servable(record: Record) -> bool:
    """Whether there is a fitted model, of a kind that ``served.py`` knows."""
    network = record.card["network"]
    return bool(record.card["fitted"]) and network.get("kind") in _KINDS and network.get("body") in _BODIES


def log(run: Run, record: Record) -> str:
    """Log the model to the run unless a whole one is there already; its id.

    Step by step rather than by ``pyfunc.log_model``, which cannot go on with a model that an
    interrupted teller began.
    """
    client, run_id = MlflowClient(), run.info.run_id
    begun = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}'")
    logged = begun[0] if begun else _begin(client, run, record)
    if logged.status == LoggedModelStatus.READY:
        return str(logged.model_id)
    outputs = client.get_run(run_id).outputs if begun else None
    if outputs is None or logged.model_id not in [output.model_id for output in outputs.model_outputs]:
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    with tempfile.TemporaryDirectory(prefix="al-track-") as folder:
        _save(record, logged, run_id, Path(folder))
        client.log_model_artifacts(logged.model_id, f"{folder}/model")
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    return str(logged.model_id)


def register(run: Run, record: Record, model_id: str) -> None:
    """Make the model a version of the registered model ``record.campaign``, once, and the challenger.

    The alias stays where it is if it is at a later round, told before this one.
    """
    client = MlflowClient()
    mine = client.search_model_versions(f"name = '{record.campaign}' and run_id = '{run.info.run_id}'")
    if mine:
        number = mine[0].version
    else:
        tags = {"al.round": str(record.number), "al.round_key": record.key, "dvc.model": record.tags["dvc.model"]}
        with contextlib.redirect_stderr(io.StringIO()):  # MLflow prints there what it did
            number = register_model(f"models:/{model_id}", record.campaign, tags=tags).version
    if _challenging_round(client, record.campaign) <= record.number:
        client.set_registered_model_alias(record.campaign, CHALLENGER, number)


def _begin(client: MlflowClient, run: Run, record: Record) -> LoggedModel:
    started = {name: text for name, text in run.data.tags.items() if name.startswith(("mlflow.source.", "mlflow.user"))}
    facts = {"round": str(record.number), "labels": str(record.labels), "strategy": record.strategy}
    return client.create_logged_model(
        run.info.experiment_id, record.short, run.info.run_id, {**started, **record.tags}, facts, "classifier"
    )


def _save(record: Record, logged: LoggedModel, run_id: str, folder: Path) -> None:
    """Write the model as MLflow keeps one, into ``folder/model``."""
    # MLflow takes paths for URIs: an odd name of the campaign's folder would break them.
    copies = {name: shutil.copy(record.root / path, folder) for name, path in _ARTIFACTS.items()}
    pyfunc.save_model(
        path=str(folder / "model"),
        python_model=str(_SERVED),
        artifacts=copies,
        pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in _needs(record.card)],
        signature=ModelSignature(
            outputs=Schema([ColSpec("float", name) for name in record.card["classes"] or ["value"]])
        ),
        mlflow_model=Model(
            artifact_path=logged.artifact_location,
            model_uuid=logged.model_id,
            model_id=logged.model_id,
            run_id=run_id,
        ),
    )


def _needs(card: Mapping[str, Any]) -> tuple[str, ...]:
    """Packages that predicting takes; al-plugin where samples are more than numbers."""
    return _NEEDS if card.get("form", {}).get("kind", "vector") == "vector" else (*_NEEDS, "al-plugin")


def _challenging_round(client: MlflowClient, name: str) -> int:
    """Round of the version that is challenger now, -1 if there is none or it does not say."""
    try:
        current = client.get_model_version_by_alias(name, CHALLENGER)
    except MlflowException:
        return -1
    return int(current.tags.get("al.round", "-1"))
