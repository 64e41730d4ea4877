"""MLflow, told of every round. The only floor that imports it, and only inside functions.

MLflow loads ``context`` and ``source`` as plugins while it is being imported itself, so nothing
here may import mlflow, or anything slow, at module level.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from al_plugin.errors import AlError, TrackingError

if TYPE_CHECKING:
    from al_plugin.config import Params
    from al_plugin.tracking.place import Place
    from al_plugin.tracking.record import Record

_LONGEST_CAUSE = 300
_LATER = "the round is complete, `al track` tells it later"


@dataclass(frozen=True)
class Told:
    """What became of telling: a line for people, and how to look at it where there is something."""

    status: Literal["told", "already", "unreachable"]
    message: str
    link: str | None = None


def tell(params: "Params", *, root: str | Path = ".", home: str | Path | None = None) -> Told:
    """Tell MLflow of the round whose files lie in ``root``: once per distinct content, however often asked.

    A store given relative to the campaign lies in ``home``, by default ``root`` itself (the
    repository, for the copy that `dvc exp run --temp` works in). Where MLflow does not answer the
    status is ``unreachable``, or TrackingError is raised if ``tracking.required``. DataError if the
    round's files are not there.
    """
    from al_plugin.tracking import place, probe, record

    where = place.resolve(params.tracking.uri, Path(root), None if home is None else Path(home))
    told = record.read(params, Path(root), Path(home or root))
    trouble = probe.trouble(where.shown) if where.is_http else ""
    if trouble:
        return unreachable(params, where, trouble, _LATER)
    try:
        return _converse(params, where, told)
    except AlError:
        raise
    except Exception as error:  # noqa: BLE001
        # Requests, sqlalchemy, boto, ...: a server, database or artifact store can raise anything,
        # and none of it may fail a round.
        return unreachable(params, where, in_one_line(error), _LATER)


def _converse(params: "Params", where: "Place", told: "Record") -> Told:
    from al_plugin.tracking import session

    with session.quiet(), session.alone(where.lock), session.talking(where):
        from al_plugin.tracking import runs

        experiment_id = runs.experiment(params.campaign.experiment, where.artifacts)
        fresh, name = runs.tell(experiment_id, told, register=params.tracking.register)
    link = where.link(experiment_id)
    if fresh:
        return Told("told", f"round {told.number} told to MLflow as {name}", link)
    return Told("already", f"MLflow was told of round {told.number} before, as {name}", link)


def unreachable(params: "Params", where: "Place", trouble: str, later: str) -> Told:
    """The answer where MLflow has none, with what the reader may do ``later``; TrackingError if it is required."""
    from al_plugin.tracking.place import without_password

    found = f"MLflow at {where.shown} could not be told ({without_password(trouble)})"
    if params.tracking.required:
        raise TrackingError(found, change="start it, correct tracking.uri, or set tracking.required to false")
    return Told("unreachable", f"{found}; {later}")


def in_one_line(error: Exception) -> str:
    """Kind and first line of an exception."""
    lines = str(error).strip().splitlines() or ["no reason given"]
    return f"{type(error).__name__}: {lines[0][:_LONGEST_CAUSE]}"
