"""Figures of a round, as PNG. Drawn without pyplot, which keeps state and takes longer to import."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from al_plugin.math.bins import bin_range

_BLUE, _ORANGE, _GREY, _INK = "#2f6f9f", "#d9762b", "#b8bcc2", "#333333"
_NAMED_CLASSES = 40
_BINS = 40
# Columns of the training curve in nats, which have no upper bound and may fall below 0; all others are shares.
_LOSSES = ("loss", "held_out_nll")


def score_histogram(scores: np.ndarray, asked: np.ndarray, title: str) -> bytes:
    """Scores of the pool (N,), and of the query (n,) on an axis of its own, finite ones only."""
    figure, axes = _figure(title, "score (higher is labelled first)", "pool samples")
    pool = scores[np.isfinite(scores)]
    edges = np.histogram_bin_edges(pool, bins=_BINS, range=bin_range(pool, _BINS))
    axes.stairs(np.histogram(pool, bins=edges)[0], edges, fill=True, color=_GREY, label=f"pool ({len(pool)})")
    query = asked[np.isfinite(asked)]
    if len(query):
        beside = axes.twinx()
        beside.stairs(np.histogram(query, bins=edges)[0], edges, linewidth=1.8, color=_ORANGE)
        beside.set_ylim(bottom=0)
        beside.set_ylabel("samples of the query", color=_ORANGE)
        beside.tick_params(axis="y", colors=_ORANGE)
        beside.yaxis.set_major_locator(MaxNLocator(integer=True))
        beside.spines[["top", "left", "right"]].set_visible(False)
        axes.plot([], [], color=_ORANGE, linewidth=1.8, label=f"query ({len(query)})")
    _legend(axes)
    return _png(figure)


def training_curve(epochs: Sequence[Mapping[str, float]], title: str) -> bytes:
    """Every column of the training curve against the epoch; losses to the left, shares to the right."""
    figure, axes = _figure(title, "epoch", "loss")
    at = [row["epoch"] for row in epochs]
    losses = [name for name in epochs[0] if name in _LOSSES]
    shares = [name for name in epochs[0] if name not in ("epoch", *_LOSSES)]
    for name, style in zip(losses, ("-", "--"), strict=False):
        axes.plot(at, [row[name] for row in epochs], style, color=_BLUE, linewidth=1.8, label=name.replace("_", " "))
    if min(row[name] for row in epochs for name in losses) >= 0:
        axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if shares:
        beside = axes.twinx()
        for name, style in zip(shares, ("-", "--", ":", "-."), strict=False):
            beside.plot(at, [row[name] for row in epochs], style, color=_ORANGE, linewidth=1.8)
            axes.plot([], [], style, color=_ORANGE, linewidth=1.8, label=name.replace("_", " "))
        beside.set_ylim(0, 1.02)
        beside.set_ylabel("share", color=_ORANGE)
        beside.tick_params(axis="y", colors=_ORANGE)
        beside.spines[["top", "left", "right"]].set_visible(False)
    _legend(axes)
    return _png(figure)


def forgetting_histogram(events: np.ndarray, never_learned: np.ndarray, title: str) -> bytes:
    """Labelled samples by number of forgetting events (L,); those never learned stand apart."""
    figure, axes = _figure(title, "forgetting events", "labelled samples", bottom=0.2)
    counts = np.bincount(events[~never_learned], minlength=1)
    missed = int(never_learned.sum())
    apart = len(counts) + max(0.5, len(counts) / 15)
    axes.bar(np.arange(len(counts)), counts, width=0.8, color=_BLUE)
    axes.bar([apart], [missed], width=0.8, color=_ORANGE)
    axes.text(apart, missed, f"{missed}", ha="center", va="bottom", color=_INK, fontsize=9)
    ticks = list(range(0, len(counts), max(1, len(counts) // 12)))
    axes.set_xticks([*ticks, apart], [*map(str, ticks), "never\nlearned"])
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return _png(figure)


def class_balance(per_class: Mapping[str, int], title: str) -> bytes:
    """Labels by class, the first on top; with very many classes by size and without names."""
    if len(per_class) > _NAMED_CLASSES:
        return _class_sizes(per_class, title)
    names = [name if len(name) <= 24 else f"{name[:23]}…" for name in per_class]
    tall = max(4.0, 1.2 + 0.26 * len(names))
    figure, axes = _figure(title, "labels", "", left=0.05 + 0.011 * max(map(len, names)), tall=tall)
    bars = axes.barh(range(len(names)), list(per_class.values()), height=0.75, color=_BLUE)
    axes.bar_label(bars, fontsize=9, color=_INK, padding=3)
    axes.set_yticks(range(len(names)), names, parse_math=False)  # a $ in a name is a $
    axes.invert_yaxis()
    axes.margins(x=0.08, y=0.02)
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(axis="both", length=0)
    axes.set_xticks([])
    even = sum(per_class.values()) / len(per_class)
    axes.axvline(even, color=_ORANGE, linewidth=1.2, linestyle="--", label=f"even split ({even:.3g})")
    _legend(axes)
    return _png(figure)


def _class_sizes(per_class: Mapping[str, int], title: str) -> bytes:
    counts = sorted(per_class.values(), reverse=True)
    figure, axes = _figure(title, f"{len(counts)} classes, most labels first", "labels")
    axes.stairs(counts, fill=True, color=_BLUE)
    axes.set_ylim(bottom=0)
    even = sum(counts) / len(counts)
    axes.axhline(even, color=_ORANGE, linewidth=1.2, linestyle="--", label=f"even split ({even:.3g})")
    _legend(axes)
    return _png(figure)


def _figure(
    title: str, across: str, up: str, *, left: float = 0.1, bottom: float = 0.15, tall: float = 4.0
) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7, tall), dpi=120)
    FigureCanvasAgg(figure)
    # Fixed margins: fitting them draws every figure several times.
    figure.subplots_adjust(left=left, right=0.9, bottom=bottom * 4 / tall, top=1 - 0.64 / tall)
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=11, color=_INK, pad=22)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color="#e6e8eb", linewidth=0.8)
    axes.margins(y=0.1)
    return figure, axes


def _legend(axes: Axes) -> None:
    axes.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=4, borderaxespad=0.1)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # Without the version of matplotlib in it; compressed lightly, which is three times as fast.
    figure.savefig(buffer, format="png", metadata={"Software": None}, pil_kwargs={"compress_level": 1})
    return buffer.getvalue()
