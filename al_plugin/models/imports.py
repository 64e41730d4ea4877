"""What a user names by import path."""

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from al_plugin.errors import StrategyError


def imported(path: str, asked: str) -> Callable[..., Any]:
    """The class or function at ``module:name``, importable from the repository root; ``asked`` is the params key."""
    module, _, name = path.partition(":")
    root = os.getcwd()
    if root not in sys.path:
        sys.path.insert(0, root)
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise StrategyError(
            f"{asked} names {path!r}, which cannot be imported ({error})",
            change="write module:name as importable from the repository root",
        ) from error
    if not callable(found):
        raise StrategyError(f"{asked} names {path!r}, which is not a class or function")
    result: Callable[..., Any] = found
    return result
