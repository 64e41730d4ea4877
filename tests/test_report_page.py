"""The page: self-contained, safe, readable by everyone, the same every time."""

import hashlib
import re
import struct
import zlib
from base64 import b64decode, b64encode
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_plugin.data.pool import Pool
from al_plugin.data.queries import QueryRow
from al_plugin.data.sets import Labeled, Model, Scoreboard
from al_plugin.foreign import visible
from al_plugin.math import outcomes
from al_plugin.page import build, charts, content
from al_plugin.page.document import is_page
from al_plugin.page.html import Markup, render, table, tag
from al_plugin.page.numbers import number
from al_plugin.page.png import png
from al_plugin.page.style import DARK, LIGHT, STYLE
from al_plugin.page.svg import ticks
from al_plugin.rounds.explain import explain
from al_plugin.rounds.explained import Stored

CLASSES = ("cat", "dog")
HOSTILE = "<script>alert(1)</script>\"'&\x1b[31mred\x1b]0;title\x07\u202e&lt;"
VOID = {"meta", "img", "br"}


def page_of(
    n: int = 40, queried: int = 5, *, fitted: bool = True, name: str = "s", classes: tuple = CLASSES, **changes: object
) -> content.Content:
    rng = np.random.default_rng(0)
    ids = np.array([f"{name}{i}" for i in range(n)], dtype=object)
    pool = Pool(ids, rng.normal(size=(n, 3)).astype(np.float32), {"part-00000": n})
    logits = rng.normal(size=(n, len(classes)))
    log_probs = (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)
    stored = Stored(log_probs, pool.features) if fitted else Stored()
    labeled = (
        Labeled([str(i) for i in ids[:6]], np.arange(6) % len(classes))
        if fitted
        else Labeled([], np.empty(0, dtype=np.int64))
    )
    scores = rng.random(n)
    predicted = [classes[c] for c in log_probs.argmax(axis=1)] if fitted else [None] * n
    board = Scoreboard(ids, scores if fitted else None, predicted, [0.5] * n)
    rows = [
        QueryRow(
            f"r0002-{i}",
            str(ids[10 + i]),
            i + 1,
            float(scores[10 + i]) if fitted else None,
            "random" if i == 2 else "query",
            1,
            0.1 if i == 2 else None,
            f"margin of 9 candidates; {name}",
        )
        for i in range(queried)
    ]
    model = Model({"fitted": fitted, "network": {"body": "mlp"}}, {})
    actual, guess = rng.integers(0, len(classes), 50), rng.integers(0, len(classes), 50)
    correct = (actual == guess).astype(np.int64)
    evaluated = content.Evaluated(
        outcomes.confusion(actual, guess, len(classes)),
        outcomes.share(int(correct.sum()), 50),
        outcomes.reliability(rng.random(50), correct),
        {"accuracy": 0.5, "nll": 0.7, "ece": 0.1},
        outcomes.change(np.roll(correct, 3), correct),
        0,
    )
    known = dict(zip(labeled.sample_ids, labeled.labels, strict=True))
    made = content.Content(
        campaign="zoo",
        number=1,
        classes=classes,
        strategy="single + margin + top",
        next_step="label them",
        curve=[content.Point(1, 6, {"accuracy": 0.5}, outcomes.share(25, 50))] if fitted else [],
        labels=content.Labels(
            {
                "labels": len(known),
                "votes": 8,
                "annotators": 1,
                "disputed": 0,
                "pending": 1,
                "quarantined": 1,
                "mean_agreement": 0.9,
                "per_class": dict.fromkeys(classes, 3),
            },
            [content.Annotator(name, 8, outcomes.share(3, 4))],
            [("0.50", 1), ("1.00", 3)],
            [("b01--x.csv", 3, name)],
        ),
        evaluated=evaluated if fitted else None,
        scores=content.score_histogram(scores, [row.score for row in rows]) if fitted else None,
        explanation=explain(pool, labeled, model, board, stored, rows, set(known), 0, classes),
        forgetting=content.Forgetting([3, 2, 1], 1, [(f"{name}1", "cat", 2, 1)], [(f"{name}2", "dog")])
        if fitted
        else None,
        shown={str(ids[10]): content.Shown(f"a text {name}", {f"column {name}": name})},
        provenance=[("commit", name)],
    )
    return replace(made, **changes)


