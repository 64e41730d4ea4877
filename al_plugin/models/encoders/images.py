"""Encoders of images: a model of timm without its classifier, after the transforms of its own config."""

import io
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from al_plugin.axes import Floats
from al_plugin.errors import DataError
from al_plugin.models.encoders import Encoder, Sample
from al_plugin.models.encoders.running import content_of, frozen, loading, refuse_pickles, versions

_EXTRA = "images"
# Images per forward pass.
_BATCH = 32


def timm_encoder(name: str, model: str, threads: int) -> Encoder:
    """Pooled features of a timm model: a name with pretrained weights, ``hf-hub:...``, or a folder.

    A folder is one that ``timm.models.save_for_hf`` writes: config.json and model.safetensors.
    """
    version = versions("timm", "torchvision", "torch", "pillow", extra=_EXTRA, name=name)
    folder = Path(model)
    local = folder.is_dir()
    if local:
        refuse_pickles(folder, name)
        version = f"{version}, {content_of(folder)}"

    @cache
    def loaded() -> tuple[Any, Any]:
        with loading(name, _EXTRA):
            import timm

            network = timm.create_model(f"local-dir:{model}" if local else model, pretrained=True, num_classes=0)
            transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
            return network.eval(), transform

    def run(samples: Sequence[Sample]) -> Floats:
        with frozen(threads):
            return pooled(*loaded(), samples, name)

    return Encoder(name, "image", f"{version}, {threads} threads", run)


def pooled(network: Any, transform: Any, files: Sequence[Sample], name: str) -> Floats:
    """Pooled features (n, D) of image files, in batches."""
    import torch

    found = []
    for start in range(0, len(files), _BATCH):
        batch = [transform(_image(file, name)) for file in files[start : start + _BATCH]]
        found.append(network(torch.stack(batch)).float().numpy())
    embeddings: Floats = np.concatenate(found)
    return embeddings


def _image(file: Sample, name: str) -> Any:
    """The picture as RGB, or DataError."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(file)) as image:  # type: ignore[arg-type]
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(
            f"encoder {name} cannot read the image of sha256 {sha256(file).hexdigest()} ({error})",  # type: ignore[arg-type]
            change="replace the file, or take the sample out of the pool",
        ) from error
