"""The sections on the model and the labels, each from the content of the page; none where there is nothing to show."""

from collections.abc import Sequence

from al_plugin.page import charts
from al_plugin.page.content import Content, Point
from al_plugin.page.html import Content as Part
from al_plugin.page.html import Markup, table, tag
from al_plugin.page.numbers import count, interval, metric, signed
from al_plugin.page.svg import figure
from al_plugin.page.verdict import Point as Place
from al_plugin.page.verdict import control_points, forecast_points, stopping

_TITLES = {"nll": "NLL (nats)", "ece": "ECE", "r2": "R²", "rmse": "RMSE", "mae": "MAE"}


def section(name: str, title: str, *parts: Part) -> Markup:
    """A section with its heading."""
    alone = len(parts) == 1 and str(parts[0]).startswith("<figure")
    heading = tag("h2", title, id=f"{name}-h")
    return tag("section", heading, *parts, id=name, aria_labelledby=f"{name}-h", class_="solo" if alone else None)


def headline(content: Content) -> Markup:
    """Round, labels, the metric with its change, what to do next."""
    facts = [
        ("Round", str(content.number), f"strategy {content.strategy}"),
        ("Labels", count(content.labels.numbers.get("labels", 0)), _added(content)),
    ]
    point = content.curve[-1].metrics if content.curve else {}
    if content.evaluated is None and content.metrics[0] in point:
        others = ", ".join(f"{_title(name)} {metric(point[name])}" for name in content.metrics[1:] if name in point)
        facts.append((_title(content.metrics[0]), metric(point[content.metrics[0]]), others))
    elif content.evaluated is None:
        name = _title(content.metrics[0]).capitalize()
        facts.append((name, "no model yet", "a model is trained once there are labels"))
    else:
        accuracy = content.evaluated.accuracy
        ends = f"95 % interval {interval(accuracy.low, accuracy.high)} of {count(accuracy.total)} samples"
        facts.append(("Accuracy", metric(accuracy.value), ends))
        facts.append(("Change", *_change(content)))
    facts.append(
        ("Query", count(len(content.explanation.samples)), f"of {count(content.explanation.candidates)} candidates")
    )
    shown = [tag("div", tag("dt", name), tag("dd", value, tag("small", note))) for name, value, note in facts]
    return section(
        "headline",
        "Where the campaign stands",
        tag("dl", shown, class_="facts"),
        tag("p", tag("strong", "Next: "), content.next_step, class_="next"),
        *([tag("p", tag("strong", "Drift of the pool: "), content.drift)] if content.drift else []),
    )


def _added(content: Content) -> str:
    before = [point.labels for point in content.curve if point.round == content.number - 1]
    votes = f"from {count(content.labels.numbers.get('votes', 0))} votes"
    return (
        f"{votes}, {content.labels.numbers.get('labels', 0) - before[0]:+,} since round {content.number - 1}"
        if before
        else votes
    )


def _change(content: Content) -> tuple[str, str]:
    found = content.evaluated.change if content.evaluated else None
    if found is not None and content.evaluated is not None:
        return signed(found.difference), (
            f"since round {content.evaluated.previous}; 95 % interval [{signed(found.low)}, {signed(found.high)}], "
            f"{found.gained} samples gained, {found.lost} lost"
        )
    before = [point for point in content.curve if point.round == content.number - 1 and "accuracy" in point.metrics]
    if before and content.evaluated is not None and content.evaluated.accuracy.value is not None:
        return signed(content.evaluated.accuracy.value - before[0].metrics["accuracy"]), (
            f"since round {content.number - 1}; no interval, since that model is not at hand"
        )
    return "–", "there is no earlier model to compare with"


def learning_curve(content: Content) -> Markup | None:
    """Accuracy by number of labels, with the random control where there is one; or the task's first metric."""
    drawn, title = content.metrics[0], _title(content.metrics[0])
    points = [point for point in content.curve if drawn in point.metrics]
    if not points:
        return None
    series = [charts.Series("this campaign", [_placed(point, drawn) for point in points])]
    beside = {"random control": control_points(content.verdict), "forecast": forecast_points(content.verdict)}
    if beside["random control"]:
        series.append(charts.Series("random control", beside["random control"], "line control"))
    if beside["forecast"]:
        series.append(
            charts.Series("forecast", [(*series[0].points[-1][:2], None, None), *beside["forecast"]], "line ahead")
        )
    drawing, height = charts.lines(series, "labels", title)
    known = [name for name in content.metrics[1:] if any(name in point.metrics for point in points)]
    rows = [
        [
            str(point.round),
            count(point.labels),
            metric(point.metrics[drawn]),
            "–" if point.accuracy is None else interval(point.accuracy.low, point.accuracy.high),
            *(metric(point.metrics.get(name)) for name in known),
        ]
        for point in points
    ]
    head = ["round", "labels", title, "95 % interval", *(_title(name) for name in known)]
    alternative: list[Part] = [table(head, rows, label="Metrics by round", numbers=range(1, len(head)))]
    for name, placed in beside.items():
        alternative += _beside(name, placed)
    first, last = points[0], points[-1]
    told = (
        f"{title[:1].upper()}{title[1:]} on the evaluation set over {len(points)} rounds: "
        f"{metric(first.metrics[drawn])} with {count(first.labels)} labels, {metric(last.metrics[drawn])} with "
        f"{count(last.labels)}. "
        + ("Bars are 95 % intervals of each round by itself." if drawn == "accuracy" else "No interval is computed.")
    )
    return section(
        "curve", "Learning curve", figure("curve-f", "Learning curve", told, drawing, height, alternative, opened=True)
    )


def _beside(name: str, points: Sequence[Place]) -> list[Part]:
    rows = [
        [count(x), metric(y), "–" if low is None or high is None else interval(low, high)] for x, y, low, high in points
    ]
    if not rows:
        return []
    return [tag("p", name), table(["labels", "accuracy", "95 % interval"], rows, label=name, numbers=(0, 1, 2))]


def _title(name: str) -> str:
    return _TITLES.get(name, name.replace("_", " "))


def _placed(point: Point, drawn: str) -> tuple[float, float, float | None, float | None]:
    ends = (None, None) if point.accuracy is None else (point.accuracy.low, point.accuracy.high)
    return point.labels, point.metrics[drawn], *ends


def verdict(content: Content) -> Markup | None:
    """Whether to go on: stopping criteria and the forecast, where they were computed."""
    parts = stopping(content.verdict)
    return section("stopping", "Stop or go on", *parts) if parts else None


def provenance(content: Content) -> Markup:
    """What the round was made from."""
    rows = [[name, tag("code", value)] for name, value in content.provenance]
    return section("provenance", "Where this comes from", table(["what", "value"], rows, label="Provenance"))
