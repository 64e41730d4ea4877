"""The sections on the labels: what they are worth, and which of them training forgets."""

from al_plugin.page import charts
from al_plugin.page.content import Content
from al_plugin.page.html import Content as Part
from al_plugin.page.html import Markup, details, table, tag
from al_plugin.page.numbers import count, metric, share
from al_plugin.page.sections import section
from al_plugin.page.svg import figure

_HEAT = 24


def labels(content: Content) -> Markup | None:
    """What the labels are worth: agreement, disputes, quarantine, votes by annotator."""
    found = content.labels
    if not found.numbers.get("votes") and not found.refused:
        return None
    names = ("labels", "votes", "annotators", "disputed", "pending", "quarantined")
    facts: list[Part] = [
        tag("div", tag("dt", name), tag("dd", count(found.numbers[name]))) for name in names if name in found.numbers
    ]
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
        drawn.append(
            figure(
                "balance-f",
                "Labels by class",
                told,
                drawing,
                height,
                table(["class", "labels"], rows, label="Labels by class", numbers=(1,)),
            )
        )
    if len(found.agreement) > 1:
        drawing, height = charts.columns(found.agreement, "share of votes that equal the label", "samples")
        rows = [[name, count(value)] for name, value in found.agreement]
        told = "Labelled samples with several votes, by agreement."
        drawn.append(
            figure(
                "agreement-f",
                "Agreement",
                told,
                drawing,
                height,
                table(["agreement", "samples"], rows, label="Agreement", numbers=(1,)),
            )
        )
    if found.annotators:
        rows = [[one.name, count(one.votes), share(one.agrees), count(one.agrees.total)] for one in found.annotators]
        head = ["annotator", "votes", "agrees with the label, 95 %", "on samples of several votes"]
        shown = table(head, rows, label="Annotators", numbers=(1, 2, 3))
        drawn.append(tag("div", tag("h3", "Annotators"), shown))
    parts.append(tag("div", drawn, class_="grid"))
    if found.refused:
        rows = [[file, str(row), reasons] for file, row, reasons in found.refused]
        title = f"In quarantine: {count(found.numbers.get('quarantined', len(rows)))} answers"
        parts.append(
            details(title, table(["file", "row", "reasons"], rows, label="Answers in quarantine", numbers=(1,)))
        )
    return section("labels", "Label quality", *parts)


def forgetting(content: Content) -> Markup | None:
    """Labelled samples that training forgets or never learns: wrong labels and hard cases stand there."""
    found = content.forgetting
    if found is None:
        return None
    amounts = [(str(events), amount) for events, amount in enumerate(found.counts)]
    amounts.append(("never", found.never_learned))
    drawing, height = charts.columns(
        amounts, "forgetting events (never: never learned)", "labelled samples", special="never"
    )
    total = sum(amount for _, amount in amounts)
    told = (
        f"How often each of {count(total)} labelled samples was forgotten in training; "
        f"{count(found.never_learned)} were never learned."
    )
    shown = figure(
        "forgetting-f",
        "Forgetting events",
        told,
        drawing,
        height,
        table(["events", "samples"], [[a, count(b)] for a, b in amounts], label="Forgetting events", numbers=(1,)),
    )
    parts: list[Part] = []
    if found.missed:
        parts += [tag("h3", "Never learned"), table(["sample", "label"], found.missed, label="Never learned")]
    if found.most:
        head = ["sample", "label", "events", "first learned at"]
        parts += [tag("h3", "Most forgotten"), table(head, found.most, label="Most forgotten", numbers=(2, 3))]
    if parts:
        parts.append(
            tag("p", "Look at their labels first: what is hard to learn is often labelled wrongly.", class_="muted")
        )
    return section("forgetting", "What training forgets", tag("div", shown, tag("div", parts), class_="grid"))
