"""Find a strategy by name without importing the others, and read its contract off its signature.

A strategy is a function under one line ``@strategy("name", ...)`` in a file of
``strategies/<stage>/``. Its positional parameters name the signals it needs, its keyword-only
parameters are the knobs that params.yaml may set. Select strategies are handed ``n`` and ``rng``
besides, and may return ``Noted`` picks. Outside packages register functions through the entry-point
group ``al_plugin.strategies`` (entry name ``<stage>.<name>``); a repository's own strategy is named
``module:function``.
"""

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import entry_points
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from al_plugin.axes import Picks
from al_plugin.errors import StrategyError, near
from al_plugin.named import imported
from al_plugin.signals import SIGNALS

STAGES = ("merge", "train", "score", "select")
ENTRY_POINT_GROUP = "al_plugin.strategies"
F = TypeVar("F", bound=Callable[..., Any])
_HANDED = ("n", "rng")
_REGISTRATION = re.compile(r'^@strategy\(\s*"([a-z0-9_]+)"', re.MULTILINE)


class Noted(NamedTuple):
    """Picks of a select strategy and one line on what the round should know of them."""

    picks: Picks
    note: str


# Whole numbers from here on are no 64-bit ones.
_BEYOND = 2**63


@dataclass(frozen=True)
class Range:
    """Closed interval a numeric knob must lie in; None is unbounded."""

    low: float | None = None
    high: float | None = None

    def holds(self, value: float) -> bool:
        """Whether a number lies in the interval; NaN and infinity do not."""
        above = self.low is None or value >= self.low
        return above and (self.high is None or value <= self.high) and isfinite(value)


@dataclass(frozen=True)
class OneOf:
    """The words a text knob may be."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Knob:
    """One keyword-only parameter: its type, default and limits."""

    type: type
    default: Any
    limit: Range | OneOf | None = None


@dataclass(frozen=True)
class Card:
    """What the registration line says of a strategy beyond its signature.

    ``greedy``: the first k picks for n are the picks for k. ``certain``: score of a prediction
    that leaves no doubt is the lowest (uncertainty family). ``provides``: signals that a training
    method gives, ``tasks``: what it can be trained for, ``warm``: it takes train.warm_start.
    ``expected_failures``: checks it cannot keep, each with the reason.
    """

    reference: str
    cost: str
    use: str
    greedy: bool = False
    certain: bool = False
    provides: tuple[str, ...] = ()
    warm: bool = False
    expected_failures: Mapping[str, str] = field(default_factory=dict)
    tasks: tuple[str, ...] = ("classes",)


@dataclass(frozen=True)
class Strategy:
    """A strategy with its contract."""

    stage: str
    name: str
    function: Callable[..., Any]
    signals: tuple[str, ...]
    knobs: Mapping[str, Knob]
    card: Card

    @property
    def model_signals(self) -> tuple[str, ...]:
        """The signals that only a fitted model can give."""
        return tuple(s for s in self.signals if SIGNALS[s].source in ("model", "score"))

    def fits(self, task: str) -> bool:
        """Whether it means something under ``campaign.task``: its signals exist, or it can be trained for it."""
        if self.stage == "train":
            return task in self.card.tasks
        return all(SIGNALS[signal].under(task) for signal in self.signals)


def strategy(
    name: str,
    *,
    reference: str,
    cost: str,
    use: str,
    greedy: bool = False,
    certain: bool = False,
    provides: tuple[str, ...] = (),
    warm: bool = False,
    expected_failures: Mapping[str, str] | None = None,
    tasks: tuple[str, ...] = ("classes",),
) -> Callable[[F], F]:
    """Register the function below under ``name``; the function itself stays as it is."""
    card = Card(reference, cost, use, greedy, certain, provides, warm, dict(expected_failures or {}), tasks)

    def mark(function: F) -> F:
        function.__dict__["__strategy__"] = (name, card)
        return function

    return mark


def describe(stage: str, function: Callable[..., Any]) -> Strategy:
    """Read the contract of a registered function; StrategyError where it has none."""
    try:
        name, card = function.__dict__["__strategy__"]
    except (AttributeError, KeyError):
        raise StrategyError(
            f"{_label(function)} is not a strategy", change='put a line @strategy("name", ...) above it'
        ) from None
    hints = get_type_hints(function, include_extras=True)
    signals: list[str] = []
    knobs: dict[str, Knob] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            knobs[parameter.name] = _knob(name, parameter, hints.get(parameter.name))
        elif parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise StrategyError(f"{stage} strategy {name} takes *{parameter.name}; name every signal and knob")
        elif stage == "select" and parameter.name in _HANDED:
            continue
        elif parameter.name in SIGNALS:
            signals.append(parameter.name)
        else:
            hint = near(parameter.name, tuple(SIGNALS))
            raise StrategyError(f"{stage} strategy {name} asks for an unknown signal {parameter.name!r}{hint}")
    return Strategy(stage, name, function, tuple(signals), knobs, card)


def load(stage: str, name: str) -> Strategy:
    """The strategy ``name`` of ``stage``, importing only its own module.

    ``name`` is a shipped name, an entry-point name, or ``module:function`` importable from the
    repository root. StrategyError names the nearest shipped name.
    """
    if ":" in name:
        # Known by the name params.yaml uses, so that its knobs stand under that name too.
        return replace(describe(stage, imported(name, f"{stage}.strategy")), name=name)
    module = shipped(stage).get(name)
    if module is not None:
        found = importlib.import_module(module)
        for value in vars(found).values():
            if getattr(value, "__dict__", {}).get("__strategy__", ("",))[0] == name:
                return describe(stage, value)
    for entry in entry_points(group=ENTRY_POINT_GROUP, name=f"{stage}.{name}"):
        return describe(stage, entry.load())
    elsewhere = next((other for other in STAGES if name in shipped(other)), None)
    hint = f" ({elsewhere}.strategy takes it)" if elsewhere else near(name, names(stage))
    raise StrategyError(
        f"{stage}.strategy asks for {name!r}, which is not a {stage} strategy{hint}",
        change=f"one of: {', '.join(names(stage))}",
    )


@cache
def shipped(stage: str) -> Mapping[str, str]:
    """Name -> module of the strategies shipped for a stage, read from the sources unimported."""
    folder = Path(__file__).parent / stage
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.py")):
        for name in _REGISTRATION.findall(path.read_text(encoding="utf-8")):
            found[name] = f"{__package__}.{stage}.{path.stem}"
    return found


def names(stage: str) -> tuple[str, ...]:
    """Names of all strategies of a stage, shipped and registered by other packages."""
    outside = (e.name for e in entry_points(group=ENTRY_POINT_GROUP) if e.name.startswith(f"{stage}."))
    return tuple(sorted({*shipped(stage), *(name.removeprefix(f"{stage}.") for name in outside)}))


def fitting(stage: str, task: str) -> list[str]:
    """Names of the shipped strategies of a stage that fit a task; imports all of them."""
    return sorted(name for name in shipped(stage) if load(stage, name).fits(task))


def check_knobs(strategy: Strategy, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as keyword arguments, or StrategyError naming params key, range and near match."""
    where = f"{strategy.stage}.{strategy.name}"
    checked: dict[str, Any] = {}
    for key, value in values.items():
        knob = strategy.knobs.get(key)
        if knob is None:
            known = ", ".join(sorted(strategy.knobs)) or "none"
            raise StrategyError(
                f"params.yaml sets {where}.{key}, which is not a knob of it{near(key, tuple(strategy.knobs))}",
                change=f"its knobs: {known}",
            )
        checked[key] = check_value(f"{where}.{key}", value, knob)
    return checked


