"""Which environment computed a round, written by train beside its outputs and committed with them.

Not an output: those are the same wherever they are computed, while this says where they were. DVC does
not know the files, so nothing runs again for them. See docs/decisions.
"""

import json
import re
from collections.abc import Mapping
from hashlib import md5, sha256
from pathlib import Path
from typing import Any

from al_plugin import layout, store
from al_plugin.environment import environment

# A model is told by these: the card has the round's number in it.
_OUTPUTS = (layout.WEIGHTS, layout.CARD)
_KEY = re.compile(r"[0-9a-f]{16}")


def testify(number: int, device: str) -> None:
    """Record this process's environment for the model that was just written, unless one is recorded for it.

    ``device`` is what train.device asks for. Where it cannot be written it is said, and the round goes on.
    """
    made = {path: md5(Path(path).read_bytes(), usedforsecurity=False).hexdigest() for path in _OUTPUTS}
    try:
        if any(line["outputs"] == made for line in _lines(Path(layout.environment_of(number)))):
            return
        text = json.dumps(environment(device), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        key = sha256(text.encode()).hexdigest()[:16]
        kept = Path(layout.ENVIRONMENTS, f"{key}.json")
        if not kept.is_file():
            store.write_bytes(kept, text.encode())
        line = json.dumps({"environment": key, "outputs": made, "schema": "witness/1"}, sort_keys=True)
        store.write_bytes(layout.environment_of(number), f"{line}\n".encode())
    except OSError as error:
        print(f"train: the environment is not recorded: {error.filename or ''}: {error.strerror or error}")


def environment_of(root: Path, number: int, outputs: Mapping[str, str]) -> dict[str, Any] | None:
    """The environment that computed a round with these outputs (DVC's hash by path), None where none is recorded."""
    made = {path: outputs.get(path) for path in _OUTPUTS}
    for line in _lines(root / layout.environment_of(number)):
        if line["outputs"] == made:
            try:
                value = json.loads((root / layout.ENVIRONMENTS / f"{line['environment']}.json").read_bytes())
            except (OSError, ValueError):
                continue
            return value if _well_formed(value) else None
    return None


def _well_formed(value: Any) -> bool:
    """Whether it can be compared: what is no text or number in it is a folder of such."""
    if not isinstance(value, dict):
        return False
    folders = (value.get("distributions", {}), value.get("cpu", {}), value.get("torch") or {})
    return all(isinstance(folder, dict) for folder in folders)


def _lines(path: Path) -> list[dict[str, Any]]:
    """Well-formed lines: a merge of two branches holds those of both."""
    found = []
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict) and _KEY.fullmatch(str(value.get("environment"))) and "outputs" in value:
            found.append(value)
    return found
