"""Signals from features left out and from gradients of the first layer, against plain torch."""

import numpy as np
import pytest
import torch

from al_plugin.models.body import Network, perceptron
from al_plugin.models.forward import forward
from al_plugin.models.input_noise import dropped_labels, word_gradients
from al_plugin.models.task import BATCH

INPUTS = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
SIGNALS = [lambda model, inputs: dropped_labels(model, inputs, 3, 1), word_gradients]


@pytest.fixture
def model() -> Network:
    torch.manual_seed(0)
    one = perceptron(6, 3, hidden=8, dropout=0.4)
    one.standardise(torch.randn(6), torch.rand(6) + 0.5)
    return one


def gradients(model: Network, row: np.ndarray, label: int) -> torch.Tensor:
    """Autograd of the cross-entropy by the first layer's weight, (H, width)."""
    loss = torch.nn.functional.cross_entropy(model(torch.from_numpy(row[None]).double()), torch.tensor([label]))
    return torch.autograd.grad(loss, model.trunk[0].weight)[0]


def test_word_gradients_equal_autograd(model):
    """The longest column of the first layer's gradient, for every sample and label."""
    found = word_gradients(model, INPUTS)
    assert (found.shape, found.dtype) == ((40, 3), np.float32)
    exact = model.double().eval()
    wanted = [[float(gradients(exact, row, label).norm(dim=0).max()) for label in range(3)] for row in INPUTS]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_maximum_over_words_and_expectation_over_labels_commute(model):
    """Zhang et al. take max over words of the expected norm; every column of this network has the same shape."""
    p = np.exp(forward(model, INPUTS)[0].astype(float))
    ours = (p * word_gradients(model, INPUTS)).sum(axis=1)
    exact = model.double().eval()
    for row, probs, score in zip(INPUTS, p, ours, strict=True):
        expected = sum(q * gradients(exact, row, label).norm(dim=0) for label, q in enumerate(probs))
        assert score == pytest.approx(float(expected.max()), rel=1e-5)


def test_the_label_that_is_certain_changes_nothing(model):
    with torch.no_grad():
        model.head.bias[1] = 200.0
    found = word_gradients(model, INPUTS)
    assert found[:, 1].max() < 1e-12
    assert found[:, [0, 2]].min() > 1e-3


def test_nothing_dropped_is_the_prediction(model):
    """Rate 0: every pass predicts what the network predicts, so no sample is eligible for DropQuery."""
    found = dropped_labels(model, INPUTS, 4, 0, rate=0.0)
    assert (found.shape, found.dtype) == ((4, 40), np.int64)
    assert (found == forward(model, INPUTS)[0].argmax(axis=1)).all()


def test_dropped_features_count_as_the_mean(model):
    """Nearly all dropped: the standardised input is 0, so every sample gets the class of the mean."""
    found = dropped_labels(model, INPUTS, 3, 0, rate=1 - 1e-7)
    at_mean = forward(model, model.mean.numpy()[None])[0].argmax()
    assert (found == at_mean).all()


def test_kept_features_are_scaled_and_samples_have_their_own_masks(model):
    """By the definition, with the masks drawn again; rate .75 is the paper's."""
    found = dropped_labels(model, INPUTS, 5, 7)
    exact, standard = model.eval(), (INPUTS - model.mean.numpy()) / model.scale.numpy()
    for t in range(5):
        kept = np.random.default_rng([7, t]).random(INPUTS.shape, dtype=np.float32) >= 0.75
        assert len(np.unique(kept, axis=0)) > 10
        words = torch.from_numpy(np.where(kept, standard * 4, 0).astype(np.float32))
        assert (found[t] == exact.head(exact.trunk(words)).argmax(dim=1).numpy()).all()


def test_more_dropout_changes_more(model):
    """Mean share of changed predictions by rate; each step is well above its standard error (0.5 %)."""
    pool = np.random.default_rng(2).normal(size=(500, 6)).astype(np.float32) * 3
    plain = forward(model, pool)[0].argmax(axis=1)
    shares = [(dropped_labels(model, pool, 20, 3, rate=rate) != plain).mean() for rate in (0.0, 0.1, 0.3, 0.5, 0.75)]
    assert shares[0] == 0
    assert (np.diff(shares) > 0.02).all()


def test_passes_and_rows_do_not_depend_on_how_many_follow(model):
    """More passes or more rows leave the first ones as they are, across the batch grid too."""
    pool = np.random.default_rng(1).normal(size=(BATCH + 9, 6)).astype(np.float32)
    whole = dropped_labels(model, pool, 4, 0)
    assert (whole[:2] == dropped_labels(model, pool, 2, 0)).all()
    assert (whole[:, :BATCH] == dropped_labels(model, pool[:BATCH], 4, 0)).all()
    assert not (whole == dropped_labels(model, pool, 4, 1)).all()
    slopes = word_gradients(model, pool)
    assert slopes[:BATCH].tobytes() == word_gradients(model, pool[:BATCH]).tobytes()
    assert slopes[BATCH:].tobytes() == word_gradients(model, pool[BATCH:]).tobytes()


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("mode", [True, False])
def test_model_and_generators_stay_as_they_are(model, signal, mode):
    """Weights bit for bit, mode, gradients and the global generators; dropout of the network is off."""
    model.train(mode)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = signal(model, INPUTS)
    assert first.tobytes() == signal(model, INPUTS).tobytes()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert [module.training for module in model.modules()] == [mode] * len(list(model.modules()))
    assert all(weight.grad is None and weight.requires_grad for weight in model.parameters())
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002
    assert first.tobytes() == signal(model.train(not mode), INPUTS).tobytes()
