"""Encoders of texts: sentence-transformers, and any transformer with the mean over its tokens."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from al_plugin.axes import Floats
from al_plugin.errors import StrategyError
from al_plugin.models.encoders import Encoder, Sample
from al_plugin.models.encoders.running import content_of, frozen, loading, refuse_pickles, versions

_EXTRA = "text"
# Texts per forward pass; those of a block are sorted by length first, so that little is padded.
_BATCH = 32


def sentence_encoder(name: str, model: str, threads: int) -> Encoder:
    """A model of sentence-transformers, with the pooling and normalising that it was saved with."""
    version = versions("sentence-transformers", "transformers", "torch", extra=_EXTRA, name=name)
    where, revision = _checked(name, model)

    @cache
    def loaded() -> Any:
        with loading(name, _EXTRA):
            from sentence_transformers import SentenceTransformer

            return SentenceTransformer(
                where,
                device="cpu",
                revision=revision,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True, "dtype": "float32"},
            )

    def run(samples: Sequence[Sample]) -> Floats:
        with frozen(threads):
            found: Floats = loaded().encode(
                list(samples), batch_size=_BATCH, show_progress_bar=False, convert_to_numpy=True
            )
        return found

    return Encoder(name, "text", _version(version, where, threads), run)


def token_mean_encoder(name: str, model: str, threads: int) -> Encoder:
    """The mean of a transformer's last hidden states over the tokens of a text, padding left out."""
    version = versions("transformers", "torch", extra=_EXTRA, name=name)
    where, revision = _checked(name, model)

    @cache
    def loaded() -> tuple[Any, Any]:
        with loading(name, _EXTRA):
            from transformers import AutoModel, AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(where, revision=revision, trust_remote_code=False)
            network = AutoModel.from_pretrained(
                where, revision=revision, trust_remote_code=False, use_safetensors=True, dtype="float32"
            )
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        if network.config.is_encoder_decoder:
            network = network.get_encoder()
        return tokenizer, network.eval()

    def run(samples: Sequence[Sample]) -> Floats:
        with frozen(threads):
            return token_means(*loaded(), samples)

    return Encoder(name, "text", _version(version, where, threads), run)


def token_means(tokenizer: Any, network: Any, texts: Sequence[Sample]) -> Floats:
    """Σ m h / Σ m over the tokens of each text, (n, D): h the last hidden states, m the attention mask."""
    longest = min(tokenizer.model_max_length, getattr(network.config, "max_position_embeddings", None) or 512)
    tokens = tokenizer(list(texts), truncation=True, max_length=longest)["input_ids"]
    order = np.argsort([-len(one) for one in tokens], kind="stable")
    found: Floats = np.empty((len(texts), network.config.hidden_size), dtype=np.float32)
    for start in range(0, len(order), _BATCH):
        rows = order[start : start + _BATCH]
        batch = tokenizer(
            [texts[row] for row in rows], truncation=True, max_length=longest, padding=True, return_tensors="pt"
        )
        hidden = network(**batch).last_hidden_state.float()
        mask = batch["attention_mask"].unsqueeze(2).float()
        # A text without any token is 0, not a division by 0.
        found[rows] = ((hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1.0)).numpy()
    return found


def _checked(name: str, model: str) -> tuple[str, str | None]:
    """Name or folder of a model and its revision; StrategyError where loading it would run code."""
    folder = Path(model)
    if not folder.is_dir():
        where, _, revision = model.partition("@")
        return where, revision or None
    refuse_pickles(folder, name)
    modules = folder / "modules.json"
    # sentence-transformers runs modules that lie in a local folder without asking.
    listed = json.loads(modules.read_text("utf-8")) if modules.is_file() else []
    foreign = [one["type"] for one in listed if not one["type"].startswith("sentence_transformers.")]
    if foreign:
        raise StrategyError(
            f"encoder {name} asks for {foreign[0]}, which is no module of sentence-transformers",
            change="write it as a function of your repository: module:function",
        )
    return model, None


def _version(libraries: str, where: str, threads: int) -> str:
    content = f", {content_of(Path(where))}" if Path(where).is_dir() else ""
    return f"{libraries}, {threads} threads{content}"
