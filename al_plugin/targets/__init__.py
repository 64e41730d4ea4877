"""What a campaign asks of people: one class, a set of labels, or a number (params.yaml: ``campaign.task``).

Everything that reads or writes an answer as text goes through ``of``; nothing else knows how one is spelled.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from al_plugin.errors import DataError
from al_plugin.targets.classes import Classes
from al_plugin.targets.label_sets import SEPARATOR, LabelSets
from al_plugin.targets.values import Values

CLASSES, MULTILABEL, REGRESSION = "classes", "multilabel", "regression"
TASKS = (CLASSES, MULTILABEL, REGRESSION)
__all__ = [
    "CLASSES",
    "MULTILABEL",
    "REGRESSION",
    "SEPARATOR",
    "TASKS",
    "Classes",
    "LabelSets",
    "Targets",
    "Values",
    "encoded",
    "of",
]


class Targets(Protocol):
    """How answers of one task are spelled, and what array they become.

    ``metrics`` on the evaluation set, the first is the one a campaign is followed by (more is better);
    ``votes`` are the statuses of a row that say something about the sample; ``refusal`` says what labels are
    that are not allowed.
    """

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of metrics."""
        ...

    @property
    def votes(self) -> tuple[str, ...]:
        """Statuses that are votes."""
        ...

    @property
    def refusal(self) -> str:
        """What labels are that are not allowed."""
        ...

    @property
    def outputs(self) -> int:
        """Outputs of a network."""
        ...

    def problem(self, label: Any) -> str:
        """Why a label may not be answered, "" where it may."""
        ...

    def array(self, labels: Sequence[Any]) -> np.ndarray:
        """Labels as numbers, one row each; every one of them allowed."""
        ...

    def texts(self, found: np.ndarray) -> list[str]:
        """The canonical text of each row."""
        ...

    def counts(self, found: np.ndarray) -> dict[str, int]:
        """Labels of each class; empty where there are no classes."""
        ...

    def agree(self, label: str, other: str) -> bool | None:
        """Whether two allowed answers say the same; None where that is no question."""
        ...


def of(task: str, classes: Sequence[str]) -> Targets:
    """The targets of ``campaign.task``."""
    if task == REGRESSION:
        return Values()
    return LabelSets(tuple(classes)) if task == MULTILABEL else Classes(tuple(classes))


def encoded(targets: Targets, labels: Sequence[Any], where: str) -> np.ndarray:
    """Labels of a table as numbers, or DataError with the first that are not allowed."""
    distinct = dict.fromkeys(tuple(label) if isinstance(label, list) else label for label in labels)
    problems = {repr(label): targets.problem(label) for label in distinct}
    wrong = sorted(label for label, problem in problems.items() if problem)
    if wrong:
        raise DataError(f"{where}: labels {', '.join(wrong[:3])} {targets.refusal}", change=problems[wrong[0]])
    return targets.array(labels)
