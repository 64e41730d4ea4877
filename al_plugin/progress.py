"""Where a campaign stands, read from its files and its history in Git."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from al_plugin import history, layout, ledger
from al_plugin.errors import AlError
from al_plugin.schemas import refuse_newer


@dataclass(frozen=True)
class Point:
    """One round on the learning curve; ``accuracy`` is None in round 0 or where it is not cached."""

    round: int
    labels: int
    accuracy: float | None
    commit: str


@dataclass(frozen=True)
class Standing:
    """The state of a campaign and what to do next; ``drift`` of the pool where it has parts to compare."""

    round: int
    labels: int | None
    votes: int | None
    pending: int | None
    quarantined: int | None
    accuracy: float | None
    query: str
    next_step: str
    curve: tuple[Point, ...]
    drift: Mapping[str, Any] | None = None


def standing(metric: str = "accuracy") -> Standing:
    """The campaign's state in the working tree; ``metric`` is what stands for accuracy under its task."""
    number = ledger.round_count()
    labels, trained = _json(layout.LABEL_METRICS), _json(layout.TRAIN_METRICS)
    query, next_step = _query_and_next(number, labels)
    return Standing(
        round=number,
        labels=labels.get("labels"),
        votes=labels.get("votes"),
        pending=labels.get("pending"),
        quarantined=labels.get("quarantined"),
        accuracy=(trained.get("eval") or {}).get(metric),
        query=query,
        next_step=next_step,
        curve=learning_curve(metric),
        drift=_json(layout.SCORE_METRICS).get("drift"),
    )


def learning_curve(metric: str = "accuracy") -> tuple[Point, ...]:
    """Accuracy, or what stands for it, by number of labels over the committed rounds, from the local DVC cache."""
    points = (_point(past, metric) for past in history.past_rounds().values())
    return tuple(point for point in points if point is not None)


def _point(past: history.PastRound, metric: str) -> Point | None:
    """The round on the curve, None where what train measured is not cached, or damaged in the cache."""
    metrics = history.read_object(past, layout.TRAIN_METRICS) or {}
    labels, measured = metrics.get("labels"), history.evaluation(metrics)
    if not isinstance(labels, int) or measured is None:
        return None
    return Point(past.number, labels, measured.get(metric), past.commit)


def draw(points: tuple[Point, ...], width: int = 40) -> list[str]:
    """The learning curve as lines of text: labels, accuracy, a bar from 0 to 1."""
    lines = []
    for point in points:
        if point.accuracy is None:
            lines.append(f"  round {point.round:3}  {point.labels:6} labels   no model yet")
        else:
            bar = "█" * round(max(0.0, point.accuracy) * width)
            lines.append(f"  round {point.round:3}  {point.labels:6} labels   {point.accuracy:.3f}  {bar}")
    return lines


def _query_and_next(number: int, labels: dict[str, Any]) -> tuple[str, str]:
    try:
        ledger.read_rounds()
    except AlError as error:
        return "none", f"mend the label rounds: {error}"
    pinned = history.pinned_manifests()
    if labels.get("round") is None or not Path(layout.QUERY).is_file():
        return "none", "dvc repro"
    if labels.get("round") != number or (pinned is not None and pinned != history.present_manifests()):
        return "stale: labels came in since", "dvc repro"
    filed = ledger.open_query(number + 1)
    if filed is not None:
        return f"{len(filed)} samples, handed out", "fill in the CSV, then al labels add FILE"
    count = len(Path(layout.QUERY).read_bytes().splitlines())
    if count == 0:
        return "empty: every sample is labelled or pending", "add a pool part, al query release IDs, or finish here"
    return f"{count} samples, not handed out yet", f"al query export round_{number + 1:04d}.csv"


def _json(path: str) -> dict[str, Any]:
    try:
        value = json.loads(Path(path).read_bytes())
    except (OSError, ValueError):
        return {}
    found = value if isinstance(value, dict) else {}
    refuse_newer(found.get("schema"), path)
    return found
