"""Pieces of a drawing: scales, ticks, axes, and the figure around it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from al_plugin.page.html import Content, Markup, details, tag
from al_plugin.page.numbers import number

# A drawing is as wide as a phone, so that its letters stay readable there.
WIDTH = 400.0
LETTER = 6.7


@dataclass(frozen=True)
class Box:
    """The plotting area, in units of the drawing, and the data it stands for."""

    left: float
    top: float
    right: float
    bottom: float
    x: tuple[float, float]
    y: tuple[float, float]

    def across(self, value: float) -> float:
        """Horizontal place of a value."""
        low, high = self.x
        return self.left + (value - low) / ((high - low) or 1.0) * (self.right - self.left)

    def up(self, value: float) -> float:
        """Vertical place of a value."""
        low, high = self.y
        return self.bottom - (value - low) / ((high - low) or 1.0) * (self.bottom - self.top)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values within [low, high]: steps of 1, 2 or 5 times a power of ten, at most ``most``."""
    if not high > low:
        return [low]
    rough = (high - low) / max(1, most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step for factor in (1, 2, 5, 10) if (step := factor * power) >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(at * step, 12) for at in range(first, last + 1)]


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A straight line of a class."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def label(x: float, y: float, text: Content, *, anchor: str = "middle", kind: str = "t") -> Markup:
    """Text at a place."""
    return tag("text", text, x=x, y=y, text_anchor=anchor, class_=kind)


def path(points: Sequence[tuple[float, float]], kind: str, *, closed: bool = False) -> Markup:
    """A line through points."""
    steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return tag("path", d=f"M{steps}{'Z' if closed else ''}", class_=kind)


def dots(points: Sequence[tuple[float, float]], kind: str) -> Markup:
    """Many dots as one path: lines without length, drawn with round ends."""
    return tag("path", d="".join(f"M{x:.1f} {y:.1f}h0" for x, y in points), class_=kind)


def axes(
    box: Box,
    across: str,
    up: str,
    *,
    x_ticks: Sequence[float] | None = None,
    y_ticks: Sequence[float] | None = None,
    shown: Callable[[float], str] | None = None,
) -> Markup:
    """Grid lines, ticks and names of both axes."""
    told = shown or (lambda value: number(value, 3) if value % 1 else f"{value:,.0f}")
    parts: list[Content] = []
    for value in y_ticks if y_ticks is not None else ticks(*box.y):
        y = box.up(value)
        parts += [line(box.left, y, box.right, y, "grid"), label(box.left - 5, y + 3.5, told(value), anchor="end")]
    for value in x_ticks if x_ticks is not None else ticks(*box.x):
        parts.append(label(box.across(value), box.bottom + 14, told(value)))
    parts += [
        line(box.left, box.bottom, box.right, box.bottom, "axis"),
        label((box.left + box.right) / 2, box.bottom + 30, across, kind="t name"),
        label(box.left - 5, box.top - 8, up, anchor="start", kind="t name up"),
    ]
    return tag("g", parts)


def figure(
    name: str,
    title: str,
    description: str,
    drawing: Content,
    height: float,
    alternative: Content,
    *,
    opened: bool = False,
) -> Markup:
    """A drawing, a name and a description for those who do not see it, and its data as a table, ``opened`` or not."""
    drawn = tag(
        "svg",
        tag("title", title, id=f"{name}-title"),
        tag("desc", description, id=f"{name}-desc"),
        drawing,
        viewBox=f"0 0 {WIDTH:.0f} {height:.0f}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        preserveAspectRatio="xMidYMid meet",
    )
    caption = tag("figcaption", tag("strong", title, "."), " ", description)
    return tag("figure", caption, drawn, details("The same as a table", alternative, opened=opened))


def legend(entries: Sequence[tuple[str, str]], x: float, y: float) -> Markup:
    """Names beside a sample of their mark, in one row: (class of the mark, name)."""
    parts: list[Content] = []
    for kind, text in entries:
        parts += [mark(kind, x + 5, y - 3.5), label(x + 14, y, text, anchor="start")]
        x += 26 + LETTER * len(text)
    return tag("g", parts)


def mark(kind: str, x: float, y: float, size: float = 4.0) -> Markup:
    """A mark whose form tells what it is, not its colour alone: ``query`` a diamond, ``labeled`` a square."""
    if kind == "query":
        return path([(x, y - size), (x + size, y), (x, y + size), (x - size, y)], "mark query", closed=True)
    if kind == "labeled":
        return tag(
            "rect", x=x - 0.75 * size, y=y - 0.75 * size, width=1.5 * size, height=1.5 * size, class_="mark labeled"
        )
    if kind in ("line", "line control", "line ahead", "line ideal"):
        return line(x - 6, y, x + 6, y, kind)
    if kind.startswith("bar"):
        return tag("rect", x=x - size, y=y - size, width=2 * size, height=2 * size, class_=kind)
    return tag("circle", cx=x, cy=y, r=2.2, class_="mark pool")
