"""The sections on the model and the labels, each from the content of the page; none where there is nothing to show."""

from collections.abc import Sequence

import numpy as np

from al_plugin.math.outcomes import precisions, recalls
from al_plugin.page import charts
from al_plugin.page.content import Content, Evaluated, Point
from al_plugin.page.html import Content as Part
from al_plugin.page.html import Markup, details, table, tag
from al_plugin.page.numbers import count, interval, metric, number, percent, share, signed
from al_plugin.page.svg import figure
from al_plugin.page.verdict import Point as Place
from al_plugin.page.verdict import control_points, forecast_points, stopping

_HEAT = 24
_CONFUSIONS = 12
_CARRIED = ("balanced_accuracy", "nll", "ece")
_TITLES = {"balanced_accuracy": "balanced accuracy", "nll": "NLL (nats)", "ece": "ECE"}


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
    if content.evaluated is None:
        facts.append(("Accuracy", "no model yet", "a model is trained once there are labels"))
    else:
        accuracy = content.evaluated.accuracy
        ends = f"95 % interval {interval(accuracy.low, accuracy.high)} of {count(accuracy.total)} samples"
        facts.append(("Accuracy", metric(accuracy.value), ends))
        facts.append(("Change", *_change(content)))
    facts.append(("Query", count(len(content.explanation.samples)), f"of {count(content.explanation.candidates)} candidates"))
    shown = [tag("div", tag("dt", name), tag("dd", value, tag("small", note))) for name, value, note in facts]
    return section(
        "headline",
        "Where the campaign stands",
        tag("dl", shown, class_="facts"),
        tag("p", tag("strong", "Next: "), content.next_step, class_="next"),
    )


def _added(content: Content) -> str:
    before = [point.labels for point in content.curve if point.round == content.number - 1]
    votes = f"from {count(content.labels.numbers.get('votes', 0))} votes"
    return f"{votes}, {content.labels.numbers.get('labels', 0) - before[0]:+,} since round {content.number - 1}" if before else votes


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
    """Accuracy by number of labels, with the random control where there is one."""
    points = [point for point in content.curve if "accuracy" in point.metrics]
    if not points:
        return None
    series = [charts.Series("this campaign", [_placed(point) for point in points])]
    beside = {"random control": control_points(content.verdict), "forecast": forecast_points(content.verdict)}
    if beside["random control"]:
        series.append(charts.Series("random control", beside["random control"], "line control"))
    if beside["forecast"]:
        series.append(charts.Series("forecast", [series[0].points[-1][:2] + (None, None), *beside["forecast"]], "line ahead"))
    drawing, height = charts.lines(series, "labels", "accuracy")
    known = [name for name in _CARRIED if any(name in point.metrics for point in points)]
    rows = [
        [
            point.round,
            count(point.labels),
            metric(point.metrics["accuracy"]),
            "–" if point.accuracy is None else interval(point.accuracy.low, point.accuracy.high),
            *(metric(point.metrics.get(name)) for name in known),
        ]
        for point in points
    ]
    head = ["round", "labels", "accuracy", "95 % interval", *(_TITLES[name] for name in known)]
    alternative: list[Part] = [table(head, rows, label="Metrics by round", numbers=range(1, len(head)))]
    for name, placed in beside.items():
        alternative += _beside(name, placed)
    first, last = points[0], points[-1]
    told = (
        f"Accuracy on the evaluation set over {len(points)} rounds: {metric(first.metrics['accuracy'])} with "
        f"{count(first.labels)} labels, {metric(last.metrics['accuracy'])} with {count(last.labels)}. Bars are 95 % intervals "
        "of each round by itself."
    )
    return section("curve", "Learning curve", figure("curve-f", "Learning curve", told, drawing, height, alternative, opened=True))


def _beside(name: str, points: Sequence[Place]) -> list[Part]:
    rows = [[count(x), metric(y), "–" if low is None or high is None else interval(low, high)] for x, y, low, high in points]
    if not rows:
        return []
    return [tag("p", name), table(["labels", "accuracy", "95 % interval"], rows, label=name, numbers=(0, 1, 2))]