class Reader(HTMLParser):
    """Collects elements and checks that every one is closed in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None], tuple[str, ...]]] = []
        self.text: list[str] = []

    def handle_starttag(self, name: str, attributes: list) -> None:
        self.elements.append((name, dict(attributes), tuple(self.open)))
        if name not in VOID:
            self.open.append(name)

    def handle_startendtag(self, name: str, attributes: list) -> None:
        self.elements.append((name, dict(attributes), tuple(self.open)))

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)


def read(page: bytes) -> Reader:
    reader = Reader()
    reader.feed(page.decode())
    reader.close()
    assert reader.open == []
    return reader


PAGES = {
    "model": page_of(),
    "cold": page_of(fitted=False),
    "hostile": page_of(
        name=HOSTILE,
        campaign=HOSTILE,
        next_step=HOSTILE,
        classes=("<i>", HOSTILE),
        verdict={"advice": HOSTILE, "decision": {"stop": False, "reason": HOSTILE}},
    ),
    "many": page_of(900, 300, classes=tuple(f"class number {i}" for i in range(40))),
    "empty": page_of(queried=0),
    "verdict": page_of(
        verdict={
            "decision": {"stop": True, "reason": "kappa"},
            "criteria": [{"name": "stabilising_predictions", "holds": True, "reason": "kappa 0.99"}],
            "forecast": [{"labels": 12, "value": 0.6, "low": 0.4, "high": 0.7}],
            "control": [{"labels": 6, "accuracy": 0.4, "low": 0.3, "high": None}],
            "risk": {"refused": "nothing was drawn"},
            "saved": {
                "saved": {"value": 90.0, "low": 40.0, "high": 140.0},
                "random": {"value": 190.0, "low": 140.0, "high": None},
            },
            "advice": "selection pays",
            "biased": {"mean_agreement": "low, since they are hard"},
            "unread": [1],
            "rounds": [{"number": 2, "missing": "scores of round 2"}],
        },
        thumb=lambda _: png(np.zeros((4, 4), dtype=np.uint8)),
    ),
}


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest) -> bytes:
    return build(PAGES[request.param])


def test_the_same_bytes_again(page: bytes) -> None:
    assert page in {build(one) for one in PAGES.values()}
    assert is_page(page)


def test_nothing_is_loaded_or_run(page: bytes) -> None:
    reader = read(page)
    assert {name for name, _, _ in reader.elements}.isdisjoint(
        {"script", "link", "iframe", "object", "embed", "form", "base", "input"}
    )
    for name, attributes, _ in reader.elements:
        assert not [key for key in attributes if key.startswith("on") or key == "style"], (name, attributes)
        for key in ("src", "href", "xlink:href", "data", "action"):
            if attributes.get(key) is not None:
                assert attributes[key].startswith(("#", "data:image/png;base64,"))
    assert b"@import" not in page
    assert b"url(" not in page
    assert not re.search(rb"(?<![\w/])(?:https?:)?//\w", page)


def test_the_policy_allows_the_page_s_own_style_and_nothing_else(page: bytes) -> None:
    reader = read(page)
    (policy,) = [a["content"] for name, a, _ in reader.elements if a.get("http-equiv") == "Content-Security-Policy"]
    digest = b64encode(hashlib.sha256(page.split(b"<style>")[1].split(b"</style>")[0]).digest()).decode()
    assert (
        policy == f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )


def test_it_is_accessible(page: bytes) -> None:
    reader = read(page)
    (html,) = [a for name, a, _ in reader.elements if name == "html"]
    assert html["lang"] == "en"
    assert [name for name, _, _ in reader.elements].count("h1") == 1
    ids = [a["id"] for _, a, _ in reader.elements if "id" in a]
    assert [one for one, times in Counter(ids).items() if times > 1] == []
    for name, a, inside in reader.elements:
        for key in ("aria-labelledby",):
            assert set((a.get(key) or "").split()) <= set(ids)
        if name == "svg":
            assert a["role"] == "img"
            assert "aria-labelledby" in a or "figure" not in inside
        if name == "img":
            assert a["alt"]
        if (a.get("href") or "").startswith("#"):
            assert a["href"][1:] in ids
    figures = page.decode().split("<figure>")[1:]
    for figure in figures:
        inner = figure.split("</figure>")[0]
        assert "<title id=" in inner
        assert "<desc id=" in inner
        assert re.search(r"<details[^>]*><summary>.*<table>", inner, re.DOTALL)
    assert all(
        a.get("tabindex") == "0" and a["aria-label"] for _, a, _ in reader.elements if a.get("class") == "scroll"
    )


def test_hostile_text_stays_text() -> None:
    page = build(PAGES["hostile"])
    reader = read(page)
    assert b"\x1b" not in page
    assert "\u202e" not in page.decode()
    assert "<script>alert(1)</script>\"'&red&lt;" in "".join(reader.text)
    assert not any(name == "i" for name, _, _ in reader.elements)


@given(st.text())
def test_any_text_is_escaped_and_comes_back(text: str) -> None:
    reader = read(tag("p", text, title=text).encode())
    assert "".join(reader.text).replace("\r", "\n") == visible(text).replace("\r", "\n")
    assert reader.elements[0][1]["title"] == visible(text)


@pytest.mark.parametrize(
    "escape",
    [
        "\x1b[2J",
        "\x1b]8;;http://x\x07",
        "\x1b]0;t\x1b\\",
        "\x1bP1$r\x1b\\",
        "\x1b(B"[:2],
        "\x9b31m"[:1],
        "\x07",
        "\x00",
        "\u2066",
    ],
)
def test_terminal_escapes_are_stripped(escape: str) -> None:
    assert visible(f"a{escape}b") in ("ab", "a")
    assert not set(visible(f"a{escape}b")) & set("\x1b\x9b\x07\x00\u2066")


def test_markup_is_not_escaped_twice() -> None:
    inner = tag("b", "1 < 2")
    assert render([inner, " & ", 3]) == "<b>1 &lt; 2</b> &amp; 3"
    assert isinstance(tag("p", inner), Markup)
    assert table(["a"], [[1]], label="x").count("<th") == 3  # thead counts as one


def test_the_cold_page_says_that_there_is_no_model() -> None:
    text = "".join(read(build(PAGES["cold"])).text)
    assert "no model yet" in text
    assert "Learning curve" not in text
    assert "What this query adds" in text


def test_an_empty_query_is_told() -> None:
    assert "The query is empty" in "".join(read(build(PAGES["empty"])).text)


def test_many_samples_are_cards_and_rows() -> None:
    page = build(PAGES["many"])
    assert page.count(b'<li id="s-') == 60
    assert b"240 more samples" in page
    assert len(page) < 1_500_000


def test_change_and_verdict_are_shown_with_their_intervals() -> None:
    text = "".join(read(build(PAGES["verdict"])).text)
    change = PAGES["verdict"].evaluated.change
    assert f"{change.gained} samples gained, {change.lost} lost" in text
    assert "Stop: kappa" in text
    assert "stabilising predictions" in text
    assert "random control" in text
    assert "[0.400, 0.700]" in text
    assert "nothing was drawn" in text
    assert "labels saved against random drawing90.0[40.0, 140]" in text
    assert "labels that random drawing needs for this accuracy190at least 140" in text
    assert "Advice: selection pays" in text
    assert "low, since they are hard" in text
    assert "Not read: metrics of round 1 are not in this machine's DVC cache; scores of round 2" in text


def test_without_a_verdict_there_is_no_word_of_it() -> None:
    assert b"Stop or go on" not in build(PAGES["model"])


def test_every_class_of_an_element_has_a_style() -> None:
    styled = set(re.findall(r"\.([a-z][\w-]*)", STYLE))
    used = {
        one
        for page in PAGES.values()
        for _, a, _ in read(build(page)).elements
        for one in (a.get("class") or "").split()
    }
    assert used - styled <= {"name", "up", "mark", "dot"} | {"whisker"}


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_has_contrast(scheme: dict[str, str]) -> None:
    """WCAG 2: 4.5 for text on what it stands on, 3 for marks."""
    for text in ("ink", "muted", "blue"):
        for ground in ("paper", "card"):
            assert contrast(scheme[text], scheme[ground]) >= 4.5, (text, ground)
    for mark in ("blue", "orange", "pool"):
        assert contrast(scheme[mark], scheme["card"]) >= 3, mark


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_counts_in_the_confusion_matrix_have_contrast(scheme: dict[str, str]) -> None:
    """Ink on the deepest fill, which is .48 of the colour over the card."""
    for fill in ("blue", "orange"):
        mixed = [
            round(0.48 * int(scheme[fill][i : i + 2], 16) + 0.52 * int(scheme["card"][i : i + 2], 16))
            for i in (1, 3, 5)
        ]
        assert contrast(scheme["ink"], "#" + "".join(f"{c:02x}" for c in mixed)) >= 4.5, fill


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_round_and_inside(low: float, width: float) -> None:
    high = low + width
    if not high > low:
        return
    found = ticks(low, high)
    assert len(found) <= 7
    assert all(low - 1e-6 * width - 1e-9 <= at <= high + 1e-6 * width + 1e-9 for at in found)


@pytest.mark.parametrize("values", [(-0.8, -0.5, -0.2), (-3.0, 0.1, 0.6), (-40.0, -10.0, -2.0), (0.5, 7.0, 30.0)])
def test_every_point_of_a_line_is_inside_and_higher_is_up(values: tuple[float, ...]) -> None:
    """R² has no lower bound, an error in the answers' units no upper one."""
    points = [(20 * (i + 1), value, value - 0.1, value + 0.1) for i, value in enumerate(values)]
    drawn, height = charts.lines([charts.Series("this campaign", points)], "labels", "R²")
    places = [float(at) for at in re.findall(r'cy="([-.0-9]+)"', str(drawn))]
    assert len(places) == 3
    assert places == sorted(places, reverse=True)
    assert all(0 < at < height for at in places)
    assert len(set(places)) == 3


