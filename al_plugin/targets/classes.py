"""One class per sample."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from al_plugin.axes import Ints


@dataclass(frozen=True)
class Classes:
    """A label is one of the names; as numbers, class indices (N,)."""

    names: tuple[str, ...]
    metrics = ("accuracy", "balanced_accuracy", "nll", "ece")
    votes = ("labelled",)
    refusal = "are not among campaign.classes"

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.names)

    @property
    def outputs(self) -> int:
        """One logit per class."""
        return len(self.names)

    def problem(self, label: Any) -> str:
        """Anything but one of the names."""
        return "" if label in self._known else f"classes are: {', '.join(self.names)}"

    def array(self, labels: Sequence[Any]) -> Ints:
        """Class indices (N,)."""
        index = {name: position for position, name in enumerate(self.names)}
        return np.array([index[label] for label in labels], dtype=np.int64)

    def texts(self, found: np.ndarray) -> list[str]:
        """The names."""
        return [self.names[label] for label in found]

    def counts(self, found: np.ndarray) -> dict[str, int]:
        """Labels of each class."""
        counted = np.bincount(found, minlength=len(self.names))
        return {name: int(count) for name, count in zip(self.names, counted, strict=True)}

    def agree(self, label: str, other: str) -> bool | None:
        """Whether both name the same class."""
        return label == other
