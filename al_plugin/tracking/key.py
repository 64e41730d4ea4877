"""What makes a round the same round: its data, settings and outputs, whatever code or commit they came from."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from al_plugin import layout
from al_plugin.settings import Params
from al_plugin.tracking.digests import digest, read_lock

# Labels are in by what merging made of them: an edited README beside them is not another round.
CONTENT = (
    layout.POOL,
    layout.EVAL,
    layout.LABELED,
    layout.VOTES,
    layout.ASKED,
    layout.QUARANTINE,
    layout.LABEL_METRICS,
    layout.VALIDATION,
    layout.WEIGHTS,
    layout.CARD,
    layout.FORGETTING,
    layout.POOL_DYNAMICS,
    layout.TRAIN_METRICS,
    layout.TRAINING_CURVE,
    layout.SCORES,
    layout.SCORE_METRICS,
    layout.QUERY,
    layout.SELECT_METRICS,
)
_SECTIONS = ("campaign", "merge", "train", "score", "select")


def digests(root: Path) -> dict[str, str]:
    """DVC's MD5 of everything in the round, by path."""
    lock = read_lock(root)
    return {path: digest(root, path, lock) for path in CONTENT}


def settings(params: Params) -> dict[str, Any]:
    """The settings that differ from their defaults, by section.

    Spelling a default out is no other round, nor is a later version of the plugin with a new
    setting at its default.
    """
    sections = {name: getattr(params, name) for name in _SECTIONS}
    return {
        name: {
            field.name: getattr(section, field.name)
            for field in fields(section)
            if getattr(section, field.name) != _default(field)
        }
        for name, section in sections.items()
    }


def round_key(content: Mapping[str, str], chosen: Mapping[str, Any]) -> str:
    """SHA-256 over content and settings, in hexadecimal."""
    document = json.dumps({"content": content, "settings": chosen}, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(document.encode()).hexdigest()


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()
