"""The document as lines of plain, aligned text."""

from collections.abc import Mapping, Sequence
from typing import Any

from al_plugin.simulate.plan import REFERENCE

_HEAD = ("recipe", "area", "- random (95 % interval)", "p (t)", "p (rank)", "won", "labels", "seeds", "verdict")


def lines(document: Mapping[str, Any]) -> list[str]:
    """The whole report."""
    data, plan, results = document["data"], document["plan"], document["results"]
    size = f"{len(plan['arms'])} arms, {plan['seeds']} paired seeds, {plan['start']} first labels, "
    found = [f"{size}{plan['rounds']} rounds of {plan['n']}; pool {data['pool']}, measured on {data['evaluation']}"]
    if results is not None:
        found += ["", *_legend(document), "", *_comparison(document), "", *_matrix(results)]
    found += [f"note: {note}" for note in document["notes"]]
    if results is not None:
        found += [f"warning: {text}" for text in results["warnings"]]
    else:
        found.append(f"warning: {REFERENCE} failed, and with it every comparison")
    return found + [f"failed: {one['arm']}, seed {one['seed']}: {one['message']}" for one in document["failures"]]


def _legend(document: Mapping[str, Any]) -> list[str]:
    results, budgets, asked = document["results"], document["plan"]["budgets"], document["question"]
    metric = asked["metric"].replace("_", " ")
    where = "where random ends" if asked["target"] is None else "as asked"
    comparisons = len(results["against_reference"])
    return [
        f"area: mean {metric} in points from {budgets[0]} to {budgets[-1]} labels, both included (trapezoids)",
        f"labels: median over seeds until {metric} is {results['target']:.3f} ({where})",
        f"seeds: needed to find a difference of {asked['difference']:g} points with power .8",
        f"p: two-sided, paired t and exact signed rank, Holm over the {comparisons} comparisons",
    ]


def _comparison(document: Mapping[str, Any]) -> list[str]:
    results, plan = document["results"], document["plan"]
    arms = results["arms"]
    against = {one["first"]: one for one in results["against_reference"]}
    order = sorted(arms, key=lambda arm: (-arms[arm]["area"], arm))
    rows = [_row(arm, arms[arm], against.get(arm), plan["budgets"][-1], plan["seeds"]) for arm in order]
    return aligned([_HEAD, *rows], left=(0, 8))


def _row(
    name: str, arm: Mapping[str, Any], against: Mapping[str, Any] | None, last: int, seeds: int
) -> tuple[str, ...]:
    half = arm["area_half_width"]
    area = f"{arm['area']:.2f}" + ("" if half is None else f" ± {half:.2f}")
    labels = f"> {last}" if arm["to_target"] is None else str(arm["to_target"])
    if against is None:
        return (name, area, "", "", "", "", labels, "", "")
    difference = f"{against['mean']:+.2f}"
    if against["low"] is not None:
        difference += f" ({against['low']:+.2f} to {against['high']:+.2f})"
    needed = against["seeds_needed"]
    return (
        name,
        area,
        difference,
        _p(against["p_t_holm"]),
        _p(against["p_wilcoxon_holm"]),
        f"{against['wins']}/{seeds}",
        labels,
        "" if needed is None else str(needed),
        against["verdict"],
    )


def _matrix(results: Mapping[str, Any]) -> list[str]:
    """Seeds in which the row beats the column; a star where the pair differs after Holm over all pairs."""
    wins, arms = results["wins"], results["arms"]
    if len(arms) < 3:
        return []
    clear = {
        frozenset((one["first"], one["second"])) for one in results["pairs"] if one["verdict"] in ("better", "worse")
    }
    order = sorted(arms, key=lambda arm: (-arms[arm]["area"], arm))
    rows = [["seeds won against", *(str(i + 1) for i in range(len(order)))]]
    for i, row in enumerate(order):
        cells = ["." if row == column else _cell(row, column, wins, clear) for column in order]
        rows.append([f"{i + 1} {row}", *cells])
    return [*aligned(rows, left=(0,)), f"*: they differ after Holm over all {len(results['pairs'])} pairs (t test)", ""]


def _cell(row: str, column: str, wins: Mapping[str, Mapping[str, int]], clear: set[frozenset[str]]) -> str:
    return f"{wins[row][column]}{'*' if frozenset((row, column)) in clear else ''}"


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "< .0001" if value < 1e-4 else f"{value:.2g}" if value < 0.1 else f"{value:.2f}"


def aligned(rows: Sequence[Sequence[str]], left: Sequence[int] = ()) -> list[str]:
    """Cells in columns two spaces apart, to the right but for those in ``left``."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    found = []
    for row in rows:
        cells = [
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        found.append("  ".join(cells).rstrip())
    return found
