"""A number per sample."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from al_plugin.axes import Floats

# Python's own reading takes 1_000, inf and digits of every script, which no spreadsheet means.
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# Squared errors of larger ones would overflow.
_LARGEST = 1e30


@dataclass(frozen=True)
class Values:
    """A label is a decimal number such as 3.5 or -2e-3, up to 1e30 in size; as numbers, float64 (N,).

    A parquet column of numbers is taken as it is.
    """

    metrics = ("r2", "rmse", "mae")
    votes = ("labelled",)
    refusal = "are no numbers"

    @property
    def outputs(self) -> int:
        """One."""
        return 1

    def problem(self, label: Any) -> str:
        """Anything but a decimal number with a point, of a size that can be squared."""
        if isinstance(label, str):
            known = _DECIMAL.fullmatch(label.strip()) is not None
        else:
            known = isinstance(label, int | float) and not isinstance(label, bool)
        # NaN is not below the largest either.
        if known and abs(float(label)) <= _LARGEST:
            return ""
        return f"write a finite decimal number with a point, such as 3.5 or -2e-3, of {_LARGEST:g} at most"

    def array(self, labels: Sequence[Any]) -> Floats:
        """The numbers, float64 (N,)."""
        return np.array([float(label) for label in labels], dtype=np.float64)

    def texts(self, found: np.ndarray) -> list[str]:
        """The shortest decimal that reads back as the same number."""
        return [repr(float(value) + 0.0) for value in found]

    def counts(self, found: np.ndarray) -> dict[str, int]:  # noqa: ARG002 - there are no classes
        """None: there are no classes."""
        return {}

    def agree(self, label: str, other: str) -> bool | None:  # noqa: ARG002 - see below
        """No question: two people rarely write the same number. The spread of a sample's answers says more."""
        return None
