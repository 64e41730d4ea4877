"""Things of the user's repository, by import path."""

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from al_plugin.errors import StrategyError


def imported(path: str, key: str) -> Callable[..., Any]:
    """What ``module:name`` is, importable from the repository root; StrategyError in terms of params ``key``."""
    module_name, _, name = path.partition(":")
    root = os.getcwd()
    if root not in sys.path:
        sys.path.insert(0, root)
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise StrategyError(
            f"{key} names {path!r}, which cannot be imported ({error})",
            change="write module:name as importable from the repository root",
        ) from error
    if not callable(found):
        raise StrategyError(f"{key} names {path!r}, which is not a class or function", change="name one of those")
    result: Callable[..., Any] = found
    return result
