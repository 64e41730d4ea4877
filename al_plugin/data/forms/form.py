"""Forms."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Form:
    """How samples become numbers."""

    kind: str
    shape: tuple[int, ...]
    groups: int
    details: Mapping[str, Any]
