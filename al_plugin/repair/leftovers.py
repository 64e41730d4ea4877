"""Copies that a killed DVC did not finish: files beside outputs that nobody reads and nobody would take away."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from al_plugin import layout
from al_plugin.repair.fault import Fault, set_aside

_UNFINISHED = re.compile(r"\.[\w-]{22}\.tmp")  # as DVC names what it renames later


def unfinished() -> Iterator[Fault]:
    """Faults of the folders of outputs, and of the root, where DVC tries out links."""
    for folder in (".", *layout.OUTPUTS):
        for path in sorted(Path(folder).glob(".*.tmp")):
            if _UNFINISHED.fullmatch(path.name) and path.is_file():
                yield Fault(f"{path} was left by a DVC that was killed", partial(_drop, path))


def _drop(path: Path) -> str:
    return f"{path} was left by a DVC that was killed: set aside as {set_aside(path)}"
