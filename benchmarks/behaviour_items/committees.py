"""One network beside MC dropout and committees: accuracy, likelihood and calibration on held-out samples."""

import numpy as np

from al_plugin.data.pool import Pool
from al_plugin.data.sets import Inputs, Labeled, Model
from al_plugin.models.restore import members, model_signals
from al_plugin.models.task import Fitted
from al_plugin.rounds.evaluate import evaluate
from al_plugin.rounds.provide import Sampling, provide
from al_plugin.strategies import registry

from .images import Array, Images, Split, split, task_of
from .stats import Row

PASSES = 20
COMMITTEES = ("ensemble", "bootstrap_ensemble", "snapshot_ensemble", "diversity_ensemble", "split_head")
MEASURES = ("nll", "accuracy", "ece")


def committees(data: Images, *, seeds: int, labels: int, epochs: int) -> list[Row]:
    """For each arm NLL, accuracy and ECE, and their paired differences to ``single``."""
    rows: list[Row] = []
    found = [arms(split(data, labels, seed), epochs) for seed in range(seeds)]
    for arm in found[0]:
        rows.append({"labels": labels, "method": arm})
        for measure in MEASURES:
            values = [one[arm][measure] for one in found]
            plain = [one["single"][measure] for one in found]
            rows[-1][measure] = float(np.mean(values))
            rows[-1][f"{measure} - single"] = [a - b for a, b in zip(values, plain, strict=True)]
    return rows


def arms(drawn: Split, epochs: int) -> dict[str, dict[str, float]]:
    """Measures of every arm on one draw; arms that share a training share its weights."""
    task = task_of(drawn, epochs=epochs)

    def fitted(name: str) -> Fitted:
        result: Fitted = registry.load("train", name).function(task)
        return result

    def measured(log_probs: Array) -> dict[str, float]:
        return evaluate(log_probs, drawn.test_labels)

    single = fitted("single")
    found = {"single": measured(prediction(single, drawn)), "MC dropout": measured(posterior_mean(single, drawn))}
    for name in COMMITTEES:
        committee = fitted(name)
        if name == "ensemble":
            first = {**committee.network, "kind": "mlp"}, members({"network": committee.network}, committee.weights)[0]
            log_probs, _ = model_signals({"network": first[0]}, first[1], drawn.test)
            found["single, dropout 0 (member of ensemble)"] = measured(log_probs)
        found[name] = measured(prediction(committee, drawn))
    bayes = fitted("bayes_by_backprop")
    found["bayes_by_backprop, means"] = measured(prediction(bayes, drawn))
    found["bayes_by_backprop, draws"] = measured(posterior_mean(bayes, drawn))
    return found


def prediction(fitted: Fitted, drawn: Split) -> Array:
    """Log-probabilities of the test set, as a round reports them; a committee's mean."""
    log_probs, _ = model_signals({"network": fitted.network}, fitted.weights, drawn.test)
    return log_probs


def posterior_mean(fitted: Fitted, drawn: Split) -> Array:
    """Log of the mean probability over the posterior samples that scores are given, at the test set."""
    ids = np.array([f"s{i}" for i in range(drawn.n)], dtype=object)
    labeled = Labeled(list(ids), drawn.truth[: drawn.n])
    model = Model({"fitted": True, "round": 1, "network": fitted.network}, fitted.weights)
    inputs = Inputs(Pool(ids, drawn.pool[: drawn.n], {"part": drawn.n}), labeled, targets=drawn.test)
    sampling = Sampling(drawn.seed, passes=PASSES)
    samples = provide({"target_mc_log_probs"}, model, inputs, sampling).signals["target_mc_log_probs"]
    mean: Array = np.logaddexp.reduce(samples.astype(np.float64), axis=0) - np.log(len(samples))
    return mean.astype(np.float32)
