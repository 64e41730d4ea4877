"""Things of the user's repository, by import path."""

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from al_plugin.errors import StrategyError


def imported(path: str, key: str) -> Callable[..., Any]:
    """What ``module:name`` is, importable from the repository root; StrategyError in terms of params ``key``."""
    module_name, _, name = path.partition(":")
    _look_in_repository()
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


def source_of(path: str) -> Path | None:
    """The file of the module in ``module:name``, which is not imported, or None where there is no such file."""
    _look_in_repository()
    with suppress(ImportError, ValueError, AttributeError):
        spec = importlib.util.find_spec(path.partition(":")[0])
        if spec is not None and spec.origin is not None and Path(spec.origin).is_file():
            return Path(spec.origin)
    return None


def _look_in_repository() -> None:
    root = os.getcwd()
    if root not in sys.path:
        sys.path.insert(0, root)
