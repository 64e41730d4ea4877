"""The drawings of the page, each from plain numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from al_plugin.axes import Floats, Ints
from al_plugin.math.outcomes import Bin, Share
from al_plugin.page.html import Content, Markup, tag
from al_plugin.page.numbers import count, number, percent
from al_plugin.page.svg import LETTER, WIDTH, Box, axes, dots, label, legend, line, mark, path, ticks

_FINEST = 12
_LONGEST_NAME = 16


@dataclass(frozen=True)
class Series:
    """Points (x, y, low, high) of a line; low and high None where there is no interval."""

    name: str
    points: Sequence[tuple[float, float, float | None, float | None]]
    kind: str = "line"


def lines(series: Sequence[Series], across: str, up: str) -> tuple[Markup, float]:
    """Lines with their intervals as bars; the axis spans the data, not 0 to 1."""
    values = [v for one in series for point in one.points for v in point[1:] if v is not None]
    places = [point[0] for one in series for point in one.points]
    first, last = min(places), max(places)
    room = 0.04 * (last - first) or 1.0
    box = Box(46, 40, WIDTH - 10, 210, (first - room, last + room), span(values))
    parts: list[Content] = [axes(box, across, up)]
    for one in series:
        placed = [(box.across(x), box.up(y)) for x, y, _, _ in one.points]
        parts.append(path(placed, one.kind))
        for x, y, lower, upper in one.points:
            at = box.across(x)
            if lower is not None and upper is not None:
                parts.append(line(at, box.up(lower), at, box.up(upper), f"{one.kind} whisker"))
            parts.append(tag("circle", cx=at, cy=box.up(y), r=3.0, class_=f"{one.kind} dot"))
    if len(series) > 1:
        parts.append(legend([(one.kind, one.name) for one in series], box.left - 5, 14))
    return tag("g", parts), 246


def span(values: Sequence[float]) -> tuple[float, float]:
    """The ends of an axis for these values: room beside them, but not beyond 0 or 1 where no value is beyond it."""
    low, high = min(values), max(values)
    margin = max(0.02, 0.08 * (high - low))
    bottom, top = low - margin, high + margin
    return bottom if low < 0 else max(0.0, bottom), top if high > 1 else min(1.0, top)


def histogram(
    edges: Floats, counts: Ints, marked: Sequence[float], across: str, up: str, names: tuple[str, str]
) -> tuple[Markup, float]:
    """Bars of counts; ``marked`` values as diamonds on a strip of their own under the bars."""
    box = Box(46, 40, WIDTH - 10, 190, (float(edges[0]), float(edges[-1])), (0, 1.06 * max(1, int(counts.max()))))
    parts: list[Content] = [_y_grid(box, up)]
    for left, right, amount in zip(edges, edges[1:], counts, strict=False):
        if amount:
            x, y = box.across(float(left)), box.up(float(amount))
            wide = max(0.5, box.across(float(right)) - x - 0.5)
            bar = tag("title", f"{number(float(left))} to {number(float(right))}: {amount:,}")
            parts.append(tag("rect", bar, x=x, y=y, width=wide, height=max(0.6, box.bottom - y), class_="bar pool"))
    parts.append(line(box.left, box.bottom, box.right, box.bottom, "axis"))
    parts += [mark("query", box.across(value), box.bottom + 9, 3.2) for value in marked]
    parts += [label(box.across(at), box.bottom + 30, number(at) if at % 1 else count(at)) for at in ticks(*box.x)]
    parts.append(label((box.left + box.right) / 2, box.bottom + 46, across, kind="t name"))
    entries = [("bar pool", names[0])] + ([("query", names[1])] if marked else [])
    parts.append(legend(entries, box.left - 5, 14))
    return tag("g", parts), 242


def _y_grid(box: Box, up: str) -> Markup:
    parts: list[Content] = []
    for value in ticks(*box.y):
        if value % 1 == 0:
            y = box.up(value)
            parts += [line(box.left, y, box.right, y, "grid"), label(box.left - 5, y + 3.5, count(value), anchor="end")]
    parts.append(label(box.left - 5, box.top - 8, up, anchor="start", kind="t name up"))
    return tag("g", parts)


def reliability(bins: Sequence[Bin]) -> tuple[Markup, float]:
    """Share correct against mean confidence, with the diagonal of a calibrated model; counts above the axis."""
    box = Box(46, 40, WIDTH - 10, 300, (0, 1), (0, 1))
    tens = [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    parts: list[Content] = [axes(box, "confidence", "share correct", x_ticks=tens, y_ticks=tens)]
    parts.append(line(box.across(0), box.up(0), box.across(1), box.up(1), "line ideal"))
    most = max(one.correct.total for one in bins)
    for one in bins:
        tall = 34 * one.correct.total / most
        x = box.across(one.low) + 1
        wide = box.across(one.high) - box.across(one.low) - 2
        parts.append(tag("rect", x=x, y=box.bottom - tall, width=wide, height=max(0.6, tall), class_="bar pool"))
        parts.append(label(x + wide / 2, box.bottom - tall - 3, count(one.correct.total), kind="t small"))
    for one in bins:
        at, shared = box.across(one.confidence), one.correct
        parts.append(line(at, box.up(shared.low), at, box.up(shared.high), "line whisker"))
        parts.append(tag("circle", cx=at, cy=box.up(shared.value or 0), r=3.5, class_="line dot"))
    names = [("line", "the model, 95 %"), ("line ideal", "calibrated"), ("bar pool", "samples")]
    parts.append(legend(names, box.left - 5, 14))
    return tag("g", parts), 336


def heat(counts: Ints, names: Sequence[str]) -> tuple[Markup, float]:
    """Confusion counts: rows actual, columns predicted; right ones and errors have colours of their own."""
    size = len(names)
    left = 14 + LETTER * min(_LONGEST_NAME, max(map(len, names)))
    side = (WIDTH - left - 4) / size
    top = 32 + (0 if _flat(names, side) else LETTER * min(_LONGEST_NAME, max(map(len, names))))
    parts: list[Content] = [label(left, 10, "predicted →", anchor="start", kind="t name")]
    most = max(1, int((counts * (1 - np.eye(size, dtype=np.int64))).max()))
    for row in range(size):
        y = top + row * side
        parts.append(label(left - 4, y + side / 2 + 4, short(names[row]), anchor="end"))
        parts.append(_column_name(left + row * side, top, side, names[row], flat=_flat(names, side)))
        total = max(1, int(counts[row].sum()))
        for column in range(size):
            amount, right = int(counts[row, column]), row == column
            depth = 0.06 + 0.42 * (amount / total if right else amount / most) if amount else 0.0
            x = left + column * side
            told = f"{names[row]} predicted as {names[column]}: {amount}"
            parts.append(
                tag(
                    "rect",
                    tag("title", told),
                    x=x,
                    y=y,
                    width=side - 1,
                    height=side - 1,
                    class_="right" if right else "wrong",
                    fill_opacity=round(depth, 3),
                )
            )
            if amount and side >= 9 + LETTER * len(str(amount)) - 8:
                parts.append(label(x + (side - 1) / 2, y + side / 2 + 4, amount, kind="t cell"))
    return tag("g", parts), top + size * side + 4


def _flat(names: Sequence[str], side: float) -> bool:
    return max(len(short(name)) for name in names) * LETTER <= side


def _column_name(x: float, top: float, side: float, name: str, *, flat: bool) -> Markup:
    if flat:
        return label(x + side / 2, top - 4, short(name))
    at = f"rotate(-90 {x + side / 2 + 3.5:.1f} {top - 4:.1f})"
    return tag("text", short(name), x=x + side / 2 + 3.5, y=top - 4, transform=at, class_="t")


def scatter(pool: Floats, labeled: Floats, query: Floats, titles: Sequence[str]) -> tuple[Markup, float]:
    """The map: the pool as dots, labelled samples as squares, the query as diamonds on top."""
    everything = np.concatenate([pool, labeled, query])
    low, high = everything.min(axis=0), everything.max(axis=0)
    # The same scale both ways, or distances on the map would say nothing.
    half = max(float((high - low).max()) / 2, 1e-9) * 1.03
    middle = (low + high) / 2
    box = Box(
        8, 26, WIDTH - 8, 26 + WIDTH - 16, (middle[0] - half, middle[0] + half), (middle[1] - half, middle[1] + half)
    )
    # What the data do not need in height is cut.
    used = [box.up(float(high[1])) - 8, box.up(float(low[1])) + 8]
    shift = used[0] - 26

    def places(points: Floats) -> list[tuple[float, float]]:
        return [(box.across(float(x)), box.up(float(y)) - shift) for x, y in points]

    parts: list[Content] = [dots(places(pool), "dots")]
    parts += [mark("labeled", x, y, 3.4) for x, y in places(labeled)]
    parts += [
        tag("g", tag("title", text), mark("query", x, y, 4.4))
        for (x, y), text in zip(places(query), titles, strict=True)
    ]
    names = [("pool", f"pool ({len(pool):,})")]
    if len(labeled):
        names.append(("labeled", f"labelled ({len(labeled):,})"))
    names.append(("query", f"this query ({len(query):,})"))
    parts.append(legend(names, 4, 14))
    return tag("g", parts), used[1] - shift


def columns(amounts: Sequence[tuple[str, int]], across: str, up: str, *, special: str = "") -> tuple[Markup, float]:
    """One bar per name with its count on top; the ``special`` one has another colour."""
    box = Box(46, 28, WIDTH - 10, 190, (0, len(amounts)), (0, 1.1 * max(1, *(amount for _, amount in amounts))))
    parts: list[Content] = [_y_grid(box, up)]
    every = max(1, -(-len(amounts) // _FINEST))
    for i, (name, amount) in enumerate(amounts):
        x, wide = box.across(i + 0.1), box.across(0.8) - box.left
        y = box.up(amount)
        kind = "bar query" if name == special else "bar labeled"
        if amount:
            parts.append(tag("rect", x=x, y=y, width=wide, height=max(0.6, box.bottom - y), class_=kind))
            parts.append(label(x + wide / 2, y - 3, count(amount), kind="t small"))
        if i % every == 0 or name == special:
            parts.append(label(x + wide / 2, box.bottom + 14, name))
    parts.append(line(box.left, box.bottom, box.right, box.bottom, "axis"))
    parts.append(label((box.left + box.right) / 2, box.bottom + 30, across, kind="t name"))
    return tag("g", parts), 226


def pairs(rows: Sequence[tuple[str, Share, Share]], names: tuple[str, str]) -> tuple[Markup, float]:
    """Two bars per name, shares from 0 up: the batch with its interval, and the pool."""
    left = 14 + LETTER * min(_LONGEST_NAME, max(len(name) for name, _, _ in rows))
    largest = max(max(mine.high if mine.total else 0, theirs.value or 0) for _, mine, theirs in rows)
    step, top = 24.0, 26.0
    box = Box(left, top, WIDTH - 12, top + step * len(rows), (0, largest or 1.0), (0, 1))
    parts: list[Content] = []
    for value in ticks(*box.x, most=5):
        x = box.across(value)
        parts += [line(x, top, x, box.bottom, "grid"), label(x, box.bottom + 14, percent(value, 0))]
    for i, (name, mine, theirs) in enumerate(rows):
        y = top + i * step
        parts.append(label(left - 4, y + 16, short(name), anchor="end"))
        for shared, offset, kind in ((mine, 4.0, "bar query"), (theirs, 13.0, "bar pool")):
            wide = box.across(shared.value or 0) - left
            if wide > 0:
                parts.append(tag("rect", x=left, y=y + offset, width=wide, height=8.0, class_=kind))
        parts.append(line(box.across(mine.low), y + 8, box.across(mine.high), y + 8, "whisker ink"))
    parts.append(legend([("bar query", names[0]), ("bar pool", names[1])], 4, 14))
    return tag("g", parts), box.bottom + 22


def short(name: str) -> str:
    """A name that fits beside a drawing."""
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def shares(values: Mapping[str, float]) -> Markup:
    """Small bars of probabilities, one per name: they are drawn beside their numbers."""
    rows: list[Content] = []
    for i, (name, value) in enumerate(values.items()):
        y = 2 + 16 * i
        rows += [
            label(0, y + 9, short(name), anchor="start"),
            tag("rect", x=104, y=y, width=max(0.5, 92 * value), height=10, class_="bar labeled"),
            label(240, y + 9, f"{value:.3f}", anchor="end"),
        ]
    told = ", ".join(f"{name} {value:.3f}" for name, value in values.items())
    return tag(
        "svg",
        tag("title", f"predicted: {told}"),
        rows,
        viewBox=f"0 0 244 {4 + 16 * len(values)}",
        role="img",
        class_="bars",
    )
