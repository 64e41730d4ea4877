"""Committees: their members differ, their mean is better than their members, and they flow through score."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from loop import digits_split, params_of

from al_plugin.checks.train import _task
from al_plugin.data.sets import Inputs, Labeled, Model
from al_plugin.math.committee import mutual_information
from al_plugin.models.ensembles import cosine_rate
from al_plugin.models.restore import member_log_probs, members, model_signals
from al_plugin.models.split_head import SplitHead
from al_plugin.rounds.provide import Sampling
from al_plugin.rounds.score import score
from al_plugin.rounds.train import train
from al_plugin.strategies import registry
from al_plugin.tracking import served

COMMITTEES = ("ensemble", "bootstrap_ensemble", "snapshot_ensemble", "diversity_ensemble", "split_head")


def trained(name, *, labels=60, epochs=20):
    """A committee on 60 digits: pool, truth, evaluation, Trained."""
    pool, truth, evaluation = digits_split(0)
    params = params_of("random", 0, 10)
    labeled = Labeled([str(i) for i in pool.ids[:labels]], truth[:labels])
    task = {"epochs": epochs, "batch_size": 32, "lr": 0.005, "weight_decay": 0.01, "dynamics_every": 5}
    task |= {"threads": 1, "seed": 7}
    strategy = registry.load("train", name)
    return pool, evaluation, labeled, train(pool, labeled, evaluation, params.campaign.classes, strategy, task, {}, 1)


@pytest.mark.parametrize("name", COMMITTEES)
def test_members_differ_and_their_mean_is_no_worse(name):
    """NLL of the mean prediction <= mean NLL of the members (Jensen), on any data; no two members agree everywhere."""
    _, evaluation, _, result = trained(name)
    networks = members(result.card, result.weights)
    assert len(networks) == result.card["network"]["members"] >= 4
    by_member = member_log_probs(result.card, networks, evaluation.features)
    mean, _ = model_signals(result.card, result.weights, evaluation.features)
    rows = np.arange(len(evaluation.labels))
    nll = -by_member[:, rows, evaluation.labels].astype(np.float64)
    assert -mean[rows, evaluation.labels].mean() <= nll.mean() + 1e-6
    np.testing.assert_allclose(np.exp(mean), np.exp(by_member).mean(axis=0), atol=1e-6)
    for one, other in pairwise(by_member):
        assert (one.argmax(axis=1) != other.argmax(axis=1)).any()


@pytest.mark.parametrize("name", COMMITTEES)
def test_disagreement_reaches_the_scores(name):
    """The members are the posterior samples that bald scores, whatever score.passes says."""
    pool, _, labeled, result = trained(name, epochs=5)
    model = Model(result.card, result.weights)
    bald, top = registry.load("score", "bald"), registry.load("select", "top")
    scored = score(model, Inputs(pool, labeled), Sampling(0, passes=2), bald, top, {})
    expected = mutual_information(member_log_probs(result.card, members(result.card, result.weights), pool.features))
    found = np.array(scored.tables["part-00000"].column("score"))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.max() > 1e-3


def test_first_member_is_the_single_network():
    """An ensemble's first member is the network that `single` would train."""
    ensemble, single = registry.load("train", "ensemble"), registry.load("train", "single")
    one = single.function(_task(), dropout=0.0).weights
    first = members_of(ensemble.function(_task(), members=2))[0]
    assert {name: array.tobytes() for name, array in one.items()} == {n: a.tobytes() for n, a in first.items()}


def members_of(fitted):
    return members({"network": fitted.network}, fitted.weights)


def test_snapshot_schedule():
    """lr starts each cycle at its full value, falls, and ends at ½ lr (1 + cos(π (n - 1) / n)), not at 0."""
    rates = [cosine_rate(epoch, 40, 0.1) for epoch in range(200)]
    assert rates[::40] == [0.1] * 5
    assert all(later < earlier for earlier, later in pairwise(rates[:40]))
    assert rates[39] == pytest.approx(0.1 * 0.5 * (1 + np.cos(np.pi * 39 / 40)))
    assert 1.5e-4 < rates[39] < 1.6e-4


def test_snapshots_with_fewer_epochs_than_members():
    """Three epochs give three snapshots, the last epoch among them."""
    fitted = registry.load("train", "snapshot_ensemble").function(_task(epochs=3), members=5)
    assert fitted.network["members"] == 3
    assert len(members_of(fitted)) == 3


def test_members_part_after_the_base():
    """With base_share 1 nothing is left to train: all members are the base. Below 1 they differ."""
    diversity = registry.load("train", "diversity_ensemble").function
    same = members_of(diversity(_task(), members=3, base_share=1.0))
    assert all((one["head.weight"] == same[0]["head.weight"]).all() for one in same)
    apart = members_of(diversity(_task(), members=3, base_share=0.4))
    assert not np.array_equal(apart[0]["head.weight"], apart[1]["head.weight"])


def test_split_head_is_trunk_and_head():
    """Each restored member gives what that head gives on the shared trunk."""
    fitted = registry.load("train", "split_head").function(_task(), members=3, hidden=6)
    card = {"network": fitted.network}
    by_member = member_log_probs(card, members(card, fitted.weights), _task().pool_features)
    trunk = {n: torch.from_numpy(a) for n, a in fitted.weights.items()}
    x = (torch.from_numpy(_task().pool_features) - trunk["mean"]) / trunk["scale"]
    hidden = torch.relu(x @ trunk["trunk.0.weight"].T + trunk["trunk.0.bias"])
    for k in range(3):
        logits = hidden @ trunk[f"heads.{k}.weight"].T + trunk[f"heads.{k}.bias"]
        np.testing.assert_allclose(by_member[k], torch.log_softmax(logits, 1).numpy(), atol=1e-5)


def test_a_head_learns_only_from_its_own_samples():
    """The loss of a head has no gradient from samples it does not keep."""
    logits = torch.randn(2, 5, 3, requires_grad=True, generator=torch.Generator().manual_seed(0))
    kept = torch.tensor([[True, True, False, False, True], [False, True, True, False, False]])
    SplitHead.loss(logits, torch.tensor([0, 1, 2, 0, 1]), kept).backward()
    reached = logits.grad.abs().sum(dim=2) > 0
    assert torch.equal(reached, kept)


def test_bootstrap_members_miss_samples():
    """The resamples of members differ and repeat rows; the first member sees every sample."""
    fitted = registry.load("train", "bootstrap_ensemble").function(_task(), members=3)
    assert (fitted.forgetting.presented == _task().epochs).all()
    one, other = members_of(fitted)[1:]
    assert not np.array_equal(one["head.weight"], other["head.weight"])


@pytest.mark.parametrize("name", COMMITTEES)
def test_a_committee_is_served(name):
    """What MLflow serves is the mean prediction of the pipeline, bit for bit."""
    fitted = registry.load("train", name).function(_task())
    features = np.random.default_rng(0).normal(size=(1100, 4)).astype(np.float32)
    served_weights = {key: torch.from_numpy(array) for key, array in fitted.weights.items()}
    expected, _ = model_signals({"network": fitted.network}, fitted.weights, features)
    assert np.array_equal(served._log_probs(served_weights, dict(fitted.network), features), expected)
