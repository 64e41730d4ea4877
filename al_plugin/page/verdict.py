"""Whether to stop, forecast and random control: as far as a verdict (schema verdict/1, as JSON values) holds them."""

from collections.abc import Mapping, Sequence
from typing import Any

from al_plugin.page.html import Content, details, table, tag
from al_plugin.page.numbers import count, interval, metric, number

Point = tuple[float, float, float | None, float | None]
_ESTIMATES = {
    "pool_accuracy": "accuracy on random rows, each before it was learned",
    "latest_pool_accuracy": "the same, of the newest answered query",
    "chosen_accuracy": "accuracy on rows that a strategy chose (biased by selection)",
    "selection_bias": "random rows minus chosen rows",
    "risk": "error on the pool by weighted draws (LURE)",
    "asymptote": "accuracy with labels without end (forecast)",
}
_SAVED = {
    "random": "labels that random drawing needs for this accuracy",
    "saved": "labels saved against random drawing",
}


def stopping(verdict: Mapping[str, Any] | None) -> list[Content]:
    """The decision with its reason, the criteria, the forecast, and what random rows say; nothing without a verdict."""
    found = verdict or {}
    parts: list[Content] = [*_decision(found.get("decision")), *_criteria(found.get("criteria"))]
    expected = [_expected(row) for row in _rows(found.get("forecast"))]
    if expected:
        head = ["labels", "expected accuracy", "95 % interval"]
        parts += [tag("h3", "Forecast"), table(head, expected, label="Forecast", numbers=(0, 1, 2))]
    told: list[list[Content]] = [
        [name, *_estimate(found[key])] for key, name in _ESTIMATES.items() if isinstance(found.get(key), Mapping)
    ]
    advice = found.get("advice")
    told += _saved(found.get("saved"), str(advice or ""))
    if told or (isinstance(advice, str) and advice):
        parts.append(tag("h3", "Does selection pay?"))
    if isinstance(advice, str) and advice:
        parts.append(tag("p", tag("strong", "Advice: "), advice, class_="next"))
    if told:
        parts.append(table(["what", "value", "95 % interval"], told, label="Beside random", numbers=(1,)))
    return [*parts, *_biased(found.get("biased")), *_unread(found)]


def _saved(saved: Any, advice: str) -> list[list[Content]]:
    """Labels that random drawing needs and labels saved, or why there is no number, unless the advice says it."""
    if not isinstance(saved, Mapping):
        return []
    if "saved" not in saved:
        why = str(saved.get("refused", ""))
        return [[_SAVED["saved"], "–", "see the advice" if why and why in advice else why]]
    return [[name, *_estimate(saved[key])] for key, name in _SAVED.items() if isinstance(saved.get(key), Mapping)]


def _biased(biased: Any) -> list[Content]:
    """Which numbers of a campaign selection bends."""
    rows = [[str(name).replace("_", " "), str(how)] for name, how in biased.items()] if biased else []
    if not rows:
        return []
    shown = table(["number", "why it is biased by selection"], rows, label="Numbers that selection bends")
    return [details("Numbers that selection bends", shown)]


def _unread(found: Mapping[str, Any]) -> list[Content]:
    """Rounds that could not be looked at."""
    unread = [f"metrics of round {number} are not in this machine's DVC cache" for number in found.get("unread") or ()]
    unread += [str(row["missing"]) for row in _rows(found.get("rounds")) if row.get("missing")]
    return [tag("p", f"Not read: {'; '.join(unread)}.", class_="muted")] if unread else []


def forecast_points(verdict: Mapping[str, Any] | None) -> list[Point]:
    """Points (labels, accuracy, low, high) that the curve is expected to reach."""
    return _points((verdict or {}).get("forecast"))


def control_points(verdict: Mapping[str, Any] | None) -> list[Point]:
    """The same of random drawing, where it was measured: the entries of ``control``."""
    control = (verdict or {}).get("control")
    return _points(control.get("points") if isinstance(control, Mapping) else control)


def _points(rows: Any) -> list[Point]:
    found = [(_float(row.get("labels")), _float(row.get("accuracy", row.get("value"))), row) for row in _rows(rows)]
    return [
        (x, y, _float(row.get("low")), _float(row.get("high")))
        for x, y, row in found
        if x is not None and y is not None
    ]


def _decision(decision: Any) -> list[Content]:
    if not isinstance(decision, Mapping) or "stop" not in decision:
        return []
    word = "Stop" if decision["stop"] else "Go on"
    return [tag("p", tag("strong", f"{word}: "), str(decision.get("reason", "")), class_="next")]


def _criteria(criteria: Any) -> list[Content]:
    rows = [
        [str(row.get("name", "")).replace("_", " "), _holds(row.get("holds")), str(row.get("reason", ""))]
        for row in _rows(criteria)
    ]
    if not rows:
        return []
    return [tag("h3", "Stopping criteria"), table(["criterion", "holds", "reason"], rows, label="Stopping criteria")]


def _holds(value: Any) -> str:
    return "cannot be said" if value is None else "yes" if value else "no"


def _expected(row: Mapping[str, Any]) -> list[Content]:
    labels = _float(row.get("labels"))
    return ["–" if labels is None else count(labels), *_estimate(row)]


def _estimate(found: Mapping[str, Any]) -> tuple[str, str]:
    """Value and interval, or why there is none."""
    value = _float(found.get("value", found.get("accuracy")))
    if value is None:
        return "–", str(found.get("refused", ""))
    low, high = _float(found.get("low")), _float(found.get("high"))
    shown = metric(value) if abs(value) <= 1 else number(value)
    if low is None and high is None:
        return shown, "–"
    if low is None or high is None:
        return shown, f"at least {number(low)}" if high is None else f"at most {number(high)}"
    return shown, interval(low, high) if max(abs(low), abs(high)) <= 1 else f"[{number(low)}, {number(high)}]"


def _rows(value: Any) -> list[Mapping[str, Any]]:
    """Mappings of a list; a mapping of mappings is one, under their names."""
    if isinstance(value, Mapping):
        return [{"name": str(key), **row} for key, row in value.items() if isinstance(row, Mapping)]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [row for row in value if isinstance(row, Mapping)]
    return []


def _float(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
