"""Several processes of one stage: the first takes the lock, writes and speaks; the others compute along."""

import os
import sys

# Process id of the first, in the environment of the others.
FIRST = "AL_FIRST_RANK"

_script: list[str] = []


def is_first() -> bool:
    """Whether this process is the first, as any is that runs alone."""
    return FIRST not in os.environ


def first() -> int | None:
    """Process id of the first for the others, None for the first itself."""
    found = os.environ.get(FIRST)
    return None if found is None else int(found)


def may_start_others(script: str) -> None:
    """Say that ``python script`` runs this process's stage again."""
    _script[:] = [sys.executable, os.path.abspath(script)]


def command() -> list[str]:
    """How another process of this stage is started; empty outside a stage."""
    return list(_script)
