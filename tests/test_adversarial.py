"""Adversarial training: a discriminator that knows the labelled samples and never a label."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from al_plugin.checks.train import _task
from al_plugin.models.adversarial import VariationalAutoencoder, drawn, told_apart
from al_plugin.models.body import perceptron
from al_plugin.models.fit import fit, seeded
from al_plugin.models.minimax import Cosine, Reversal, negative_entropy
from al_plugin.models.network import new_network, settings_of, tensors_of, unlabeled_rows
from al_plugin.models.restore import model_signals
from al_plugin.models.task import TrainingTask
from al_plugin.strategies.train.adversarial import mal, vaal
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


def cosine_net() -> tuple[Cosine, torch.Tensor]:
    torch.manual_seed(1)
    return Cosine(perceptron(4, 3, hidden=6, dropout=0.0), temperature=0.5), torch.randn(8, 4)


def entropy_gradients(model: Cosine, inputs: torch.Tensor, *, reverse: bool) -> dict[str, torch.Tensor]:
    """Of the negative entropy, with and without the reversal."""
    model.zero_grad()
    if reverse:
        negative_entropy(model, inputs).backward()
    else:
        (-torch.distributions.Categorical(logits=model(inputs)).entropy().mean()).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


def test_the_reversal_flips_the_encoder_s_gradient_and_no_other():
    model, inputs = cosine_net()
    plain, flipped = (entropy_gradients(model, inputs, reverse=r) for r in (False, True))
    for name, gradient in plain.items():
        sign = 1 if name.startswith("head.") else -1
        torch.testing.assert_close(flipped[name], sign * gradient)
        assert gradient.abs().max() > 1e-3
    values = torch.randn(3, 2, requires_grad=True)
    reversed_values = Reversal.apply(values)
    assert torch.equal(reversed_values, values)
    reversed_values.backward(torch.arange(6.0).view(3, 2))
    assert torch.equal(values.grad, -torch.arange(6.0).view(3, 2))


@pytest.mark.parametrize(("part", "sign"), [("head", 1), ("trunk", -1)])
def test_the_head_raises_the_entropy_and_the_encoder_lowers_it(part, sign):
    """A small step of either side against the gradient of the loss."""
    model, inputs = cosine_net()
    before = -negative_entropy(model, inputs).item()
    entropy_gradients(model, inputs, reverse=True)
    with torch.no_grad():
        for parameter in getattr(model, part).parameters():
            parameter.sub_(0.01 * parameter.grad)
    assert sign * (-negative_entropy(model, inputs).item() - before) > 1e-5


def test_probabilities_are_the_softmax_of_cosines():
    fitted, task = mal(_task(), steps=1), _task()
    log_probs, embeddings = model_signals({"network": fitted.network}, fitted.weights, task.pool_features)
    w = {name: array.astype(np.float64) for name, array in fitted.weights.items()}
    hidden = np.maximum((task.pool_features - w["mean"]) / w["scale"] @ w["trunk.0.weight"].T + w["trunk.0.bias"], 0)
    unit = hidden / np.linalg.norm(hidden, axis=1, keepdims=True)
    logits = unit @ w["head.weight"].T / 0.05
    expected = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    np.testing.assert_allclose(log_probs, expected, atol=2e-4)
    np.testing.assert_allclose(embeddings, unit / 0.05, rtol=1e-4, atol=1e-4)
    assert set(w) == {"mean", "scale", "trunk.0.weight", "trunk.0.bias", "head.weight"}


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_without_the_entropy_it_is_plain_cross_entropy_training(dropout):
    task = _task()
    with seeded(task.seed):
        model = Cosine(new_network(task, hidden=128, dropout=dropout), temperature=0.05)
        fit(model, *tensors_of(task), settings_of(task))
    found = mal(task, dropout=dropout, entropy_weight=0.0, steps=1).weights
    assert {k: v.tobytes() for k, v in found.items()} == {k: v.numpy().tobytes() for k, v in model.state_dict().items()}
    other = mal(task, dropout=dropout, entropy_weight=0.1, steps=1).weights
    assert any(other[name].tobytes() != found[name].tobytes() for name in found)


def test_the_discriminator_leaves_the_encoder_alone():
    short, long = mal(_task(), steps=1), mal(_task(), steps=30)
    assert {k: v.tobytes() for k, v in short.weights.items()} == {k: v.tobytes() for k, v in long.weights.items()}
    assert not np.array_equal(short.pool_signals["discriminator"], long.pool_signals["discriminator"])


def test_minimax_discriminator_is_lowest_on_the_blob_without_labels():
    """With and without the entropy term, which leaves a discriminator on features."""
    task, other_side = gaussian_task(shift=6.0), np.arange(240) >= 120
    for weight in (0.0, 0.1):
        found = mal(task, entropy_weight=weight).pool_signals["discriminator"]
        assert roc_auc_score(~other_side, found) > 0.98
        assert other_side[np.argsort(found)[:100]].all()


def test_minimax_without_unlabelled_samples_is_cross_entropy_and_knows_nothing():
    task = gaussian_task(shift=0.0)
    task = replace(task, pool_features=task.features)
    alone, without = mal(task, steps=1), mal(task, entropy_weight=0.0, steps=1)
    assert {k: v.tobytes() for k, v in alone.weights.items()} == {k: v.tobytes() for k, v in without.weights.items()}
    assert (alone.pool_signals["discriminator"] == 0.5).all()


def test_one_class_and_dead_units_stay_finite():
    """A hidden layer of one unit is all zero for some samples: no direction, so no division by zero."""
    task = replace(gaussian_task(shift=1.0), labels=np.zeros(LABELED, dtype=np.int64), epochs=20, lr=0.1)
    fitted = mal(task, hidden=1, dropout=0.5, entropy_weight=5.0, steps=5)
    assert all(np.isfinite(array).all() for array in fitted.weights.values())
    assert np.isfinite(fitted.pool_signals["discriminator"]).all()
