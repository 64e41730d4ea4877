"""SWAG: the Gaussian it draws from has the moments of its closed form, on every body."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loop import digits_split, params_of

from al_plugin.checks.train import _KilledError, _Memory, _task
from al_plugin.data.sets import Inputs, Labeled, Model
from al_plugin.errors import AlError
from al_plugin.math.committee import mutual_information
from al_plugin.math.swag import WeightMoments, weight_draw
from al_plugin.models.checkpoint import Checkpoints
from al_plugin.models.restore import member_log_probs, members, model_signals, posterior_members
from al_plugin.models.swag import flat
from al_plugin.models.task import Body
from al_plugin.rounds import seeds
from al_plugin.rounds.provide import Sampling
from al_plugin.rounds.score import score
from al_plugin.rounds.train import train
from al_plugin.strategies import registry
from al_plugin.strategies.train.single import single
from al_plugin.strategies.train.swag import swag


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(0, 5), st.floats(1e-3, 1e6), st.integers(0, 99))
def test_moments_are_those_of_the_vectors(count, rank, offset, seed):
    """Mean, population variance, and the last deviations from the mean of all up to each."""
    rows = offset + np.random.default_rng(seed).normal(size=(count, 4))
    found = WeightMoments(4, rank)
    for row in rows:
        found.collect(row)
    np.testing.assert_allclose(found.mean, rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.variance(), rows.var(axis=0), rtol=1e-6, atol=1e-18)
    assert (found.variance() >= 0).all()
    expected = [rows[i] - rows[: i + 1].mean(axis=0) for i in range(1, count)]
    expected = expected[len(expected) - min(rank, len(expected)) :]
    assert found.deviations.shape == (len(expected), 4)
    assert found.deviations.dtype == np.float32
    if expected:
        np.testing.assert_allclose(found.deviations, np.array(expected), rtol=1e-4, atol=1e-6)


def test_weights_of_a_device_are_collected():
    """A tensor that is not on the CPU has no numpy() until it is brought there."""

    class Elsewhere(torch.Tensor):
        def numpy(self):
            raise TypeError("can't convert device type tensor to numpy")

        def cpu(self):
            return self.as_subclass(torch.Tensor)

    rows = [torch.arange(6.0).reshape(2, 3), torch.ones(1)]
    found = flat([row.as_subclass(Elsewhere) for row in rows])
    assert found.dtype == np.float64
    assert found.tolist() == [0, 1, 2, 3, 4, 5, 1]


def test_no_cancellation_far_from_zero():
    """A mean square less a squared mean would be 0 or negative here."""
    found = WeightMoments(1, 0)
    for value in (1e9 - 1, 1e9, 1e9 + 1):
        found.collect(np.array([value]))
    assert found.variance() == pytest.approx([2 / 3], rel=1e-6)


def moments_of_draws(variances, deviations, n=60_000):
    means = {name: np.full(v.shape, 0.5, dtype=np.float32) for name, v in variances.items()}
    rng = np.random.default_rng(0)
    draws = [weight_draw(means, variances, deviations, rng) for _ in range(n)]
    flat = np.array([np.concatenate([one[name].ravel() for name in sorted(means)]) for one in draws], dtype=np.float64)
    return flat.mean(axis=0), np.cov(flat, rowvar=False)


@pytest.mark.parametrize("rank", [0, 1, 2, 4])
def test_draws_have_the_mean_and_covariance_of_the_formula(rank):
    """½ diag + DᵀD / (2 (K - 1)) across tensors too; the whole diagonal where K < 2."""
    rng = np.random.default_rng(1)
    variances = {"a": rng.uniform(0.1, 1, (2, 2)), "b": rng.uniform(0.1, 1, 1)}
    deviations = {"a": rng.normal(size=(rank, 2, 2)), "b": rng.normal(size=(rank, 1))}
    mean, covariance = moments_of_draws(variances, deviations)
    diagonal = np.diag(np.concatenate([variances["a"].ravel(), variances["b"]]))
    columns = np.concatenate([deviations["a"].reshape(rank, 4), deviations["b"]], axis=1)
    expected = diagonal if rank < 2 else 0.5 * diagonal + columns.T @ columns / (2 * (rank - 1))
    np.testing.assert_allclose(mean, 0.5, atol=4 * np.sqrt(expected.max() / 60_000))
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    np.testing.assert_allclose((covariance - expected) / scale, 0, atol=0.03)


def test_a_draw_does_not_depend_on_the_order_of_the_file():
    """Weights come from a file in another order than from training."""
    fitted = swag(_task(), hidden=3)
    card = {"network": fitted.network}
    turned = dict(reversed(fitted.weights.items()))
    drawn = [posterior_members(card, w, 2, np.random.default_rng(3)) for w in (fitted.weights, turned)]
    for one, other in zip(*drawn, strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in one)


def test_the_model_is_the_mean_of_the_weights_after_the_last_epochs():
    """A shorter training passes through the same weights: they are what is averaged."""
    task = _task(epochs=6)
    found = swag(task, hidden=4, collect_share=0.5, rank=2)
    passed = [single(replace(task, epochs=e), hidden=4).weights for e in (4, 5, 6)]
    (mean,) = members({"network": found.network}, found.weights)
    assert set(mean) == set(passed[0])
    for name in mean:
        rows = np.array([one[name] for one in passed], dtype=np.float64)
        np.testing.assert_allclose(mean[name], rows.mean(axis=0), rtol=1e-6)
        if name not in ("mean", "scale"):
            np.testing.assert_allclose(found.weights[f"swag.variance.{name}"], rows.var(axis=0), rtol=1e-5, atol=1e-12)
            assert found.weights[f"swag.deviations.{name}"].shape == (2, *mean[name].shape)


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_one_collected_epoch_is_the_single_network(share):
    """Its variance is 0: every draw is the network itself."""
    task = _task()
    found = swag(task, hidden=4, collect_share=share)
    card, one = {"network": found.network}, single(task, hidden=4).weights
    for drawn in (*members(card, found.weights), *posterior_members(card, found.weights, 2, np.random.default_rng(0))):
        assert {n: a.tobytes() for n, a in drawn.items()} == {n: a.tobytes() for n, a in one.items()}


OWN = '''
from torch import nn

class Net(nn.Sequential):
    """Two layers that share their weights, behind a normalisation."""
    def __init__(self, shape, classes):
        tied = nn.Linear(shape[0], shape[0])
        super().__init__(tied, nn.ReLU(), tied, self.norm(shape[0]), nn.Linear(shape[0], classes))
    def norm(self, width):
        return nn.LayerNorm(width)

class Batch(Net):
    def norm(self, width):
        return nn.BatchNorm1d(width)
'''


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_swag.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield
    sys.modules.pop("own_swag", None)


def task_on(body):
    pool = np.random.default_rng(0).normal(size=(40, 64)).astype(np.float32)
    labels = np.arange(20) % 3
    return replace(_task(), features=pool[:20].copy(), labels=labels, pool_features=pool, body=body)


@pytest.mark.parametrize(
    "body", [Body("mlp"), Body("linear"), Body("cnn", (1, 8, 8), 1), Body("own_swag:Net")], ids=lambda body: body.name
)
def test_every_body_has_a_mean_and_draws(body, own):
    task = task_on(body)
    fitted = swag(task)
    card = {"network": fitted.network}
    mean, _ = model_signals(card, fitted.weights, task.pool_features)
    networks = posterior_members(card, fitted.weights, 3, np.random.default_rng(0))
    each = member_log_probs(card, networks, task.pool_features)
    assert np.isfinite(mean).all()
    assert each.shape == (3, *mean.shape)
    assert all(not np.array_equal(one, mean) for one in each)


def test_tied_weights_are_the_mean_under_both_names(own):
    weights = swag(task_on(Body("own_swag:Net"))).weights
    assert np.array_equal(weights["trunk.module.0.weight"], weights["trunk.module.2.weight"])


def test_batch_normalisation_is_refused_in_one_line(own):
    with pytest.raises(AlError, match="own_swag:Batch has batch normalisation, whose statistics"):
        swag(task_on(Body("own_swag:Batch")))


def test_killed_while_collecting_it_goes_on(own):
    """The contract kills before the second half; here in the middle of what is collected."""
    expected, files, batches = swag(_task(epochs=8)).weights, _Memory(), iter(range(1, 1000))

    def progress(*_):
        if next(batches) == 20:
            raise _KilledError

    with pytest.raises(_KilledError):
        swag(_task(epochs=8, progress=progress, checkpoints=Checkpoints(files, "t", 0.0)))
    resumed = swag(_task(epochs=8, checkpoints=Checkpoints(files, "t", 0.0))).weights
    assert {n: a.tobytes() for n, a in resumed.items()} == {n: a.tobytes() for n, a in expected.items()}


def test_draws_reach_the_scores():
    """bald of the draws that the round's seed gives; log-probabilities are the mean weights'."""
    pool, truth, evaluation = digits_split(0)
    labeled = Labeled([str(i) for i in pool.ids[:60]], truth[:60])
    task = {"epochs": 10, "batch_size": 32, "lr": 0.005, "weight_decay": 0.01, "dynamics_every": 5}
    classes = params_of("random", 0, 10).campaign.classes
    task |= {"threads": 1, "seed": 7}
    result = train(pool, labeled, evaluation, classes, registry.load("train", "swag"), task, {}, 1)
    bald, top = registry.load("score", "bald"), registry.load("select", "top")
    scored = score(Model(result.card, result.weights), Inputs(pool, labeled), Sampling(0, passes=8), bald, top, {})
    rng = seeds.generator(0, 1, "posterior")
    drawn = posterior_members(result.card, result.weights, 8, rng)
    found = np.array(scored.tables["part-00000"].column("score"))
    expected = mutual_information(member_log_probs(result.card, drawn, pool.features))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.max() > 1e-3
    confidence = np.exp(model_signals(result.card, result.weights, pool.features)[0].max(axis=1))
    np.testing.assert_allclose(np.array(scored.tables["part-00000"].column("confidence")), confidence, atol=1e-6)
