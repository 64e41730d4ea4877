"""Adversarial training: a discriminator that knows the labelled samples and never a label."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from al_plugin.checks.train import _task
from al_plugin.models.adversarial import VariationalAutoencoder, drawn, told_apart, unlabeled_rows
from al_plugin.models.task import TrainingTask
from al_plugin.strategies.train.adversarial import vaal
from al_plugin.strategies.train.single import single

LABELED = 40


def gaussian_task(*, shift: float, seed: int = 0) -> TrainingTask:
    """40 labelled of 240 samples; the last 120 of the pool lie ``shift`` away in each of 4 features."""
    rng = np.random.default_rng(seed)
    pool = rng.normal(size=(240, 4)).astype(np.float32)
    pool[120:] += shift
    labels = rng.integers(3, size=LABELED)
    return TrainingTask(pool[:LABELED].copy(), labels, pool, 3, 3, 16, 0.01, 0.01, 1, 1, seed)


def given(task: TrainingTask, **knobs: float) -> np.ndarray:
    return vaal(task, **knobs).pool_signals["discriminator"]


def test_the_discriminator_is_lowest_on_the_blob_without_labels():
    """Labelled 1, unlabelled 0: a discriminator trained to 1 on both (a peer's) or read upside down fails."""
    found = given(gaussian_task(shift=6.0))
    unlabeled_side = np.arange(240) >= 120
    assert found.dtype == np.float64
    assert found.shape == (240,)
    assert roc_auc_score(~unlabeled_side, found) > 0.99
    assert unlabeled_side[np.argsort(found)[:100]].all()
    assert found[:LABELED].mean() > 0.5 > found[120:].mean()


def test_one_distribution_is_not_told_apart():
    """D stays near 0.5, and which half of the pool is queried is chance."""
    shares = []
    for seed in range(3):
        found = given(gaussian_task(shift=0.0, seed=seed))
        assert abs(found[LABELED:].mean() - 0.5) < 0.15
        shares.append(float((LABELED + np.argsort(found[LABELED:])[:60] >= 120).mean()))
    # 120 of 200 lie in the second half.
    assert abs(np.mean(shares) - 0.6) < 0.12


def test_labels_are_never_read():
    task = gaussian_task(shift=1.0)
    permuted = replace(task, labels=(task.labels + 1) % 3)
    assert given(task, steps=50).tobytes() == given(permuted, steps=50).tobytes()
    assert given(task, steps=50).tobytes() != given(replace(task, seed=1), steps=50).tobytes()


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_the_task_network_is_that_of_single(dropout):
    plain, beside = single(_task(), dropout=dropout), vaal(_task(), dropout=dropout, steps=3)
    assert {k: v.tobytes() for k, v in beside.weights.items()} == {k: v.tobytes() for k, v in plain.weights.items()}
    assert beside.network == plain.network
    assert beside.curve == plain.curve


def test_exact_copies_of_labelled_samples_are_not_unlabelled():
    task = gaussian_task(shift=0.0)
    pool = task.pool_features.copy()
    pool[200] = pool[3]
    assert set(range(240)) - set(unlabeled_rows(replace(task, pool_features=pool))) == {*range(LABELED), 200}
    everything = replace(task, pool_features=task.features)
    assert (given(everything) == 0.5).all()


def test_cost_is_squared_error_and_the_kl_of_torch():
    torch.manual_seed(0)
    model, inputs = VariationalAutoencoder(5, 3), torch.randn(7, 5)
    mean, log_variance = model.encode(inputs)
    code = drawn(mean, log_variance)
    q = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum()
    squares = (inputs - model.decoder(code)).square().sum()
    expected = (squares / 2 + 3 * kl) / (7 * 5)
    torch.testing.assert_close(model.cost(inputs, code, mean, log_variance, 3.0), expected)


def test_labelled_is_the_target_one():
    def judge(inputs: torch.Tensor) -> torch.Tensor:
        return inputs

    high, low = torch.full((4, 1), 50.0), torch.full((6, 1), -50.0)
    assert told_apart(judge, high, low).item() < 1e-6
    assert told_apart(judge, low, high).item() == pytest.approx(50)


def test_the_adversary_hides_the_difference():
    """An autoencoder that is made to fool leaves less to tell apart than one that is not."""
    task = gaussian_task(shift=2.0)
    inside = np.arange(240) < 120
    gap = [
        abs(float(np.subtract(*(given(task, adversary_weight=w)[side].mean() for side in (inside, ~inside)))))
        for w in (0.0, 30.0)
    ]
    assert gap[1] < gap[0] / 3
