"""Committees: their members differ, their mean is better than their members, and they flow through score."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from loop import digits_split, params_of

from al_plugin.checks.train import _task
from al_plugin.data.sets import Inputs, Labeled, Model
from al_plugin.math.committee import mutual_information
from al_plugin.models import forward as forwards
from al_plugin.models import rebuilt
from al_plugin.models.ensembles import cosine_rate, cycle_bounds, cyclic_rate
from al_plugin.models.forward import forward
from al_plugin.models.rebuilt import Networks, rebuild
from al_plugin.models.restore import member_log_probs, members, model_signals
from al_plugin.models.split_head import SplitHead
from al_plugin.models.task import Body
from al_plugin.rounds import score as scoring
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


@pytest.mark.parametrize("members", range(1, 9))
def test_cycles_part_the_epochs_evenly_and_each_ends_low(members):
    """As many cycles as members, equally long but for one epoch; a member is taken where the rate is lowest."""
    for epochs in range(1, 61):
        bounds = cycle_bounds(epochs, members)
        lengths = np.diff(bounds)
        assert (bounds[0], bounds[-1], len(lengths)) == (0, epochs, min(members, epochs))
        assert lengths.max() - lengths.min() <= 1
        rates = [cyclic_rate(epoch, bounds, 0.1) for epoch in range(epochs)]
        for start, end in pairwise(bounds):
            assert rates[start] == 0.1
            assert rates[end - 1] == min(rates[start:end])
            assert all(later < earlier for earlier, later in pairwise(rates[start:end]))
    assert cycle_bounds(30, 5) == [0, 6, 12, 18, 24, 30]
    assert cycle_bounds(20, 5) == [0, 4, 8, 12, 16, 20]


def test_an_uneven_number_of_epochs_gives_all_members():
    """Cycles of ⌈8 / 5⌉ epochs would give four, ⌈11 / 5⌉ a fourth and last that ends in the middle of its cycle."""
    for epochs in (8, 11):
        fitted = registry.load("train", "snapshot_ensemble").function(_task(epochs=epochs), members=5)
        assert fitted.network["members"] == 5
        assert len(members_of(fitted)) == 5


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


def plainly(card, networks, features):
    """Every network rebuilt by itself and run over all rows; the mean of its probabilities, float64."""
    found = [forward(rebuild(card, weights), features) for weights in networks]
    total = np.logaddexp.reduce([one.astype(np.float64) for one, _ in found])
    return np.stack([one for one, _ in found]), (total - np.log(len(found))).astype(np.float32), found[0][1]


@pytest.mark.parametrize("rows", [1, 1024, 2049])
@pytest.mark.parametrize("body", [Body("mlp"), Body("cnn", (1, 4, 4), 1)], ids=lambda body: body.name)
@pytest.mark.parametrize("name", COMMITTEES)
def test_one_module_for_all_members_changes_no_bit(name, body, rows, monkeypatch):
    """In blocks, and with the weights of each member loaded in turn, as if each had a module of its own."""
    monkeypatch.setattr(rebuilt, "_BLOCK", 1024)
    features = np.random.default_rng(0).normal(size=(rows, 16)).astype(np.float32)
    pool = features[np.arange(24) % rows]
    labels = np.arange(12) % 3
    task = replace(_task(epochs=2), features=pool[:12].copy(), labels=labels, pool_features=pool, body=body)
    fitted = registry.load("train", name).function(task)
    card = {"network": fitted.network}
    each, mean, embeddings = plainly(card, members(card, fitted.weights), features)
    networks = Networks(card, members(card, fitted.weights))
    for _ in range(2):
        for found, expected in zip(networks.both(features), (each, mean, embeddings), strict=True):
            assert found.dtype == np.float32
            assert np.array_equal(found, expected)
    assert np.array_equal(member_log_probs(card, members(card, fitted.weights), features), each)
    assert all(map(np.array_equal, model_signals(card, fitted.weights, features), (mean, embeddings)))


@pytest.mark.parametrize(
    ("score_by", "select_by"), [("bald", "top"), ("margin", "batch_bald"), ("bald", "kcenter_greedy")]
)
@pytest.mark.parametrize("temperature", [None, 1.7])
def test_the_mean_of_a_scored_committee_is_the_models_prediction(score_by, select_by, temperature, monkeypatch):
    """Taken from the posterior samples on the way or by itself: the same table and stored signals."""
    monkeypatch.setattr(scoring, "_BLOCK", 384)
    pool, _, labeled, result = trained("ensemble", epochs=3)
    card = {**result.card, "calibration_temperature": temperature}
    by = registry.load("score", score_by), registry.load("select", select_by)
    scored = score(Model(card, result.weights), Inputs(pool, labeled), Sampling(0), *by, {})
    # A block of 384 rows is another batch grid than 256: not bit for bit.
    log_probs, embeddings = model_signals(card, result.weights, pool.features)
    table, stored = scored.tables["part-00000"], scored.signals["part-00000"]
    np.testing.assert_allclose(np.array(table.column("confidence")), np.exp(log_probs.max(axis=1)), rtol=1e-4)
    assert table.column("predicted").to_pylist() == [card["classes"][c] for c in log_probs.argmax(axis=1)]
    for name, expected in (("log_probs", log_probs), ("embeddings", embeddings)):
        if name in stored:
            np.testing.assert_allclose(stored[name], expected, rtol=1e-3, atol=1e-4)


def test_members_run_once_per_block_where_both_are_wanted(monkeypatch):
    """Five members, three blocks: fifteen forward passes, and one module."""
    pool, _, labeled, result = trained("ensemble", epochs=3)
    passes, built = [], []
    plain, made = forwards.forward, rebuilt.rebuild
    monkeypatch.setattr(
        forwards, "forward", lambda model, rows, **how: passes.append(len(rows)) or plain(model, rows, **how)
    )
    monkeypatch.setattr(rebuilt, "rebuild", lambda *of: built.append(1) or made(*of))
    monkeypatch.setattr(scoring, "_BLOCK", 512)
    bald, top = registry.load("score", "bald"), registry.load("select", "top")
    score(Model(result.card, result.weights), Inputs(pool, labeled), Sampling(0), bald, top, {})
    assert passes == [512] * 10 + [174] * 5
    assert len(built) == 1


def test_a_score_that_wants_the_labelled_rows_too_has_them(monkeypatch):
    """Their prediction comes before the samples: they are gathered first."""
    monkeypatch.setattr(scoring, "_BLOCK", 512)
    pool, _, labeled, result = trained("ensemble", epochs=3)

    def both(mc_log_probs, log_probs, labeled_log_probs):
        assert labeled_log_probs.shape == (60, 10)
        assert mc_log_probs.shape[1:] == log_probs.shape
        return mc_log_probs.mean(axis=0).max(axis=1) + labeled_log_probs.sum()

    bald = registry.load("score", "bald")
    own = replace(bald, function=both, signals=("mc_log_probs", "log_probs", "labeled_log_probs"))
    top = registry.load("select", "top")
    scored = score(Model(result.card, result.weights), Inputs(pool, labeled), Sampling(0), own, top, {})
    each = member_log_probs(result.card, members(result.card, result.weights), pool.features)
    mean, _ = model_signals(result.card, result.weights, pool.features)
    expected = each.mean(axis=0).max(axis=1) + mean[pool.positions(labeled.sample_ids)].sum()
    np.testing.assert_allclose(np.array(scored.tables["part-00000"].column("score")), expected, rtol=1e-4)
