"""Two rounds side by side: what changed in metrics, labels, predictions, query and settings."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from al_plugin import history, layout, past
from al_plugin.axes import Ints
from al_plugin.config import require_classes
from al_plugin.math import outcomes
from al_plugin.math.outcomes import Share
from al_plugin.tracking import record

SHOWN = 10


@dataclass(frozen=True)
class Side:
    """One of the two rounds. ``predicted`` and ``actual`` are classes of the evaluation set, none without a model."""

    number: int
    commit: str
    metrics: Mapping[str, float]
    labels: Mapping[str, str]
    settings: Mapping[str, str]
    query: tuple[str, ...]
    pool: Mapping[str, tuple[str, float]]
    evaluation: str
    classes: tuple[str, ...]
    predicted: Ints | None
    actual: Ints


def compare(a: int, b: int) -> dict[str, Any]:
    """Everything that differs between two rounds, as JSON values. Intervals are of 95 %.

    CampaignError for a round that no commit holds, or whose files are not in the cache.
    """
    rounds = history.past_rounds()
    return difference(_side(a, rounds), _side(b, rounds))


def difference(a: Side, b: Side) -> dict[str, Any]:
    """The same of two sides."""
    return {
        "rounds": [a.number, b.number],
        "commits": [a.commit, b.commit],
        "metrics": {
            name: [a.metrics.get(name), b.metrics.get(name)] for name in dict.fromkeys((*a.metrics, *b.metrics))
        },
        "accuracy": _change(a, b),
        "recall": _recalls(a, b),
        "labels": _labels(a.labels, b.labels),
        "predictions": _predictions(a.pool, b.pool),
        "query": {"asked": [len(a.query), len(b.query)], "shared": sorted(set(a.query) & set(b.query))},
        "params": {
            name: [a.settings.get(name), b.settings.get(name)]
            for name in sorted({*a.settings, *b.settings})
            if a.settings.get(name) != b.settings.get(name)
        },
    }


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The difference as aligned text."""
    a, b = found["rounds"]
    yield f"round {a} ({_short(found['commits'][0])}) and round {b} ({_short(found['commits'][1])})"
    yield from _heading(
        "metrics", [[name, _number(x), _number(y), _step(x, y)] for name, (x, y) in found["metrics"].items()], a, b
    )
    change = found["accuracy"]
    if change is not None:
        yield (
            f"  accuracy {change['difference']:+.3f}, 95 % interval [{change['low']:+.3f}, {change['high']:+.3f}]: "
            f"{change['gained']} evaluation samples gained, {change['lost']} lost"
        )
    elif all(value is not None for value in found["metrics"].get("accuracy", [None])):
        yield "  no interval of the change: the evaluation sets or classes are not the same"
    yield from _heading(
        "recall by class", [[name, _share(x), _share(y)] for name, (x, y) in found["recall"].items()], a, b
    )
    yield from _label_lines(found["labels"])
    yield from _prediction_lines(found["predictions"])
    asked, shared = found["query"]["asked"], found["query"]["shared"]
    yield f"query: {asked[0]} and {asked[1]} samples, {len(shared)} in both"
    yield from _heading("params", [[name, _text(x), _text(y)] for name, (x, y) in found["params"].items()], a, b)
    if not found["params"]:
        yield "params: the same"


def _side(number: int, rounds: Mapping[int, history.PastRound]) -> Side:
    with past.opened(number, rounds) as (found, commit):
        one = past.read(found, commit)
        require_classes(one.params, "al diff")
        classes = one.params.campaign.classes
        log_probs = past.predictions(one.model, one.evaluation)
        evaluated = one.metrics[layout.TRAIN_METRICS].get("eval") or {}
        triple = one.params.triple(one.labeled.per_class(len(classes)))
        seen = zip(one.board.ids, one.board.predicted, one.board.confidence, strict=True)
        return Side(
            number=found,
            commit=commit,
            metrics={
                "labels": len(one.labeled.labels),
                **{name: value for name, value in evaluated.items() if isinstance(value, int | float)},
            },
            labels=dict(zip(one.labeled.sample_ids, (classes[label] for label in one.labeled.labels), strict=True)),
            settings=record.settings(one.params, triple),
            query=tuple(row.sample_id for row in one.query),
            pool={str(i): (label, sure) for i, label, sure in seen if label is not None and sure is not None},
            evaluation=one.pinned.get(layout.EVAL, ""),
            classes=classes,
            predicted=None if log_probs is None else log_probs.argmax(axis=1),
            actual=one.evaluation.labels,
        )