def check_value(where: str, value: Any, knob: Knob) -> Any:
    """``value`` as the knob's type and within its limit, or StrategyError."""
    if knob.type is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < _BEYOND else value
    checked: Any = value
    if type(value) is not knob.type:
        raise StrategyError(
            f"params.yaml sets {where} to {value!r} ({type(value).__name__})",
            change=f"it takes a {knob.type.__name__}, default {knob.default!r}",
        )
    if (isinstance(value, int) and abs(value) >= _BEYOND) or (isinstance(value, str) and not value.isprintable()):
        what = "a whole number of 64 bits" if isinstance(value, int) else "a text without control characters"
        raise StrategyError(f"params.yaml sets {where} to {value!r:.80}", change=f"it takes {what}")
    if isinstance(knob.limit, OneOf) and value not in knob.limit.words:
        raise StrategyError(
            f"params.yaml sets {where} to {value!r}{near(value, knob.limit.words)}",
            change=f"one of: {', '.join(knob.limit.words)}",
        )
    if isinstance(knob.limit, Range) and not knob.limit.holds(checked):
        raise StrategyError(f"params.yaml sets {where} to {value!r}", change=f"it must be{limit_text(knob)}")
    return value


def _knob(owner: str, parameter: inspect.Parameter, hint: Any) -> Knob:
    if parameter.default is parameter.empty:
        raise StrategyError(f"strategy {owner}: knob {parameter.name!r} has no default")
    limit = None
    if get_origin(hint) is Annotated:
        hint, *notes = get_args(hint)
        limit = next((note for note in notes if isinstance(note, Range | OneOf)), None)
    if hint not in (int, float, bool, str):
        raise StrategyError(f"strategy {owner}: knob {parameter.name!r} must be int, float, bool or str")
    return Knob(hint, parameter.default, limit)


def _label(function: object) -> str:
    return str(getattr(function, "__qualname__", function))


def limit_text(knob: Knob) -> str:
    """`` in [low, high]`` or `` one of: ...`` for people; empty where there is no limit."""
    if isinstance(knob.limit, OneOf):
        return f" one of: {', '.join(knob.limit.words)}"
    if isinstance(knob.limit, Range):
        low = "-inf" if knob.limit.low is None else knob.limit.low
        high = "inf" if knob.limit.high is None else knob.limit.high
        return f" in [{low}, {high}]"
    return ""
