"""The sections on the query: the batch as a whole, the map, and a card for each sample."""

from collections.abc import Callable

from al_plugin.math.explain import Coverage
from al_plugin.page import charts
from al_plugin.page.content import Content
from al_plugin.page.html import Content as Part
from al_plugin.page.html import Markup, table, tag
from al_plugin.page.numbers import count, number, percent
from al_plugin.page.sections import section
from al_plugin.page.svg import figure
from al_plugin.rounds.explained import Batch, Versus

CARDS = 60


def batch(content: Content) -> Markup | None:
    """What the batch adds: classes, coverage before and after, beside random batches of the same size."""
    found, samples = content.explanation.batch, content.explanation.samples
    if not samples:
        return None
    parts: list[Part] = []
    if found.mix:
        parts.append(_mix(found))
    facts = tag("div", tag("h3", "Coverage"), _coverage(found, content.explanation.space))
    drawn = tag("div", [*parts, facts], class_="grid")
    return section("batch", "What this query adds", drawn)


def _mix(found: Batch) -> Markup:
    rows = [(one.name, one.batch, one.pool) for one in found.mix]
    shown = sorted(rows, key=lambda row: -(row[1].value or 0))[:24] if len(rows) > 24 else rows
    drawing, height = charts.pairs(shown, ("this query", "candidates"))
    told = "Predicted classes of the query (bars with 95 % intervals) beside those of all candidates."
    if len(rows) > len(shown):
        told += f" The {len(shown)} most frequent of {len(rows)} classes."
    cells = [
        [
            name,
            count(mine.hits),
            percent(mine.value),
            f"{percent(mine.low)} to {percent(mine.high)}",
            percent(theirs.value),
        ]
        for name, mine, theirs in rows
    ]
    head = ["class", "in the query", "share", "95 %", "of the candidates"]
    return figure(
        "mix-f",
        "Predicted classes",
        told,
        drawing,
        height,
        table(head, cells, label="Predicted classes", numbers=(1, 2, 3, 4)),
    )


def _coverage(found: Batch, space: str) -> list[Part]:
    where = "the model's embedding" if space == "embeddings" else "the standardised features"
    part = (
        "" if found.measured >= found.unlabelled else f"; measured on {count(found.measured)} of them, drawn at random"
    )
    before, after, none = found.before, found.after, "–"
    rows = [
        ["mean distance to the nearest label", _mean(before), _mean(after), _random(found.mean, number)],
        ["largest distance", number(before.largest), number(after.largest), none],
        [f"within {number(found.radius)} of a label", percent(before.covered), percent(after.covered), none],
    ]
    if found.covered is not None:
        rows.append(["newly within it", none, percent(found.covered.batch), _random(found.covered, percent)])
    if found.gap is not None:
        rows.append(
            ["mean distance to the next of the query", none, number(found.gap.batch), _random(found.gap, number)]
        )
    rows.append(["pairs of near copies in the query", none, count(found.twins), none])
    shared = found.overlap
    overlap = (
        ""
        if shared is None
        else (
            f"Of what a random query would newly cover, this one covers {percent(shared.random)} "
            f"({percent(shared.low)} to {percent(shared.high)}) too. "
        )
    )
    note = (
        f"Distances in {where}, over {count(found.unlabelled)} samples without a label{part}. The radius is the median "
        f"distance after this query. Near copies are closer than {number(found.copy_radius)}: a quarter of the median "
        "distance to the 10th neighbour. Random: the mean of 20 random queries of this size, and the range of the "
        "middle 95 % of them."
    )
    head = ["of the pool", "before", "with this query", "with a random one"]
    return [table(head, rows, label="Coverage", numbers=(1, 2, 3)), tag("p", overlap, note, class_="muted")]


def _mean(found: Coverage) -> str:
    return "–" if found.mean is None else f"{number(found.mean)} ± {number(1.96 * (found.error or 0), 2)}"


def _random(random: Versus | None, told: Callable[[float], str]) -> str:
    return "–" if random is None else f"{told(random.random)} ({told(random.low)} to {told(random.high)})"


def place(content: Content) -> Markup | None:
    """Where the query lies: on the map, and among the scores."""
    drawn = [found for found in (_map(content), _scores(content)) if found is not None]
    if len(drawn) == 1:
        return section("place", "Where the query lies", drawn[0])
    return section("place", "Where the query lies", tag("div", drawn, class_="grid")) if drawn else None


def _map(content: Content) -> Markup | None:
    """Samples of the query between the pool and what is labelled."""
    found, samples = content.explanation.map, content.explanation.samples
    if len(found.pool) + len(found.labeled) + len(found.query) < 3:
        return None
    titles = [f"{one.row.rank}: {one.row.sample_id}" for one in samples]
    drawing, height = charts.scatter(found.pool, found.labeled, found.query, titles)
    where = "the model's embeddings" if content.explanation.space == "embeddings" else "the standardised features"
    drawn, unlabelled = len(found.pool), content.explanation.batch.unlabelled
    whole = (
        "" if drawn >= unlabelled else f"Of {count(unlabelled)} unlabelled samples {count(drawn)} are drawn, at random."
    )
    told = (
        f"The first two principal components of {where}; they hold {percent(found.explained[0])} and "
        f"{percent(found.explained[1])} of the variance, so what lies together here need not be near. {whole}"
    )
    rows = [
        [str(one.row.rank), tag("a", one.row.sample_id, href=f"#s-{one.row.rank}"), number(float(x)), number(float(y))]
        for one, (x, y) in zip(samples[:CARDS], found.query, strict=False)
    ]
    alternative = table(
        ["rank", "sample", "1st component", "2nd component"],
        rows,
        label="Places of the query on the map",
        numbers=(0, 2, 3),
    )
    return figure("map-f", "Map of the pool", told, drawing, height, alternative)


def _scores(content: Content) -> Markup | None:
    """Scores of the pool with those of the query marked."""
    found = content.scores
    if found is None or not found.counts.sum():
        return None
    drawing, height = charts.histogram(
        found.edges, found.counts, found.query, "score (higher is labelled first)", "samples", ("pool", "this query")
    )
    rows = [
        [f"{number(float(low))} to {number(float(high))}", count(int(amount))]
        for low, high, amount in zip(found.edges, found.edges[1:], found.counts, strict=False)
    ]
    never = f" {count(found.never)} more have the score never." if found.never else ""
    told = (
        f"Scores of {count(int(found.counts.sum()))} pool samples; the {len(found.query)} of this query are marked "
        f"under the axis.{never}"
    )
    alternative = table(["score", "samples"], rows, label="Scores", numbers=(0, 1))
    return figure("scores-f", "Score distribution", told, drawing, height, alternative)
