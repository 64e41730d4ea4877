"""The reference page of all shipped strategies and of the contract, written from their registrations.

python -m al_plugin.checks.page > docs/strategies.md
"""

import inspect
import sys
from collections.abc import Iterator

from al_plugin.checks.suite import CHECKS
from al_plugin.signals import SIGNALS
from al_plugin.strategies import registry
from al_plugin.strategies.recipes import RECIPES, Triple
from al_plugin.strategies.registry import Knob, OneOf, Range, Strategy

_WHAT: dict[str, str] = {
    "train": "From the labelled set to a fitted model and the signals it gives.",
    "score": "One score per pool sample; higher is labelled first, -inf never.",
    "select": "The next batch among the candidates, in acquisition order.",
    "merge": "From the votes of annotators to one label per sample.",
}


def page() -> str:
    """The page as Markdown: per stage a table of strategies, then each with its promise, signals and knobs."""
    lines = [
        "# Strategies",
        "",
        "Written by `python -m al_plugin.checks.page > docs/strategies.md`; edit the docstrings, not this page.",
        "A strategy is named in `params.yaml` as `<stage>.strategy`; its knobs go under `<stage>.<strategy>`.",
    ]
    lines += ["", "## Recipes", "", "A recipe names one strategy per stage; each may be replaced in `params.yaml`.", ""]
    lines += ["| recipe | train | score | select |", "|---|---|---|---|"]
    lines += [_row(f"`{name}`", *_parts(triple)) for name, triple in RECIPES.items()]
    for stage, what in _WHAT.items():
        strategies = [registry.load(stage, name) for name in sorted(registry.shipped(stage))]
        lines += ["", f"## {stage}", "", what, "", "| strategy | when to use it | cost |", "|---|---|---|"]
        lines += [_row(f"[`{s.name}`](#{stage}-{s.name})", s.card.use, s.card.cost) for s in strategies]
        for one in strategies:
            lines += ["", f'<a id="{stage}-{one.name}"></a>', "", f"### {one.name}", "", *_section(one)]
    lines += ["", "## The contract", "", *_contract()]
    lines += ["", "## Signals", "", "| signal | axes | from | meaning |", "|---|---|---|---|"]
    lines += [_row(f"`{name}`", s.axes or "-", s.source, s.meaning) for name, s in SIGNALS.items()]
    return "\n".join(lines) + "\n"


def _contract() -> Iterator[str]:
    yield "`al check` holds a strategy to these promises; one it cannot keep it declares, with the reason, in"
    yield "`expected_failures={name: reason}` of its registration line."
    yield from ("", "| promise | of | what is promised |", "|---|---|---|")
    yield from (_row(f"`{one.name}`", ", ".join(one.stages), one.promise) for one in CHECKS)


def _parts(triple: Triple) -> Iterator[str]:
    for stage in ("train", "score", "select"):
        name = getattr(triple, stage)
        yield f"[`{name}`](#{stage}-{name})"


def _section(one: Strategy) -> Iterator[str]:
    yield inspect.getdoc(one.function) or ""
    yield ""
    yield f"- Reference: {one.card.reference}"
    yield f"- Signals: {', '.join(f'`{name}`' for name in one.signals)}"
    if one.card.provides:
        yield f"- Gives: {', '.join(f'`{name}`' for name in one.card.provides)}"
    if one.card.greedy:
        yield "- Greedy: the first k picks for n are the picks for k"
    for name, reason in one.card.expected_failures.items():
        yield f"- Does not keep `{name}`: {reason}"
    if one.knobs:
        yield from ("", "| knob | type | default | range |", "|---|---|---|---|")
        for name, knob in one.knobs.items():
            yield _row(f"`{name}`", knob.type.__name__, str(knob.default), _limit(knob))


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _limit(knob: Knob) -> str:
    if isinstance(knob.limit, OneOf):
        return ", ".join(f"`{word}`" for word in knob.limit.words)
    low, high = (knob.limit.low, knob.limit.high) if isinstance(knob.limit, Range) else (None, None)
    if low is not None and high is not None:
        return f"{low} to {high}"
    if low is not None:
        return f"at least {low}"
    return "any" if high is None else f"at most {high}"


if __name__ == "__main__":
    sys.stdout.write(page())
