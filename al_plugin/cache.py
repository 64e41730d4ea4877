"""Embeddings of frozen encoders, kept by content: the same samples are encoded once per repository."""

import io
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np

from al_plugin import layout, store
from al_plugin.axes import Floats
from al_plugin.models.encoders import GRID, Encoder, Sample

_FOLDER = Path(layout.PRIVATE, "cache", "encoded")
_DIGEST = 32
# Samples per file: what is encoded stays encoded when the work is cut off, or the pool grows.
_BLOCK = 4 * GRID


def encoded(encoder: Encoder, samples: Sequence[Sample]) -> Floats:
    """``encoder.encode(samples)``, (n, D) float32, from ``.al/cache/encoded`` where it was computed before.

    Kept in blocks of 4,096 samples, each under a hash of the encoder's name and version and every
    sample's bytes. A file that is cut short or changed is computed anew.
    """
    blocks = [_block(encoder, samples[start : start + _BLOCK]) for start in range(0, len(samples), _BLOCK)]
    return np.concatenate(blocks) if blocks else encoder.encode(samples)


def _block(encoder: Encoder, samples: Sequence[Sample]) -> Floats:
    path = _FOLDER / f"{key(encoder, samples)}.npy"
    found = _read(path, len(samples))
    if found is None:
        found = encoder.encode(samples)
        buffer = io.BytesIO()
        np.save(buffer, found, allow_pickle=False)
        content = buffer.getvalue()
        # NumPy reads no further than the array ends.
        store.write_bytes(path, content + blake2b(content, digest_size=_DIGEST).digest())
    return found


def key(encoder: Encoder, samples: Sequence[Sample]) -> str:
    """Hash of what decides the embeddings; lengths are hashed too, so that samples cannot run together."""
    found = blake2b(digest_size=_DIGEST)
    for part in (encoder.name, encoder.version, *samples):
        raw = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        found.update(len(raw).to_bytes(8, "little"))
        found.update(raw)
    return found.hexdigest()


def _read(path: Path, rows: int) -> Floats | None:
    """The embeddings in a file of the cache, None where it is missing or not whole."""
    if not path.is_file():
        return None
    content = path.read_bytes()
    array, digest = content[:-_DIGEST], content[-_DIGEST:]
    if blake2b(array, digest_size=_DIGEST).digest() != digest:
        return None
    found: Floats = np.load(io.BytesIO(array), allow_pickle=False)
    return found if len(found) == rows else None
