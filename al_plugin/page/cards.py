"""The section with a card for each sample of the query."""

from base64 import b64encode

from al_plugin.page import charts
from al_plugin.page.content import Content
from al_plugin.page.html import Content as Part
from al_plugin.page.html import Markup, details, table, tag
from al_plugin.page.numbers import count, number, percent
from al_plugin.page.sections import section
from al_plugin.rounds.explained import Explained, Neighbour, Standing

CARDS = 60
_ROWS = 1000
_TEXT = 600
_CELL = 80
_CELLS = 12
_COPIES = 8
_THUMB = 64 << 10


def cards(content: Content) -> Markup:
    """Every sample of the query with what speaks for it."""
    samples = content.explanation.samples
    if not samples:
        return section(
            "query", "The query", tag("p", "The query is empty: every sample is labelled or waits for an answer.")
        )
    parts: list[Part] = [
        tag(
            "p",
            "In the order in which they are to be labelled. Ranks are among the candidates; 1 is asked first.",
            class_="muted",
        ),
        tag("ul", [_card(content, one) for one in samples[:CARDS]], class_="cards"),
    ]
    rest = samples[CARDS : CARDS + _ROWS]
    if rest:
        rows = [
            [str(one.row.rank), one.row.sample_id, one.row.kind, number(one.row.score), _guess(one), "; ".join(one.why)]
            for one in rest
        ]
        head = ["rank", "sample", "kind", "score", "predicted", "why"]
        more = len(samples) - CARDS - len(rest)
        parts.append(
            details(
                f"{count(len(rest))} more samples", table(head, rows, label="The rest of the query", numbers=(0, 3))
            )
        )
        if more > 0:
            parts.append(tag("p", f"{count(more)} further samples stand in query/query.jsonl only.", class_="muted"))
    return section("query", f"The query: {count(len(samples))} samples", *parts)


def _card(content: Content, one: Explained) -> Markup:
    row, shown = one.row, content.shown.get(one.row.sample_id)
    parts: list[Part] = [
        tag(
            "h3",
            f"{row.rank}. {row.sample_id}",
            tag("span", row.kind, class_=f"badge {'random' if row.kind == 'random' else ''}".strip()),
        ),
        _thumb(content, row.sample_id),
    ]
    if shown is not None and shown.text:
        text = shown.text if len(shown.text) <= _TEXT else f"{shown.text[:_TEXT]}…"
        parts.append(tag("p", text, class_="text", tabindex="0" if len(shown.text) > _TEXT // 2 else None))
    if shown is not None and shown.cells:
        cells = [[name, _cut(value)] for name, value in list(shown.cells.items())[:_CELLS]]
        parts.append(table(["column", "value"], cells, label=f"Columns of {row.sample_id}"))
    if one.probabilities:
        parts.append(charts.shares(dict(one.probabilities)))
    parts.append(tag("ul", [tag("li", sentence) for sentence in one.why]))
    if one.neighbours:
        near = [tag("li", _neighbour(content, other)) for other in one.neighbours]
        parts += [
            tag("p", "Nearest labelled samples, with their distance:", class_="muted"),
            tag("ul", near, class_="near"),
        ]
    parts.append(details("All measures", _measures(one)))
    return tag("li", parts, id=f"s-{row.rank}")


def _neighbour(content: Content, other: Neighbour) -> list[Part]:
    """Picture, label, and the beginning of the text of a labelled sample, with its id and distance."""
    shown = content.shown.get(other.sample_id)
    words = f"{_cut(shown.text)} " if shown is not None and shown.text else ""
    where = tag("span", f"({other.sample_id}, {number(other.distance)})", class_="muted")
    return [_thumb(content, other.sample_id), tag("strong", other.label), f" {words}", where]


def _measures(one: Explained) -> list[Part]:
    rows = [[standing.name, number(standing.value, 4), _rank(standing)] for standing in one.standings]
    rows += [
        [
            "distance to the nearest label",
            number(one.distance),
            "" if one.farther is None else f"farther than {percent(one.farther)}",
        ],
        ["distance to the next of the query", number(one.gap), ""],
        ["share of the pool it is nearest to", percent(one.cell), ""],
    ]
    parts: list[Part] = [
        table(["measure", "value", "rank"], rows, label=f"Measures of {one.row.sample_id}", numbers=(1, 2))
    ]
    if one.copies:
        more = len(one.copies) - _COPIES
        listed = ", ".join(one.copies[:_COPIES]) + (f" and {more:,} more" if more > 0 else "")
        parts.append(tag("p", f"Near copies in the pool: {listed}"))
    parts.append(tag("p", f"Query id {one.row.query_id}. Reason given: {one.row.reason}", class_="muted"))
    return parts


def _rank(standing: Standing) -> str:
    among = "a sample of " if standing.sampled else ""
    return f"{standing.rank:,} of {among}{standing.of:,}"


def _guess(one: Explained) -> str:
    return f"{one.probabilities[0][0]} ({one.probabilities[0][1]:.2f})" if one.probabilities else "–"


def _thumb(content: Content, sample_id: str) -> Markup | None:
    image = content.thumb(sample_id) if content.thumb else None
    if not image or len(image) > _THUMB:
        return None
    return tag(
        "img", src=f"data:image/png;base64,{b64encode(image).decode()}", alt=f"sample {sample_id}", class_="thumb"
    )


def _cut(text: str) -> str:
    return text if len(text) <= _CELL else f"{text[:_CELL]}…"
