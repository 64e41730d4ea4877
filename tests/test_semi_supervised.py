"""Pseudo-labels and consistency: what is trained on, what is not, and when nothing changes."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from loop import digits_split, params_of

from al_plugin.checks.train import _task
from al_plugin.data.sets import Inputs, Labeled, Model
from al_plugin.models.consistency import consistency_loss, strong_view
from al_plugin.models.pseudo_labels import certain_positions
from al_plugin.models.restore import model_signals
from al_plugin.rounds.provide import Sampling
from al_plugin.rounds.score import score
from al_plugin.rounds.train import train
from al_plugin.strategies import registry
from al_plugin.strategies.train.semi_supervised import ceal, consistency
from al_plugin.strategies.train.single import single


def same(one, other):
    assert one.weights.keys() == other.weights.keys()
    return all(array.tobytes() == other.weights[name].tobytes() for name, array in one.weights.items())


LONG = _task(epochs=40, lr=0.05)


def test_threshold_zero_is_single():
    plain = single(LONG)
    assert same(ceal(LONG, threshold=0.0), plain)
    assert same(ceal(replace(LONG, round=20), threshold=0.05, decay=0.0033), plain)
    assert not same(ceal(LONG, threshold=1.0), plain)


def test_pseudo_labelled_are_the_certain_rows_that_are_not_labelled():
    plain = single(LONG)
    log_probs, _ = model_signals({"network": plain.network}, plain.weights, LONG.pool_features)
    wide = log_probs.astype(np.float64)
    entropies = -(np.exp(wide) * wide).sum(axis=1)
    threshold = float(np.median(entropies[12:]))
    labelled = {tuple(row) for row in LONG.features}
    expected = [
        i for i, row in enumerate(LONG.pool_features) if entropies[i] < threshold and tuple(row) not in labelled
    ]
    assert 0 < len(expected) < 12
    assert ceal(LONG, threshold=threshold, decay=0.0).pseudo_positions.tolist() == expected
    decayed = ceal(replace(LONG, round=3), threshold=threshold + 3 * 0.125, decay=0.125)
    assert decayed.pseudo_positions.tolist() == expected


def test_pseudo_set_grows_with_the_threshold():
    log_probs = np.log(np.random.default_rng(0).dirichlet(np.full(4, 0.2), size=200)).clip(-80)
    sets = [set(certain_positions(log_probs, t).tolist()) for t in (0.0, 0.01, 0.1, 0.5, 2.0)]
    assert all(small <= large for small, large in itertools.pairwise(sets))
    assert sets[0] == set()
    assert len(sets[-1]) == 200


def test_dynamics_count_labelled_samples_only():
    fitted = ceal(LONG, threshold=2.0, fine_tune_share=0.25)
    assert len(fitted.pseudo_positions) > 0
    assert fitted.forgetting.presented.tolist() == [50] * 12
    assert len(fitted.curve["loss"]) == 40


def test_pseudo_labels_are_no_labels_and_stay_candidates():
    """The round reports as many labels as there are, and the next query may ask for pseudo-labelled samples."""
    pool, truth, evaluation = digits_split(0)
    labeled = Labeled([str(i) for i in pool.ids[:60]], truth[:60])
    task = {"epochs": 20, "batch_size": 32, "lr": 0.005, "weight_decay": 0.01, "dynamics_every": 5}
    task |= {"threads": 1, "seed": 7}
    classes = params_of("random", 0, 10).campaign.classes
    strategy = registry.load("train", "ceal")
    result = train(pool, labeled, evaluation, classes, strategy, task, {"threshold": 3.0}, 1)
    assert result.metrics["labels"] == 60 == len(result.forgetting)
    assert result.metrics["pseudo_labels"] == len(pool) - 60
    assert result.dynamics.column("sample_id").to_pylist() == list(pool.ids)
    margin, top = registry.load("score", "margin"), registry.load("select", "top")
    scored = score(Model(result.card, result.weights), Inputs(pool, labeled), Sampling(0), margin, top, {})
    assert sum(table.num_rows for table in scored.tables.values()) == len(pool)


@pytest.mark.parametrize("knobs", [{"weight": 0.0}, {"confidence": 1.01}])
def test_consistency_without_its_loss_is_single(knobs):
    assert same(consistency(LONG, **knobs), single(LONG))
    assert not same(consistency(LONG, confidence=0.5), single(LONG))


LOGITS = 3 * torch.randn(50, 4, generator=torch.Generator().manual_seed(1))
OTHERS = torch.randn(50, 4, generator=torch.Generator().manual_seed(2))


def test_consistency_loss_is_the_formula():
    value, confident = consistency_loss(LOGITS, OTHERS, 0.9)
    q = np.exp(LOGITS.double().numpy())
    q /= q.sum(axis=1, keepdims=True)
    p = np.exp(OTHERS.double().numpy())
    p /= p.sum(axis=1, keepdims=True)
    terms = [-np.log(p[u, q[u].argmax()]) if q[u].max() >= 0.9 else 0.0 for u in range(50)]
    assert 0 < int(confident.sum()) < 50
    assert value.item() == pytest.approx(sum(terms) / 50, rel=1e-5)


def test_fewer_are_confident_above_a_higher_bar():
    shares = [consistency_loss(LOGITS, OTHERS, c)[1].float().mean().item() for c in (0, 0.5, 0.8, 0.95, 1.01)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 1
    assert shares[-1] == 0


def test_no_gradient_through_the_pseudo_label():
    weak, strong = LOGITS.clone().requires_grad_(), OTHERS.clone().requires_grad_()
    consistency_loss(weak, strong, 0.9)[0].backward()
    assert weak.grad is None
    assert strong.grad.abs().sum() > 0


def test_unconfident_samples_only_dilute():
    value = consistency_loss(LOGITS, OTHERS, 0.9)[0].item()
    flat = torch.zeros(25, 4)
    more = consistency_loss(torch.cat([LOGITS, flat]), torch.cat([OTHERS, OTHERS[:25]]), 0.9)[0].item()
    assert more == pytest.approx(value * 50 / 75, rel=1e-5)


def test_strong_view_drops_and_shakes():
    rows = torch.ones(400, 50)
    seen = strong_view(rows, 0.5, 0.2, torch.Generator().manual_seed(0))
    kept = seen[seen != 0]
    assert (seen == 0).float().mean().item() == pytest.approx(0.2, abs=0.015)
    assert kept.mean().item() == pytest.approx(1.0, abs=0.02)
    assert kept.std().item() == pytest.approx(0.5, abs=0.02)
    assert torch.equal(strong_view(rows, 0.0, 0.0, torch.Generator()), rows)


def test_consistency_without_a_row_left_in_the_pool_is_single():
    """Where all of the pool is a copy of held-out samples."""
    copies = np.repeat(LONG.pool_features[:1], 10, axis=0)
    task = replace(
        LONG,
        features=copies[:4],
        labels=np.array([0, 1, 2, 0]),
        pool_features=copies,
        held_features=copies[:2],
        held_labels=np.array([0, 1]),
        epochs=2,
    )
    found = consistency(task)
    assert found.curve["confident_share"] == [0.0, 0.0] == found.curve["largest_pseudo_class"]
    assert same(found, single(task))


def test_shares_of_confident_samples_are_in_the_curve():
    none, every = consistency(LONG, confidence=1.01).curve, consistency(LONG, confidence=0.0).curve
    assert none["confident_share"] == [0.0] * 40 == none["largest_pseudo_class"]
    assert every["confident_share"] == [1.0] * 40
    assert all(1 / 3 <= share <= 1 for share in every["largest_pseudo_class"])
