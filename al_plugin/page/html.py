"""Markup from text: everything is escaped unless it is markup already."""

from collections.abc import Iterable
from html import escape

from al_plugin.foreign import visible

_VOID = frozenset({"meta", "img", "br", "circle", "line", "path", "rect"})


class Markup(str):
    """A string that is markup."""

    __slots__ = ()


Content = str | int | float | None | Iterable["Content"]


def render(content: Content) -> Markup:
    """Markup of a string (escaped), of markup (as it is), of numbers, or of several of these in a row."""
    if content is None:
        return Markup("")
    if isinstance(content, Markup):
        return content
    if isinstance(content, str | int | float):
        return Markup(escape(visible(content), quote=True))
    return Markup("".join(render(part) for part in content))


def tag(name: str, /, *content: Content, **attributes: str | float | None) -> Markup:
    """``<name attributes>content</name>``; ``_`` in an attribute's name is ``-``, a trailing one is dropped."""
    written = []
    for key, value in attributes.items():
        if value is not None:
            shown = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
            written.append(f' {key.rstrip("_").replace("_", "-")}="{escape(visible(shown), quote=True)}"')
    head = f"<{name}{''.join(written)}"
    if name in _VOID and not content:
        return Markup(f"{head}>" if name in ("meta", "img", "br") else f"{head}/>")
    return Markup(f"{head}>{render(content)}</{name}>")


def table(
    head: Iterable[Content], rows: Iterable[Iterable[Content]], *, label: str, numbers: Iterable[int] = ()
) -> Markup:
    """A table that scrolls where it is too wide; columns ``numbers`` are set right, first cells name their rows."""
    right = set(numbers)
    titles = list(head)
    top = tag("tr", [tag("th", cell, scope="col", class_="n" if i in right else None) for i, cell in enumerate(titles)])
    body = [
        tag(
            "tr",
            [
                tag("td" if i else "th", cell, scope=None if i else "row", class_="n" if i in right else None)
                for i, cell in enumerate(row)
            ],
        )
        for row in rows
    ]
    inner = tag("table", tag("thead", top), tag("tbody", body))
    return tag("div", inner, class_="scroll", tabindex="0", role="region", aria_label=label)


def details(summary: Content, *content: Content, opened: bool = False) -> Markup:
    """Content that opens on demand, by mouse or keyboard."""
    return tag("details", tag("summary", summary), *content, open="" if opened else None)
