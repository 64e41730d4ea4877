"""A set of labels per sample, the empty one included."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from al_plugin.axes import Floats

# What labelling tools' exports join several choices with; a comma or semicolon would split cells of a CSV.
SEPARATOR = "|"


@dataclass(frozen=True)
class LabelSets:
    """A label is names joined by ``|``, in any order, each once; as numbers, 0 or 1 by name, float64 (N, C).

    Nothing of the list is the empty text: an answer of status ``empty``. A parquet column may hold
    lists of names instead.
    """

    names: tuple[str, ...]
    metrics = ("micro_f1", "macro_f1", "subset_accuracy", "mean_average_precision", "nll")
    votes = ("labelled", "empty")
    refusal = "are not sets of campaign.classes"

    @property
    def outputs(self) -> int:
        """One logit per label."""
        return len(self.names)

    def problem(self, label: Any) -> str:
        """A name outside the list, a name twice, or nothing between two separators."""
        if not isinstance(label, str | list | tuple):
            return f'write names joined by {SEPARATOR}, or "" for none of them'
        given = _names(label)
        unknown = [name for name in given if name not in self.names]
        if unknown:
            return f"{unknown[0]!r} is not among them, labels are: {', '.join(self.names)} (joined by {SEPARATOR})"
        twice = [name for name in given if given.count(name) > 1]
        return f"{twice[0]!r} stands twice; name each label once" if twice else ""

    def array(self, labels: Sequence[Any]) -> Floats:
        """0 or 1 by label, float64 (N, C)."""
        index = {name: position for position, name in enumerate(self.names)}
        found = np.zeros((len(labels), len(self.names)))
        for row, label in enumerate(labels):
            found[row, [index[name] for name in _names(label)]] = 1.0
        return found

    def texts(self, found: np.ndarray) -> list[str]:
        """Names in the order of the list, joined."""
        return [SEPARATOR.join(name for name, here in zip(self.names, row, strict=True) if here) for row in found]

    def counts(self, found: np.ndarray) -> dict[str, int]:
        """Samples that have each label."""
        return {name: int(count) for name, count in zip(self.names, found.sum(axis=0), strict=True)}

    def agree(self, label: str, other: str) -> bool | None:
        """Whether both are the same set."""
        return set(_names(label)) == set(_names(other))


def _names(label: str | Sequence[str]) -> list[str]:
    if isinstance(label, str):
        return [name.strip() for name in label.split(SEPARATOR)] if label.strip() else []
    return list(label)
