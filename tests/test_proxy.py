"""Selection via proxy: the proxy scores, the target is the model."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from loop import digits_split, params_of
from scipy.stats import spearmanr

from al_plugin.checks.train import _KilledError, _Memory, _task
from al_plugin.data.sets import Inputs, Labeled, Model
from al_plugin.math.proxy import forgetting_coreset, rank_correlation
from al_plugin.models.checkpoint import Checkpoints
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
    labels = np.zeros(5, dtype=np.int64)
    assert forgetting_coreset(forgotten, never, labels, 5).tolist() == [2, 1, 3, 4, 0]
    assert forgetting_coreset(forgotten, never, labels, 2).tolist() == [2, 1]
    assert forgetting_coreset(forgotten, never, labels, 0).tolist() == [2]


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 3)), min_size=1, max_size=25), st.data())
def test_coreset_is_the_top_n_with_no_class_lost(rows, data):
    """Against a loop: the most forgotten n; while a class is missing, its best for the least of a doubled class."""
    forgotten, never, labels = (np.array(column) for column in zip(*rows, strict=True))
    n = data.draw(st.integers(0, len(rows)))
    ranked = sorted(range(len(rows)), key=lambda i: (not never[i], 0 if never[i] else -forgotten[i], i))
    n_kept = max(n, len(set(labels.tolist())))
    kept = ranked[:n_kept]
    for missing in sorted(set(labels.tolist()) - {labels[i] for i in kept}):
        doubled = [i for i in kept if sum(labels[j] == labels[i] for j in kept) > 1]
        kept.remove(doubled[-1])
        kept.append(next(i for i in ranked if labels[i] == missing))
    found = forgetting_coreset(forgotten, never, labels, n).tolist()
    assert sorted(found) == sorted(kept)
    assert found == [i for i in ranked if i in kept]


def test_the_target_trains_on_what_the_proxy_forgot():
    """The target is the single network on the core-set, which is read off the proxy's forgetting."""
    task = replace(_task(epochs=12, lr=0.03), seed=5)
    found = proxy(task, keep=0.5)
    fewer = found.forgetting
    assert len(fewer.presented) == len(task.labels)
    assert (fewer.presented == 6).all()
    order = np.random.default_rng([5, 3]).permutation(len(task.labels))
    at = order[forgetting_coreset(fewer.forgotten[order], fewer.never_learned[order], task.labels[order], 6)]
    kept = np.sort(at)
    expected = single(replace(task, features=task.features[kept], labels=task.labels[kept]))
    assert all(np.array_equal(found.weights[name], array) for name, array in expected.weights.items())
    assert found.metrics["kept_labels"] == 6
    proxies = [{n: a for n, a in f.weights.items() if n.startswith("proxy.")} for f in (found, proxy(task))]
    assert all(np.array_equal(proxies[0][n], a) for n, a in proxies[1].items())


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.999])
def test_a_core_set_holds_every_class(keep):
    found = proxy(_task(), keep=keep)
    assert found.metrics["kept_labels"] == max(3, round(keep * 12))


def test_keeping_all_is_the_proxy_without_a_core_set():
    found, task = proxy(_task()), _task()
    assert "kept_labels" not in found.metrics
    assert all(np.array_equal(found.weights[name], array) for name, array in single(task).weights.items())
    assert (found.forgetting.presented == task.epochs).all()


def test_killed_on_its_way_the_core_set_is_the_same():
    expected, files, batches = proxy(_task(), keep=0.5).weights, _Memory(), iter(range(1, 1000))

    def progress(*_):
        if next(batches) == 10:
            raise _KilledError

    with pytest.raises(_KilledError):
        proxy(_task(progress=progress, checkpoints=Checkpoints(files, "t", 0.0)), keep=0.5)
    resumed = proxy(_task(checkpoints=Checkpoints(files, "t", 0.0)), keep=0.5).weights
    assert {n: a.tobytes() for n, a in resumed.items()} == {n: a.tobytes() for n, a in expected.items()}
