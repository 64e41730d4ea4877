"""The document around the sections."""

from base64 import b64encode
from hashlib import sha256

from al_plugin.page import cards, labels, model, picks, sections
from al_plugin.page.content import Content
from al_plugin.page.html import Markup, render, tag
from al_plugin.page.style import STYLE

# How a page is known as one: it starts with this.
MARK = "<!doctype html>\n<!-- al report/1 -->\n"
_SECTIONS = (
    sections.headline,
    sections.learning_curve,
    sections.verdict,
    picks.batch,
    picks.place,
    cards.cards,
    model.quality,
    labels.labels,
    labels.forgetting,
    sections.provenance,
)
_NAMES = {
    "curve": "Learning curve",
    "stopping": "Stop or go on",
    "batch": "What the query adds",
    "place": "Where it lies",
    "query": "The query",
    "model": "Model",
    "labels": "Label quality",
    "forgetting": "Forgetting",
    "provenance": "Provenance",
}


def build(content: Content) -> bytes:
    """The page: the same bytes for the same content."""
    shown = [found for one in _SECTIONS if (found := one(content)) is not None]
    whole = "".join(shown)
    links = [
        tag("li", tag("a", name, href=f"#{key}")) for key, name in _NAMES.items() if f'<section id="{key}"' in whole
    ]
    title = f"{content.campaign}, round {content.number}"
    # A style with this content and pictures from the page itself; nothing else is loaded, run or sent.
    policy = (
        f"default-src 'none'; style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="generator", content="al report"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", Markup(STYLE)),
    )
    body = tag(
        "body",
        tag("a", "To the content", href="#content", class_="skip"),
        tag(
            "header",
            tag("h1", title),
            tag(
                "p",
                f"Report of an active learning round; {content.labels.numbers.get('labels', 0):,} labels so far.",
                class_="lead",
            ),
            tag("nav", tag("ul", links), aria_label="Sections"),
        ),
        tag("main", shown, id="content"),
        tag("footer", tag("p", "Made by al report from the files of this round alone.")),
    )
    return f"{MARK}{render(tag('html', head, body, lang='en'))}\n".encode()


def is_page(start: bytes) -> bool:
    """Whether a file that starts so is a page of ours."""
    return start.startswith(MARK.encode())
