"""The model as MLflow serves it: this file as text, the weights as safetensors, no pickle.

MLflow runs this file where the model is loaded, in environments that do not have al_plugin, so it
imports nothing of it and holds the network's code itself. A module shipped beside it would be
shared by all versions loaded in one process; this file is loaded anew for each.
"""

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModel, PythonModelContext

# Matrix products change in the last bit with the number of rows: the grid that training used.
_BATCH = 256


class Served(PythonModel):
    """Class probabilities from features.

    Takes a frame as the pool is: a column ``features`` of lists, ``text``, ``image`` (bytes of image
    files) or the columns of a table; or numbers as the network takes them, a frame with one per column
    or an array (B, width) of any float type. Texts, images and tables need al_plugin where the model is
    loaded; numbers do not. Gives a frame (B, C) of probabilities, float32, one column per class, with
    the index of a frame taken. Of sets of labels, the probability of each label; of numbers one column
    ``value``.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Read the model card and the weights."""
        from safetensors.torch import load_file

        card = json.loads(Path(context.artifacts["card"]).read_text("utf-8"))
        self.classes: list[str] = card["classes"]
        self.network: dict[str, Any] = card["network"]
        self.form: dict[str, Any] = card.get("form", {"kind": "vector"})
        self.temperature: float | None = card.get("calibration_temperature")
        loaded: dict[str, Any] = load_file(context.artifacts["weights"])
        # A proxy beside the model chose what to label, and so did deviations from the mean weights.
        self.weights = {name: tensor for name, tensor in loaded.items() if not name.startswith(("proxy.", "swag."))}

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
        """Probabilities of every class, the same for the same rows each time."""
        given = _encoded(self.form, model_input) if _is_raw(self.form, model_input) else model_input
        features = _features(given, len(_members(self.weights)[0]["mean"]))
        index = model_input.index if isinstance(model_input, pd.DataFrame) else None
        if self.network.get("task", "classes") != "classes":
            found = _of_other_task(self.weights, self.network, features)
            return pd.DataFrame(found, columns=self.classes or ["value"], index=index)
        log_probs = _tempered(_log_probs(self.weights, self.network, features), self.temperature)
        return pd.DataFrame(np.exp(log_probs), columns=self.classes, index=index)


def _is_raw(form: dict[str, Any], given: Any) -> bool:
    """Whether the samples are as the pool has them, and not numbers yet."""
    if not isinstance(given, pd.DataFrame) or form["kind"] == "vector":
        return False
    named = {"text": ["text"], "image": ["image"]}
    columns = named.get(form["kind"]) or [column["name"] for column in form["details"]["columns"]]
    return set(columns) <= set(given.columns)


def _encoded(form: dict[str, Any], given: pd.DataFrame) -> np.ndarray:
    """The samples as numbers, as al_plugin made those of the pool."""
    import pyarrow as pa

    try:
        from al_plugin.data.forms.form import Part, encode, from_json
        from al_plugin.errors import DataError
    except ImportError as error:
        raise MlflowException.invalid_parameter_value(
            f"al_plugin turns samples of kind {form['kind']} into numbers and is not installed here ({error})"
        ) from error
    try:
        return encode(from_json(form), Part(pa.Table.from_pandas(given, preserve_index=False), "the input"))
    except DataError as error:
        raise MlflowException.invalid_parameter_value(str(error)) from error


