"""Learning curves as SVG: one panel per arm, its band over that of random, the others in grey."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from al_plugin.simulate.plan import REFERENCE

_BLUE, _ORANGE, _GREY, _INK = "#2f6f9f", "#d9762b", "#c9ccd1", "#333333"
_COLUMNS = 4


def figure(results: Mapping[str, Any], metric: str) -> bytes:
    """The figure; the same bytes for the same results and version of matplotlib."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    arms = results["arms"]
    order = [arm for arm in sorted(arms, key=lambda arm: (-arms[arm]["area"], arm)) if arm != REFERENCE] or [REFERENCE]
    columns = min(_COLUMNS, len(order))
    rows = -(-len(order) // columns)
    # Text stays text, and names inside the file come from a fixed salt.
    with mpl.rc_context({"svg.hashsalt": "al", "svg.fonttype": "none"}):
        drawing = Figure(figsize=(0.6 + 3.0 * columns, 0.7 + 2.3 * rows))
        FigureCanvasSVG(drawing)
        panels = drawing.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes, arm in zip(panels.flat, order, strict=False):
            for other in arms.values():
                axes.plot(other["labels"], other["mean"], color=_GREY, linewidth=0.8, zorder=1)
            _band(axes, arms[REFERENCE], _ORANGE)
            _band(axes, arms[arm], _BLUE)
            axes.axhline(results["target"], color=_INK, linewidth=0.7, linestyle=":")
            axes.set_title(arm, loc="left", fontsize=10, color=_BLUE)
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(labelsize=8, labelbottom=True)
        heights = [value for arm in arms.values() for value in arm["mean"]]
        panels.flat[0].set_ylim(min(heights) - 0.05, max(heights) + 0.05)
        for axes in panels.flat[len(order) :]:
            axes.set_visible(False)
        drawing.supxlabel("labels", fontsize=9)
        drawing.supylabel(metric.replace("_", " "), fontsize=9)
        drawing.suptitle(
            f"mean and 95 % interval over seeds; orange: {REFERENCE}; dotted: target", x=0.02, ha="left", fontsize=9
        )
        drawing.subplots_adjust(
            left=0.75 / (0.6 + 3.0 * columns),
            right=0.985,
            top=1 - 0.55 / (0.7 + 2.3 * rows),
            bottom=0.5 / (0.7 + 2.3 * rows),
            hspace=0.28,
            wspace=0.1,
        )
        buffer = io.BytesIO()
        drawing.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _band(axes: Any, arm: Mapping[str, Any], color: str) -> None:
    mean = np.array(arm["mean"])
    axes.plot(arm["labels"], mean, color=color, linewidth=1.6, zorder=3)
    if arm["half_width"] is not None:
        half = np.array(arm["half_width"])
        axes.fill_between(arm["labels"], mean - half, mean + half, color=color, alpha=0.2, linewidth=0, zorder=2)