def test_an_axis_of_shares_stays_within_them() -> None:
    assert charts.span([0.01, 0.5, 0.99]) == (0.0, 1.0)
    assert charts.span([0.4, 0.6]) == pytest.approx((0.38, 0.62))
    low, high = charts.span([-0.2, 0.99])
    assert low < -0.2
    assert high == 1.0


def test_numbers() -> None:
    assert [number(x) for x in (None, 0.0, 0.5, 12.345, 123456.0, -0.25, float("inf"), 1e-7)] == [
        "–",
        "0",
        "0.50",
        "12.3",
        "1.23e+05",
        "−0.25",
        "∞",
        "1e−07",
    ]


@pytest.mark.parametrize("shape", [(3, 5), (4, 2, 3)])
def test_png_comes_back(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    made = png(pixels)
    assert made[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(made):
        (length,) = struct.unpack(">I", made[at : at + 4])
        kind, body = made[at + 4 : at + 8], made[at + 8 : at + 8 + length]
        assert struct.unpack(">I", made[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        chunks[kind] = body
        at += 12 + length
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (height, width, depth, colour) == (*shape[:2], 8, 2 if len(shape) == 3 else 0)
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), dtype=np.uint8).reshape(height, -1)
    assert (rows[:, 0] == 0).all()
    assert (rows[:, 1:].reshape(shape) == pixels).all()


def test_thumbnails_are_in_the_page() -> None:
    sources = [a["src"] for name, a, _ in read(build(PAGES["verdict"])).elements if name == "img"]
    assert len(sources) >= 5
    assert b64decode(sources[0].split(",")[1]) == png(np.zeros((4, 4), dtype=np.uint8))
