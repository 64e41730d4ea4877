"""MLflow, told of every round. The only floor that imports it, and only inside functions.

MLflow loads ``context`` and ``source`` as plugins while it is being imported itself, so nothing
here may import mlflow, or anything slow, at module level.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from al_plugin.errors import AlError, TrackingError
from al_plugin.foreign import printable, without_secrets

if TYPE_CHECKING:
    from al_plugin.settings import Params
    from al_plugin.tracking.place import Place
    from al_plugin.tracking.record import Record

T = TypeVar("T")
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
    from al_plugin.tracking import place, record

    where = place.resolve(params.tracking.uri, Path(root), None if home is None else Path(home))
    told = record.read(params, Path(root), Path(home or root))
    found, trouble = conversed(where, lambda: _told(params, where, told))
    return unreachable(params, where, trouble, _LATER) if found is None else found


def conversed(where: "Place", words: Callable[[], T]) -> tuple[T | None, str]:
    """What is said in a session with MLflow and "", or None and the trouble in one line; an AlError passes.

    A server is probed first. Requests, sqlalchemy, boto, ...: a server, database or artifact store can
    raise anything, and none of it may fail a round.
    """
    from al_plugin.tracking import probe, session

    trouble = probe.trouble(where.shown) if where.is_http else ""
    if trouble:
        return None, printable(without_secrets(trouble))
    try:
        with session.quiet(), session.alone(where.lock), session.talking(where):
            return words(), ""
    except AlError:
        raise
    except Exception as error:  # noqa: BLE001
        lines = without_secrets(str(error)).strip().splitlines() or ["no reason given"]
        return None, printable(f"{type(error).__name__}: {lines[0]}", _LONGEST_CAUSE)


def _told(params: "Params", where: "Place", told: "Record") -> Told:
    from al_plugin.tracking import runs

    experiment_id = runs.experiment(params.campaign.experiment, where.artifacts)
    fresh, name = runs.tell(experiment_id, told, register=params.tracking.register)
    link = where.link(experiment_id)
    if fresh:
        return Told("told", f"round {told.number} told to MLflow as {name}", link)
    return Told("already", f"MLflow was told of round {told.number} before, as {name}", link)


def unreachable(params: "Params", where: "Place", trouble: str, later: str) -> Told:
    """The answer where MLflow has none, with what the reader may do ``later``; TrackingError if it is required."""
    found = f"MLflow at {where.shown} could not be told ({trouble})"
    if params.tracking.required:
        raise TrackingError(found, change="start it, correct tracking.uri, or set tracking.required to false")
    return Told("unreachable", f"{found}; {later}")
