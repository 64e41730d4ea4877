"""Stopping state, forecast and random control: whatever mapping is there, as tables; nothing where it is absent."""

from collections.abc import Mapping, Sequence
from typing import Any

from al_plugin.page.html import Content, table, tag
from al_plugin.page.numbers import number

_TITLES = {"criteria": "Stopping criteria", "forecast": "Forecast", "control": "Beside random"}
_SCALARS = (str, int, float, bool)


def stopping(verdict: Mapping[str, Any] | None) -> list[Content]:
    """One table per part of the verdict that says something."""
    parts: list[Content] = []
    for name, title in _TITLES.items():
        shown = _told((verdict or {}).get(name), title)
        if shown:
            parts += [tag("h3", title), *shown]
    advice = (verdict or {}).get("advice")
    return [tag("p", advice, class_="next"), *parts] if isinstance(advice, str) and advice else parts


def control_points(verdict: Mapping[str, Any] | None) -> list[tuple[float, float, float | None, float | None]]:
    """Points (labels, accuracy, low, high) of the random control, where it has them."""
    control = (verdict or {}).get("control")
    points = control.get("points", control.get("curve")) if isinstance(control, Mapping) else control
    if not isinstance(points, Sequence) or isinstance(points, str):
        return []
    found = [
        (_float(point.get("labels")), _float(point.get("accuracy", point.get("value"))), _float(point.get("low")), _float(point.get("high")))
        for point in points
        if isinstance(point, Mapping)
    ]
    return [(x, y, low, high) for x, y, low, high in found if x is not None and y is not None]


def _told(value: Any, title: str) -> list[Content]:
    """A mapping or sequence as a table; lists inside one are tables of their own."""
    if isinstance(value, str):
        return [tag("p", value)]
    if isinstance(value, Mapping):
        flat = {str(key): inner for key, inner in value.items() if not _nested(inner)}
        rows = [(key, _cell(inner)) for key, inner in flat.items()]
        parts: list[Content] = [table(["what", "value"], rows, label=title, numbers=(1,))] if rows else []
        deeper = {str(key): inner for key, inner in value.items() if _nested(inner)}
        if deeper and all(isinstance(inner, Mapping) for inner in deeper.values()):
            return [*parts, *_rows([{"": key, **inner} for key, inner in deeper.items()], title)]
        for key, inner in deeper.items():
            parts += _told(inner, f"{title}: {key}")
        return parts
    if isinstance(value, Sequence) and value:
        return _rows([one for one in value if isinstance(one, Mapping)], title)
    return []


def _rows(rows: Sequence[Mapping[str, Any]], title: str) -> list[Content]:
    head = list(dict.fromkeys(str(key) for row in rows for key in row))
    if not head:
        return []
    right = [i for i, key in enumerate(head) if all(_float(row.get(key)) is not None or row.get(key) is None for row in rows)]
    cells = [[_cell(row.get(key)) for key in head] for row in rows]
    return [table([key.replace("_", " ") for key in head], cells, label=title, numbers=right)]


def _nested(value: Any) -> bool:
    """Whether a value is a table by itself: a mapping, or a list of them."""
    if isinstance(value, Mapping):
        return True
    return isinstance(value, Sequence) and not isinstance(value, str) and any(isinstance(one, Mapping) for one in value)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_cell(one) for one in value)
    return str(value)


def _float(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
