"""Champions: the registered model that rounds are compared with, and how a challenger becomes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from al_plugin import layout
from al_plugin.errors import TrackingError
from al_plugin.tracking import T, conversed

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from al_plugin.settings import Params

CHAMPION = "champion"


@dataclass(frozen=True)
class Champion:
    """The version with the alias champion: its round, its metrics by name, DVC's hash of its evaluation set."""

    version: str
    round: int
    metrics: Mapping[str, float]
    evaluated_on: str | None


@dataclass(frozen=True)
class Promoted:
    """What became of a promotion, in a line for people."""

    status: Literal["promoted", "already", "not", "unreachable"]
    message: str


def champion(params: "Params", root: str | Path = ".") -> tuple[Champion | None, str]:
    """The campaign's champion or None, and why MLflow could not be asked ("" where it could).

    TrackingError where it could not and ``tracking.required``.
    """
    return _asked(params, Path(root), lambda: _champion(params.campaign.name))


def promote(params: "Params", root: str | Path = ".") -> Promoted:
    """Give the alias champion to the model of the round in ``root``; telling twice changes nothing.

    Not where it was never registered, and not where a later round is the challenger: then another
    round is the one to judge.
    """
    from al_plugin.tracking import record

    told = record.read(params, Path(root))
    done, trouble = _asked(params, Path(root), lambda: _promote(told.campaign, told.number, told.key))
    return done or Promoted("unreachable", f"round {told.number} could not be promoted ({trouble})")


def _asked(params: "Params", root: Path, question: Callable[[], T]) -> tuple[T | None, str]:
    """The answer to a question to MLflow and "", or None and the trouble with it."""
    from al_plugin.tracking import place

    where = place.resolve(params.tracking.uri, root)
    found, trouble = conversed(where, question)
    if not trouble:
        return found, ""
    trouble = f"MLflow at {where.shown} could not be asked: {trouble}"
    if params.tracking.required:
        raise TrackingError(trouble, change="start it, correct tracking.uri, or set tracking.required to false")
    return None, trouble


def _champion(name: str) -> Champion | None:
    from mlflow import MlflowClient

    version = _by_alias(name, CHAMPION)
    if version is None or not version.run_id:
        return None
    run = MlflowClient().get_run(version.run_id)
    inputs = run.inputs.dataset_inputs if run.inputs else []
    digests = {one.dataset.name: str(one.dataset.digest) for one in inputs}
    metrics = {key.removeprefix("round/"): value for key, value in run.data.metrics.items() if key.startswith("round/")}
    return Champion(str(version.version), _round(version), metrics, digests.get("evaluation"))


def _promote(name: str, number: int, key: str) -> Promoted:
    from mlflow import MlflowClient

    from al_plugin.tracking.model import CHALLENGER

    client = MlflowClient()
    versions = client.search_model_versions(f"name = '{name}' and tags.`al.round_key` = '{key}'")
    if not versions:
        return Promoted(
            "not", f"no version of {name} in MLflow is round {number}; `al track` registers what it can serve"
        )
    version = versions[0]
    challenger = _by_alias(name, CHALLENGER)
    if challenger is not None and _round(challenger) > number:
        return Promoted("not", f"round {_round(challenger)} is the challenger, not round {number}")
    before = _by_alias(name, CHAMPION)
    if before is not None and before.version == version.version:
        return Promoted("already", f"round {number} is the champion, version {version.version} of {name}")
    client.set_registered_model_alias(name, CHAMPION, version.version)
    instead = f" instead of round {_round(before)}, version {before.version}" if before is not None else ""
    return Promoted("promoted", f"round {number}, version {version.version} of {name}, is the champion now{instead}")


def _by_alias(name: str, alias: str) -> "ModelVersion | None":
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        return MlflowClient().get_model_version_by_alias(name, alias)
    except MlflowException as error:
        # No such model, or no such alias; anything else is trouble.
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _round(version: "ModelVersion") -> int:
    return int(version.tags.get("al.round", "-1"))


def evaluated_on(root: str | Path = ".") -> str | None:
    """DVC's hash of the evaluation set that the round in ``root`` was measured on, from its dvc.lock."""
    from al_plugin.tracking.digests import read_lock

    entry = read_lock(Path(root)).get(layout.EVAL)
    return None if entry is None else entry.md5
