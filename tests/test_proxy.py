"""Selection via proxy: the proxy scores, the target is the model."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from loop import digits_split, params_of
from scipy.stats import spearmanr

from al_plugin.checks.train import _task
from al_plugin.data.sets import Inputs, Labeled, Model
from al_plugin.math.proxy import forgetting_coreset, rank_correlation
from al_plugin.models.restore import model_signals, scorer
from al_plugin.rounds.provide import Sampling, provide
from al_plugin.rounds.train import train
from al_plugin.strategies import registry
from al_plugin.strategies.train.proxy import proxy
from al_plugin.strategies.train.single import single
from al_plugin.tracking import served

WANTED = {"log_probs", "embeddings", "head_weight", "head_bias"}


def digits_round(name, **knobs):
    pool, truth, evaluation = digits_split(0)
    labeled = Labeled([str(i) for i in pool.ids[:60]], truth[:60])
    task = {"epochs": 20, "batch_size": 32, "lr": 0.005, "weight_decay": 0.01, "dynamics_every": 5}
    task |= {"threads": 1, "seed": 7}
    classes = params_of("random", 0, 10).campaign.classes
    trained = train(pool, labeled, evaluation, classes, registry.load("train", name), task, knobs, 1)
    given = provide(WANTED, Model(trained.card, trained.weights), Inputs(pool, labeled), Sampling(0))
    return trained, given.signals


def test_a_proxy_like_the_target_selects_alike():
    plain, expected = digits_round("single")
    twin, found = digits_round("proxy", proxy_hidden=128, proxy_epochs_share=1.0)
    assert twin.metrics["proxy_correlation"] == 1.0
    assert twin.metrics["eval"] == plain.metrics["eval"]
    assert all(np.array_equal(found[name], expected[name]) for name in WANTED)


def test_the_proxy_scores_and_the_target_is_measured():
    plain, of_target = digits_round("single")
    result, found = digits_round("proxy")
    assert result.metrics["eval"] == plain.metrics["eval"]
    assert 0 < result.metrics["proxy_correlation"] < 1
    assert found["embeddings"].shape[1] == 32 == found["head_weight"].shape[1]
    assert not np.array_equal(found["log_probs"], of_target["log_probs"])


def test_scorer_of_other_networks_is_themselves():
    fitted = single(_task())
    card = {"network": fitted.network}
    assert scorer(card, fitted.weights) == (card, fitted.weights)


def test_correlation_is_that_of_the_margins():
    fitted = proxy(_task(epochs=20), proxy_hidden=4)
    card = {"network": fitted.network}
    both = [model_signals(card, fitted.weights, _task().pool_features)[0]]
    both.append(model_signals(*scorer(card, fitted.weights), _task().pool_features)[0])
    best = [np.sort(np.exp(one.astype(np.float64)), axis=1) for one in both]
    margins = [one[:, -1] - one[:, -2] for one in best]
    assert fitted.metrics["proxy_correlation"] == pytest.approx(spearmanr(*margins)[0], abs=1e-12)


def test_the_target_is_served():
    fitted = proxy(_task(), proxy_hidden=3)
    features = np.random.default_rng(0).normal(size=(1100, 4)).astype(np.float32)
    tensors = {name: torch.from_numpy(array) for name, array in fitted.weights.items()}
    expected, _ = model_signals({"network": fitted.network}, fitted.weights, features)
    assert np.array_equal(served._log_probs(tensors, dict(fitted.network), features), expected)


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=2, max_size=30))
def test_rank_correlation_is_spearmans(pairs):
    first, second = np.array(pairs, dtype=np.float64).T
    found = rank_correlation(first, second)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        assert np.isnan(found)
        return
    assert -1 <= found <= 1
    assert found == pytest.approx(spearmanr(first, second)[0], abs=1e-12)
    assert rank_correlation(first, np.exp(first)) == 1.0
    assert rank_correlation(first, -(first**3)) == -1.0


def test_coreset_keeps_the_never_learned_then_the_most_forgotten():
    forgotten = np.array([0, 3, 0, 3, 1])
    never = np.array([False, False, True, False, False])
    assert forgetting_coreset(forgotten, never, 5).tolist() == [2, 1, 3, 4, 0]
    assert forgetting_coreset(forgotten, never, 2).tolist() == [2, 1]
    assert forgetting_coreset(forgotten, never, 0).tolist() == []