def _placed(point: Point) -> tuple[float, float, float | None, float | None]:
    ends = (None, None) if point.accuracy is None else (point.accuracy.low, point.accuracy.high)
    return point.labels, point.metrics["accuracy"], *ends


def quality(content: Content) -> Markup | None:
    """The model on the evaluation set: calibration, confusion, classes."""
    found = content.evaluated
    if found is None:
        return None
    drawn: list[Part] = [_calibration(found)]
    if len(content.classes) <= _HEAT:
        drawn.append(_confusion(found, content.classes))
    return section(
        "model", "The model on the evaluation set", tag("div", drawn, class_="grid"), _confused(found, content.classes), _classes(found, content.classes)
    )


def _calibration(found: Evaluated) -> Markup:
    drawing, height = charts.reliability(found.bins)
    rows = [
        [f"{one.low:.1f} to {one.high:.1f}", count(one.correct.total), metric(one.confidence), share(one.correct)]
        for one in found.bins
    ]
    told = (
        f"Share of correct predictions against confidence, in bins of a tenth. Expected calibration error (15 bins) {metric(found.metrics.get('ece'))}, "
        f"negative log-likelihood {metric(found.metrics.get('nll'))} nats. Points under the diagonal are too confident."
    )
    head = ["confidence", "samples", "mean confidence", "share correct, 95 %"]
    return figure("calibration-f", "Calibration", told, drawing, height, table(head, rows, label="Calibration", numbers=(1, 2, 3)))


def _confusion(found: Evaluated, classes: Sequence[str]) -> Markup:
    drawing, height = charts.heat(found.counts, classes)
    rows = [[name, *(int(value) for value in row)] for name, row in zip(classes, found.counts, strict=True)]
    wrong = int(found.counts.sum() - np.trace(found.counts))
    told = (
        f"{count(int(np.trace(found.counts)))} of {count(int(found.counts.sum()))} samples are right (the diagonal), {count(wrong)} wrong. "
        "Rows are the actual classes; colour is the share of the row on the diagonal, else of the largest error."
    )
    alternative = table(["actual \\ predicted", *classes], rows, label="Confusion matrix", numbers=range(1, len(classes) + 1))
    return figure("confusion-f", "Confusion matrix", told, drawing, height, alternative)


def _confused(found: Evaluated, classes: Sequence[str]) -> Markup | None:
    """The most frequent errors, in words."""
    errors = found.counts * (1 - np.eye(len(classes), dtype=np.int64))
    order = np.argsort(-errors, axis=None, kind="stable")[:_CONFUSIONS]
    rows = [
        [classes[row], classes[column], count(int(errors[row, column])), percent(errors[row, column] / found.counts[row].sum())]
        for row, column in (divmod(int(at), len(classes)) for at in order)
        if errors[row, column]
    ]
    if not rows:
        return None
    head = ["actual", "predicted", "samples", "of the class"]
    return details("Most frequent errors", table(head, rows, label="Most frequent errors", numbers=(2, 3)))


def _classes(found: Evaluated, classes: Sequence[str]) -> Markup:
    rows = [
        [name, count(recall.total), share(recall), share(precision)]
        for name, recall, precision in zip(classes, recalls(found.counts), precisions(found.counts), strict=True)
    ]
    head = ["class", "support", "recall, 95 %", "precision, 95 %"]
    return details("Recall and precision by class", table(head, rows, label="Recall and precision by class", numbers=(1, 2, 3)))


