"""A function of the user's repository as encoder."""

import inspect
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Literal, get_args, get_type_hints

import numpy as np

from al_plugin.errors import StrategyError
from al_plugin.models.encoders import Encoder, Sample
from al_plugin.named import imported


def own_encoder(name: str, threads: int) -> Encoder:
    """``module:function``: a change of its file is another version."""
    function = imported(name, "encoder")
    wants = _wants(name, function)
    source = inspect.getsourcefile(inspect.unwrap(function))
    content = blake2b(Path(source).read_bytes() if source else b"", digest_size=16).hexdigest()

    def run(samples: Sequence[Sample]) -> np.ndarray:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(threads):
            return np.asarray(function(list(samples)))

    return Encoder(name, wants, f"{content}, {threads} threads", run)


def _wants(name: str, function: object) -> Literal["text", "image"]:
    """What the annotation of the first parameter says."""
    try:
        hints = get_type_hints(function)
        first = next(iter(inspect.signature(function).parameters))  # type: ignore[arg-type]
    except (TypeError, ValueError, NameError, StopIteration):
        hints, first = {}, ""
    inside = get_args(hints.get(first))
    if inside == (str,):
        return "text"
    if inside == (bytes,):
        return "image"
    raise StrategyError(
        f"encoder {name} does not say what it takes",
        change="annotate its first parameter: list[str] for texts, list[bytes] for image files",
    )
