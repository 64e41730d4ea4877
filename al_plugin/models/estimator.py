"""An estimator of scikit-learn's kind as the model: made by import path, fitted once, stored without pickle."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from al_plugin.axes import Floats, Ints
from al_plugin.errors import StrategyError
from al_plugin.math.trees import floored_log
from al_plugin.models.fitted_once import fitting, once, pool_scale, predicting, scaled, sklearn_seed
from al_plugin.models.rebuilt import understood
from al_plugin.models.stored import restored, stored
from al_plugin.models.task import BATCH, Description, Fitted, TrainingTask
from al_plugin.named import imported

ASKED = "train.estimator.estimator"


def fitted_estimator(task: TrainingTask, path: str, *, standardise: bool) -> Fitted:
    """Fit the estimator that ``path`` names on the labelled samples.

    Labels of a single class, which most classifiers refuse, are fitted by scikit-learn's constant
    ``DummyClassifier``.
    """
    made = new_estimator(path, sklearn_seed(task.seed))
    seen: Ints = np.unique(task.labels)
    weights = pool_scale(task.pool_features) | {"seen": seen}
    network: Description = {
        "kind": "estimator",
        "width": task.features.shape[1],
        "classes": task.n_classes,
        "estimator": path,
        "standardise": int(standardise),
    }
    inputs = _inputs(network, weights, task.features)
    fitted = made if len(seen) > 1 else _constant()
    with fitting(task.seed, task.threads):
        try:
            fitted.fit(inputs, task.labels)
        except ValueError as error:
            text = " ".join(str(error).split())
            raise StrategyError(
                f"{ASKED} {path} cannot be fitted to {len(task.labels)} labels ({text})",
                change="label more, or name another estimator",
            ) from error
    content = stored(fitted, path, made)
    before = _probabilities(fitted, network, weights, task.features, path)
    after = _probabilities(restored(content, path, made), network, weights, task.features, path)
    if not np.array_equal(before, after):
        raise StrategyError(
            f"{ASKED} {path} predicts otherwise once it is stored and loaded",
            change="keep all it needs to predict in attributes that skops can store",
        )
    weights["estimator"] = np.frombuffer(content, dtype=np.uint8).copy()
    return once(task, weights, network, floored_log(after, seen, task.n_classes))


def estimator_signals(
    card: Mapping[str, Any], weights: Mapping[str, np.ndarray], features: np.ndarray
) -> tuple[Floats, Floats]:
    """Log-probabilities (N, C), and standardised features (N, width): what a linear model takes in."""
    with understood():
        network, path, content = card["network"], str(card["network"]["estimator"]), weights["estimator"].tobytes()
        _ = network["standardise"], int(network["classes"]), weights["seen"], weights["mean"], weights["scale"]
    estimator = restored(content, path, new_estimator(path, 0))
    probabilities = _probabilities(estimator, network, weights, features, path)
    log_probs = floored_log(probabilities, weights["seen"], int(network["classes"]))
    return log_probs, scaled(weights, features).astype(np.float32)


def new_estimator(path: str, seed: int) -> Any:
    """The unfitted estimator: an instance of the class at ``path``, or what the function there returns.

    Every ``random_state`` that is None, also of steps inside, becomes ``seed``.
    """
    found = imported(path, ASKED)
    try:
        inspect.signature(found).bind()
    except TypeError as error:
        raise StrategyError(
            f"{ASKED} {path} cannot be called without arguments ({error})",
            change="name a function without parameters that returns the estimator",
        ) from error
    made = found()
    lacks = [name for name in ("fit", "get_params", "predict_proba") if not hasattr(made, name)]
    if lacks or inspect.isclass(made):
        raise StrategyError(
            f"{ASKED} {path} makes {made!r:.80}, which has no {lacks[-1] if lacks else 'values: it is a class'}",
            change="name a classifier with predict_proba; CalibratedClassifierCV gives it to one without",
        )
    free = [
        name
        for name, value in made.get_params(deep=True).items()
        if value is None and (name == "random_state" or name.endswith("__random_state"))
    ]
    return made.set_params(**dict.fromkeys(free, seed)) if free else made


def _constant() -> Any:
    from sklearn.dummy import DummyClassifier

    return DummyClassifier(strategy="prior")


def _inputs(network: Mapping[str, Any], weights: Mapping[str, np.ndarray], features: np.ndarray) -> Floats:
    return scaled(weights, features) if network["standardise"] else features.astype(np.float64)


def _probabilities(
    estimator: Any, network: Mapping[str, Any], weights: Mapping[str, np.ndarray], features: np.ndarray, path: str
) -> Floats:
    """Probabilities (N, S) of the classes seen, in batches of ``BATCH`` rows."""
    classes = len(weights["seen"])

    def batches() -> Iterator[Floats]:
        for start in range(0, len(features), BATCH):
            rows = features[start : start + BATCH]
            found = np.asarray(estimator.predict_proba(_inputs(network, weights, rows)), dtype=np.float64)
            if found.shape != (len(rows), classes) or not (np.isfinite(found).all() and (found >= 0).all()):
                raise StrategyError(
                    f"predict_proba of {ASKED} {path} gave no probabilities of shape ({len(rows)}, {classes}), "
                    f"one column per class seen: shape {found.shape}",
                    change="one finite column per class of the labels, in their order",
                )
            yield found

    with predicting():
        return np.concatenate([np.empty((0, classes)), *batches()])