def _features(given: Any, width: int) -> np.ndarray:
    """The rows as float32 (B, width), or an error saying what was given."""
    values = given
    if isinstance(given, pd.DataFrame):
        values = given["features"].to_list() if "features" in given.columns else given.to_numpy()
    try:
        rows = np.ascontiguousarray(values, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise MlflowException.invalid_parameter_value(f"features must be numbers: {error}") from error
    if len(rows) == 0:
        return np.empty((0, width), dtype=np.float32)
    if rows.ndim != 2 or rows.shape[1] != width:
        raise MlflowException.invalid_parameter_value(
            f"the model takes {width} features per sample, shape (samples, {width}); it was given shape {rows.shape}"
        )
    return rows


def _members(weights: dict[str, Any]) -> list[dict[str, Any]]:
    """The tensors of each network: one, or those under ``members.k.``, or one trunk with ``heads.k.``."""
    names = {name.split(".")[0]: name for name in weights}
    prefix = next((one for one in ("members", "heads") if one in names), None)
    if prefix is None:
        return [weights]
    numbers = sorted({int(name.split(".")[1]) for name in weights if name.startswith(f"{prefix}.")})
    shared = {name: tensor for name, tensor in weights.items() if not name.startswith(f"{prefix}.")}
    becomes = "head." if prefix == "heads" else ""
    return [
        shared
        | {
            becomes + name.split(".", 2)[2]: tensor
            for name, tensor in weights.items()
            if name.startswith(f"{prefix}.{number}.")
        }
        for number in numbers
    ]


def _log_probs(weights: dict[str, Any], network: dict[str, Any], features: np.ndarray) -> np.ndarray:
    """Log of the mean probabilities of the model's networks: (B, C)."""
    members = [_of_one(member, network, features) for member in _members(weights)]
    if len(members) == 1:
        return members[0]
    mean: np.ndarray = np.logaddexp.reduce([one.astype(np.float64) for one in members]) - np.log(len(members))
    return mean.astype(np.float32)


def _of_other_task(weights: dict[str, Any], network: dict[str, Any], features: np.ndarray) -> np.ndarray:
    """Mean of the networks: numbers (B, 1) in units of the answers, or the probability of each label (B, C)."""
    outputs = [_of_one(member, network, features, raw=True).astype(np.float64) for member in _members(weights)]
    if network["task"] == "regression":
        outputs = [one * network["target_scale"] + network["target_mean"] for one in outputs]
    else:
        outputs = [np.exp(-np.logaddexp(0.0, -one)) for one in outputs]
    mean: np.ndarray = np.mean(outputs, axis=0)
    return mean.astype(np.float32)


def _of_one(weights: dict[str, Any], network: dict[str, Any], features: np.ndarray, *, raw: bool = False) -> np.ndarray:
    """Log-probabilities (B, C) of one network on standardised features; ``raw``: its outputs."""
    import torch

    found = [np.empty((0, network["classes"]), dtype=np.float32)]
    with torch.inference_mode():
        for start in range(0, len(features), _BATCH):
            inputs = torch.from_numpy(features[start : start + _BATCH])
            outputs = _logits(weights, network, inputs)
            found.append((outputs if raw else torch.log_softmax(outputs, dim=1)).numpy())
    return np.concatenate(found)


def _logits(weights: dict[str, Any], network: dict[str, Any], inputs: Any) -> Any:
    """Logits of a linear model, of a perceptron with one hidden layer, or of two convolutions before that layer."""
    from torch.nn.functional import linear, normalize, relu

    hidden = (inputs - weights["mean"]) / weights["scale"]
    if network["body"] == "cnn":
        hidden = _convolved(weights, hidden.reshape(-1, *network["shape"]))
    if network["body"] != "linear":
        layer = "trunk.8" if network["body"] == "cnn" else "trunk.0"
        hidden = relu(linear(hidden, weights[f"{layer}.weight"], weights[f"{layer}.bias"]))
    if network["kind"] == "cosine":
        hidden = normalize(hidden, dim=1) / network["temperature"]
    return linear(hidden, weights["head.weight"], weights.get("head.bias"))


def _convolved(weights: dict[str, Any], images: Any) -> Any:
    import torch
    from torch.nn.functional import conv2d, max_pool2d, relu

    found = images.contiguous(memory_format=torch.channels_last)
    for layer in ("trunk.1", "trunk.4"):
        found = max_pool2d(relu(conv2d(found, weights[f"{layer}.weight"], weights[f"{layer}.bias"], padding=1)), 2)
    return found.flatten(1)


def _tempered(log_probs: np.ndarray, temperature: float | None) -> np.ndarray:
    """log softmax(log_probs / temperature), (B, C); each row keeps its first largest class."""
    if temperature is None:
        return log_probs
    scaled = log_probs.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    out: np.ndarray = (scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))).astype(np.float32)
    best = log_probs.argmax(axis=1)
    moved = np.flatnonzero(out.argmax(axis=1) != best)
    out[moved, best[moved]] = np.nextafter(out[moved].max(axis=1), np.float32(1))
    return out


mlflow.models.set_model(Served())