def labels(content: Content) -> Markup | None:
    """What the labels are worth: agreement, disputes, quarantine, votes by annotator."""
    found = content.labels
    if not found.numbers.get("votes") and not found.refused:
        return None
    names = ("labels", "votes", "annotators", "disputed", "pending", "quarantined")
    facts: list[Part] = [tag("div", tag("dt", name), tag("dd", count(found.numbers[name]))) for name in names if name in found.numbers]
    if found.numbers.get("mean_agreement") is not None:
        note = tag("small", "share of votes that equal the label, mean over samples")
        facts.append(tag("div", tag("dt", "agreement"), tag("dd", metric(found.numbers["mean_agreement"]), note)))
    parts: list[Part] = [tag("dl", facts, class_="facts")]
    drawn: list[Part] = []
    per_class = found.numbers.get("per_class") or {}
    if 0 < len(per_class) <= _HEAT:
        amounts = [(str(name), int(value)) for name, value in per_class.items()]
        drawing, height = charts.columns([(charts.short(name), value) for name, value in amounts], "class", "labels")
        fewest = min(value for _, value in amounts)
        told = f"Labels by class; the rarest has {fewest}."
        rows = [[name, count(value)] for name, value in amounts]
        drawn.append(figure("balance-f", "Labels by class", told, drawing, height, table(["class", "labels"], rows, label="Labels by class", numbers=(1,))))
    if len(found.agreement) > 1:
        drawing, height = charts.columns(found.agreement, "share of votes that equal the label", "samples")
        rows = [[name, count(value)] for name, value in found.agreement]
        told = "Labelled samples with several votes, by agreement."
        drawn.append(figure("agreement-f", "Agreement", told, drawing, height, table(["agreement", "samples"], rows, label="Agreement", numbers=(1,))))
    if found.annotators:
        rows = [[one.name, count(one.votes), share(one.agrees), count(one.agrees.total)] for one in found.annotators]
        head = ["annotator", "votes", "agrees with the label, 95 %", "on samples of several votes"]
        shown = table(head, rows, label="Annotators", numbers=(1, 2, 3))
        drawn.append(tag("div", tag("h3", "Annotators"), shown))
    parts.append(tag("div", drawn, class_="grid"))
    if found.refused:
        rows = [[file, row, reasons] for file, row, reasons in found.refused]
        title = f"In quarantine: {count(found.numbers.get('quarantined', len(rows)))} answers"
        parts.append(details(title, table(["file", "row", "reasons"], rows, label="Answers in quarantine", numbers=(1,))))
    return section("labels", "Label quality", *parts)


def forgetting(content: Content) -> Markup | None:
    """Labelled samples that training forgets or never learns: wrong labels and hard cases stand there."""
    found = content.forgetting
    if found is None:
        return None
    amounts = [(str(events), amount) for events, amount in enumerate(found.counts)]
    amounts.append(("never", found.never_learned))
    drawing, height = charts.columns(amounts, "forgetting events (never: never learned)", "labelled samples", special="never")
    total = sum(amount for _, amount in amounts)
    told = (
        f"How often each of {count(total)} labelled samples was forgotten in training; {count(found.never_learned)} were never learned."
    )
    shown = figure("forgetting-f", "Forgetting events", told, drawing, height, table(["events", "samples"], [[a, count(b)] for a, b in amounts], label="Forgetting events", numbers=(1,)))
    parts: list[Part] = []
    if found.missed:
        parts += [tag("h3", "Never learned"), table(["sample", "label"], found.missed, label="Never learned")]
    if found.most:
        head = ["sample", "label", "events", "first learned at"]
        parts += [tag("h3", "Most forgotten"), table(head, found.most, label="Most forgotten", numbers=(2, 3))]
    if parts:
        parts.append(tag("p", "Look at their labels first: what is hard to learn is often labelled wrongly.", class_="muted"))
    return section("forgetting", "What training forgets", tag("div", shown, tag("div", parts), class_="grid"))


def verdict(content: Content) -> Markup | None:
    """Whether to go on: stopping criteria and the forecast, where they were computed."""
    parts = stopping(content.verdict)
    return section("stopping", "Stop or go on", *parts) if parts else None


def provenance(content: Content) -> Markup:
    """What the round was made from."""
    rows = [[name, tag("code", value)] for name, value in content.provenance]
    return section("provenance", "Where this comes from", table(["what", "value"], rows, label="Provenance"))
