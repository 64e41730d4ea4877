"""Frozen encoders: from texts or images to features, named like ``sentence-transformers:all-MiniLM-L6-v2``.

Nothing pickled is loaded and no code of a model's repository is run. Models come as their library
loads them: a name of the Hugging Face hub (``NAME@REVISION`` pins one), which needs the network
once, or a local folder.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from al_plugin.axes import Floats
from al_plugin.errors import DataError, StrategyError, near

Sample = str | bytes
Run = Callable[[Sequence[Sample]], np.ndarray]
LIBRARIES = ("sentence-transformers", "timm", "transformers")
# Samples per call of a library: the grid that embeddings are computed on, from the first sample on.
GRID = 1024


@dataclass(frozen=True)
class Encoder:
    """One frozen encoder; its model is loaded at the first use.

    ``version`` is what beside the name decides the embeddings: versions of the libraries, number of
    threads, and the content of what lies in the user's own files.
    """

    name: str
    wants: Literal["text", "image"]
    version: str
    run: Run

    def encode(self, samples: Sequence[Sample]) -> Floats:
        """Embeddings (n, D) float32 of n texts (str) or n encoded image files (bytes); the same every time.

        Samples are taken ``GRID`` at a time from the start: in the last bit a row may depend on its
        place, never on the samples of another block.
        """
        wanted = str if self.wants == "text" else bytes
        for position, sample in enumerate(samples):
            if not isinstance(sample, wanted):
                raise DataError(
                    f"encoder {self.name} takes {wanted.__name__}, sample {position} is {type(sample).__name__}",
                    change=f"give it {'texts' if wanted is str else 'the bytes of image files'}",
                )
        blocks = [self._block(samples[start : start + GRID]) for start in range(0, len(samples), GRID)]
        if not blocks:
            return np.empty((0, 0), dtype=np.float32)
        if len({block.shape[1] for block in blocks}) > 1:
            raise StrategyError(f"encoder {self.name} gave embeddings of different lengths")
        return np.concatenate(blocks)

    def _block(self, samples: Sequence[Sample]) -> Floats:
        found = np.asarray(self.run(samples))
        numeric = np.issubdtype(found.dtype, np.integer) or np.issubdtype(found.dtype, np.floating)
        if found.ndim != 2 or len(found) != len(samples) or not numeric:
            raise StrategyError(
                f"encoder {self.name} gave {found.dtype} of shape {found.shape} for {len(samples)} samples",
                change="it must return numbers of shape (samples, width)",
            )
        with np.errstate(over="ignore"):  # beyond float32 is infinite, and told below
            embeddings: Floats = np.ascontiguousarray(found, dtype=np.float32)
        if not np.isfinite(embeddings).all():
            raise StrategyError(f"encoder {self.name} gave embeddings that are not finite")
        return embeddings


def encoder(name: str, *, threads: int = 1) -> Encoder:
    """The encoder ``LIBRARY:NAME``, or ``module:function`` of the user's repository.

    Libraries: ``sentence-transformers`` and ``transformers`` (mean over tokens) for texts, ``timm``
    for images. A function takes a list of str, or of bytes, as its annotation says, and returns (n, D).
    Sums over more threads differ in the last bit, so ``threads`` is part of the result.
    """
    library, colon, model = name.partition(":")
    if not (library and colon and model):
        raise StrategyError(
            f"encoder {name!r} is not library:name or module:function{near(library, LIBRARIES)}",
            change=f"libraries are: {', '.join(LIBRARIES)}",
        )
    if library == "timm":
        from al_plugin.models.encoders.images import timm_encoder

        return timm_encoder(name, model, threads)
    if library in LIBRARIES:
        from al_plugin.models.encoders import texts

        made = texts.sentence_encoder if library == "sentence-transformers" else texts.token_mean_encoder
        return made(name, model, threads)
    from al_plugin.models.encoders.own import own_encoder

    return own_encoder(name, threads)
