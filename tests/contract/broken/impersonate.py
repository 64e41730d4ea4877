"""Faulty functions in the place of shipped strategies: same name, same card, same docstring."""

from collections.abc import Callable
from dataclasses import dataclass

from al_plugin.strategies import registry

GOLDEN = "golden"


@dataclass(frozen=True)
class Fault:
    """A broken strategy, what is wrong with it, and the checks that must notice."""

    strategy: registry.Strategy
    story: str
    caught_by: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"{self.strategy.stage}.{self.strategy.name}-{self.strategy.function.__name__}"


FAULTS: list[Fault] = []
CONTROLS: list[Fault] = []


def impersonates(stage: str, name: str, *caught_by: str) -> Callable:
    """Register the function below as a faulty ``name``; without ``caught_by`` it is a correct control."""
    original = registry.load(stage, name)

    def mark(function: Callable) -> Callable:
        story = function.__doc__
        function.__doc__ = original.function.__doc__
        function.__dict__["__strategy__"] = (name, original.card)
        fault = Fault(registry.describe(stage, function), story, caught_by)
        (FAULTS if caught_by else CONTROLS).append(fault)
        return function

    return mark