def _change(a: Side, b: Side) -> dict[str, Any] | None:
    """Of accuracy, paired; None where there are not two models on the same evaluation set."""
    same = a.evaluation == b.evaluation and a.classes == b.classes and len(a.actual) == len(b.actual)
    if a.predicted is None or b.predicted is None or not same:
        return None
    before, after = np.equal(a.predicted, a.actual), np.equal(b.predicted, b.actual)
    return asdict(outcomes.change(before.astype(np.int64), after.astype(np.int64)))


def _recalls(a: Side, b: Side) -> dict[str, list[dict[str, Any] | None]]:
    by_side = [_recall(side) for side in (a, b)]
    names = dict.fromkeys((*by_side[0], *by_side[1]))
    return {name: [asdict(one[name]) if name in one else None for one in by_side] for name in names}


def _recall(side: Side) -> dict[str, Share]:
    if side.predicted is None:
        return {}
    counts = outcomes.confusion(side.actual, side.predicted, len(side.classes))
    return dict(zip(side.classes, outcomes.recalls(counts), strict=True))


def _labels(a: Mapping[str, str], b: Mapping[str, str]) -> dict[str, Any]:
    added, removed = sorted(b.keys() - a.keys()), sorted(a.keys() - b.keys())
    changed = [{"sample_id": i, "from": a[i], "to": b[i]} for i in sorted(a.keys() & b.keys()) if a[i] != b[i]]
    per_class = Counter(b[sample] for sample in added)
    return {
        "added": len(added),
        "added_by_class": dict(sorted(per_class.items())),
        "removed": removed,
        "changed": changed,
    }


def _predictions(a: Mapping[str, tuple[str, float]], b: Mapping[str, tuple[str, float]]) -> dict[str, Any]:
    """Of the pool samples that both models saw. A flip is as confident as the less confident of the two."""
    both = a.keys() & b.keys()
    flips = [sample for sample in both if a[sample][0] != b[sample][0]]
    flips.sort(key=lambda sample: (-min(a[sample][1], b[sample][1]), sample))
    pairs = Counter((a[sample][0], b[sample][0]) for sample in flips)
    return {
        "compared": len(both),
        "changed": asdict(outcomes.share(len(flips), len(both))),
        "pairs": [[x, y, total] for (x, y), total in sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))],
        "most_confident": [
            {"sample_id": i, "from": a[i][0], "to": b[i][0], "confidence": [a[i][1], b[i][1]]} for i in flips[:SHOWN]
        ],
    }


def _label_lines(labels: Mapping[str, Any]) -> Iterator[str]:
    by_class = ", ".join(f"{name} {total}" for name, total in labels["added_by_class"].items())
    told = f" ({by_class})" if by_class else ""
    yield f"labels: {labels['added']} added{told}, {len(labels['removed'])} gone, {len(labels['changed'])} changed"
    yield from _aligned([[one["sample_id"], f"{one['from']} -> {one['to']}"] for one in labels["changed"][:SHOWN]])
    yield from _more(len(labels["changed"]))


def _prediction_lines(found: Mapping[str, Any]) -> Iterator[str]:
    if not found["compared"]:
        yield "predictions: there are not two models to compare"
        return
    changed = found["changed"]
    yield f"predictions: {changed['hits']} of {found['compared']} pool samples changed ({changed['value']:.1%})"
    yield from _aligned([[f"{x} -> {y}", str(total)] for x, y, total in found["pairs"][:SHOWN]])
    if found["most_confident"]:
        yield "  most confident changes"
        yield from _aligned(
            [
                [one["sample_id"], f"{one['from']} -> {one['to']}", *(f"{c:.3f}" for c in one["confidence"])]
                for one in found["most_confident"]
            ]
        )


def _heading(title: str, rows: Sequence[Sequence[str]], a: int, b: int) -> Iterator[str]:
    if rows:
        head = ["", f"round {a}", f"round {b}", *([""] if len(rows[0]) > 3 else [])]
        yield title
        yield from _aligned([head, *rows])


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        first, *rest = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(["", first, *rest]).rstrip()


def _more(total: int) -> Iterator[str]:
    if total > SHOWN:
        yield f"  and {total - SHOWN} more (--json lists them all)"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _step(a: float | None, b: float | None) -> str:
    return "" if a is None or b is None else f"{b - a:+.4g}"


def _share(value: Mapping[str, Any] | None) -> str:
    if value is None or value["value"] is None:
        return "-"
    return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


def _text(value: str | None) -> str:
    return "-" if value is None else value


def _short(commit: str) -> str:
    return commit[:9] or "not committed"
