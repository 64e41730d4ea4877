"""The section on the model: calibration, confusions, classes."""

from collections.abc import Sequence

import numpy as np

from al_plugin.math.outcomes import precisions, recalls
from al_plugin.page import charts
from al_plugin.page.content import Content, Evaluated
from al_plugin.page.html import Content as Part
from al_plugin.page.html import Markup, details, table, tag
from al_plugin.page.numbers import count, metric, percent, share
from al_plugin.page.sections import section
from al_plugin.page.svg import figure

_HEAT = 24
_CONFUSIONS = 12


def quality(content: Content) -> Markup | None:
    """The model on the evaluation set: calibration, confusion, classes."""
    found = content.evaluated
    if found is None:
        return None
    drawn: list[Part] = [_calibration(found)]
    if len(content.classes) <= _HEAT:
        drawn.append(_confusion(found, content.classes))
    return section(
        "model",
        "The model on the evaluation set",
        tag("div", drawn, class_="grid"),
        _confused(found, content.classes),
        _classes(found, content.classes),
    )


def _calibration(found: Evaluated) -> Markup:
    drawing, height = charts.reliability(found.bins)
    rows = [
        [f"{one.low:.1f} to {one.high:.1f}", count(one.correct.total), metric(one.confidence), share(one.correct)]
        for one in found.bins
    ]
    told = (
        "Share of correct predictions against confidence, in bins of a tenth. Expected calibration error (15 bins) "
        f"{metric(found.metrics.get('ece'))}, negative log-likelihood {metric(found.metrics.get('nll'))} nats. Points "
        "under the diagonal are too confident."
    )
    head = ["confidence", "samples", "mean confidence", "share correct, 95 %"]
    return figure(
        "calibration-f", "Calibration", told, drawing, height, table(head, rows, label="Calibration", numbers=(1, 2, 3))
    )


def _confusion(found: Evaluated, classes: Sequence[str]) -> Markup:
    drawing, height = charts.heat(found.counts, classes)
    rows = [[name, *(str(value) for value in row)] for name, row in zip(classes, found.counts, strict=True)]
    wrong = int(found.counts.sum() - np.trace(found.counts))
    told = (
        f"{count(int(np.trace(found.counts)))} of {count(int(found.counts.sum()))} samples are right (the diagonal), "
        f"{count(wrong)} wrong. "
        "Rows are the actual classes; colour is the share of the row on the diagonal, else of the largest error."
    )
    alternative = table(
        ["actual \\ predicted", *classes], rows, label="Confusion matrix", numbers=range(1, len(classes) + 1)
    )
    return figure("confusion-f", "Confusion matrix", told, drawing, height, alternative)


def _confused(found: Evaluated, classes: Sequence[str]) -> Markup | None:
    """The most frequent errors, in words."""
    errors = found.counts * (1 - np.eye(len(classes), dtype=np.int64))
    order = np.argsort(-errors, axis=None, kind="stable")[:_CONFUSIONS]
    rows = [
        [
            classes[row],
            classes[column],
            count(int(errors[row, column])),
            percent(errors[row, column] / found.counts[row].sum()),
        ]
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
    return details(
        "Recall and precision by class", table(head, rows, label="Recall and precision by class", numbers=(1, 2, 3))
    )
