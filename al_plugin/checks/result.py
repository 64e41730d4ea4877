"""What a check is and what it says."""

from collections.abc import Callable
from dataclasses import dataclass

from al_plugin.strategies.registry import Strategy


class BrokenPromiseError(Exception):
    """A strategy did not keep what the contract promises; the message says what was found."""


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check.

    ``ok`` is True where the promise was kept, or broken as declared. ``expected`` is the reason
    that the strategy's card gives for breaking it, ``message`` what was found, both empty if none.
    """

    check: str
    ok: bool
    expected: str = ""
    message: str = ""


@dataclass(frozen=True)
class Check:
    """One promise: its name, its sentence, whom it concerns, and a function that raises if it is broken."""

    name: str
    promise: str
    stages: tuple[str, ...]
    concerns: Callable[[Strategy], bool]
    run: Callable[[Strategy], None]


def everyone(_: Strategy) -> bool:
    """Every strategy of the check's stages."""
    return True


def check(*stages: str, when: Callable[[Strategy], bool] = everyone) -> Callable[[Callable[[Strategy], None]], Check]:
    """Make a check of the function below: named after it, its docstring is the promise."""

    def make(function: Callable[[Strategy], None]) -> Check:
        return Check(function.__name__, (function.__doc__ or "").strip(), stages, when, function)

    return make


def require(kept: object, found: str) -> None:
    """Raise BrokenPromiseError with what was found unless ``kept``."""
    if not kept:
        raise BrokenPromiseError(found)
