"""The word for something broken, and the place for what is set aside."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from al_plugin import layout


@dataclass(frozen=True)
class Fault:
    """One broken thing in one line; ``mend`` mends it and says what it did, None where a person must."""

    text: str
    mend: Callable[[], str] | None = None


def set_aside(path: Path) -> Path:
    """Move a file out of the way into .al/set_aside; where it is now. The same content takes one place."""
    key = blake2b(path.read_bytes(), digest_size=4).hexdigest()
    target = Path(layout.SET_ASIDE, f"{path.name}-{key}")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(path, target)  # the cache may lie on another disk
    return target
