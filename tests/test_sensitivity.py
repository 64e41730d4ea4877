"""Changes of a network's output under small noise on its weights."""

import weakref
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from al_plugin.models import sensitivity
from al_plugin.models.body import perceptron
from al_plugin.models.sensitivity import _changed, output_deviations
from al_plugin.models.task import BATCH


@pytest.fixture
def model():
    torch.manual_seed(0)
    one = perceptron(5, 3, hidden=8, dropout=0.4)
    one.standardise(torch.randn(5), torch.rand(5) + 0.5)
    return one


INPUTS = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)


def test_no_noise_gives_zeros(model):
    found = output_deviations(model, INPUTS, 4, 0, relative=0.0)
    assert found.shape == (30, 12)
    assert found.dtype == np.float32
    assert not found.any()


@pytest.mark.parametrize("mode", [True, False])
def test_model_and_generators_stay_as_they_are(model, mode):
    """Weights bit for bit, mode, gradients and torch's and NumPy's global generators."""
    model.train(mode)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    kept = INPUTS.copy()
    output_deviations(model, INPUTS, 3, 1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert [module.training for module in model.modules()] == [mode] * len(list(model.modules()))
    assert all(weight.grad is None and weight.requires_grad for weight in model.parameters())
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002
    assert (kept == INPUTS).all()


def test_dropout_is_off(model):
    """In training mode the same numbers come out, and again."""
    model.train()
    first = output_deviations(model, INPUTS, 3, 1)
    assert first.tobytes() == output_deviations(model, INPUTS, 3, 1).tobytes()
    model.eval()
    assert first.tobytes() == output_deviations(model, INPUTS, 3, 1).tobytes()


def test_small_noise_is_linear_and_follows_the_derivative(model):
    """Half the noise gives half the change, and the change is the derivative along the noise."""
    one, half = (output_deviations(model, INPUTS, 3, 1, relative=r).astype(float) for r in (1e-4, 5e-5))
    assert np.abs(one - 2 * half).max() < 1e-3 * np.abs(one).max()
    model = model.double().eval()
    weights = {name: weight.detach() for name, weight in model.named_parameters()}
    noise = _changed(weights, 1e-4, torch.Generator().manual_seed(1))
    noise = {name: noise[name] - weights[name] for name in weights}

    def probabilities(values):
        return torch.func.functional_call(model, values, (torch.from_numpy(INPUTS).double(),)).softmax(dim=1)

    _, derivative = torch.func.jvp(probabilities, (weights,), (noise,))
    np.testing.assert_allclose(one[:, :3], derivative.numpy(), atol=2e-3 * np.abs(one).max())


def test_noise_is_relative_to_each_tensor(model):
    """Every weight tensor moves by `relative` of its own length; one of zeros stays."""
    weights = {name: weight.detach().double() for name, weight in model.named_parameters()}
    weights["head.bias"] = torch.zeros(3, dtype=torch.float64)
    changed = _changed(weights, 1e-3, torch.Generator().manual_seed(0))
    for name, weight in weights.items():
        assert float((changed[name] - weight).norm()) == pytest.approx(1e-3 * float(weight.norm()), rel=1e-9)


def test_first_passes_do_not_depend_on_their_number(model):
    many, few = output_deviations(model, INPUTS, 6, 3), output_deviations(model, INPUTS, 2, 3)
    assert few.tobytes() == np.ascontiguousarray(many[:, :6]).tobytes()
    assert not np.array_equal(few, output_deviations(model, INPUTS, 2, 4))


def test_changes_of_probabilities_sum_to_zero(model):
    found = output_deviations(model, INPUTS, 5, 0).reshape(30, 5, 3)
    assert np.abs(found.sum(axis=2)).max() < 1e-6 * np.abs(found).max()
    assert (np.abs(found).max(axis=(0, 2)) > 0).all()


def test_one_batch_of_the_pool_is_held_at_a_time(model, monkeypatch):
    """In float64 the pool would be up to eight times as large as it lies in memory."""
    batches, held = [], []

    def counting(model, tensors, networks, batch):
        batches.append(weakref.ref(batch))
        held.append(sum(one() is not None for one in batches))
        return np.zeros((len(batch), 1), dtype=np.float32)

    monkeypatch.setattr(sensitivity, "_deviations", counting)
    pool = np.zeros((4 * BATCH, 5), dtype=np.uint8)
    made = [len(one) for one in sensitivity._batches(pool[: BATCH + 1])]
    assert made == [BATCH, 1]
    assert len(output_deviations(model, pool, 1, 0)) == len(pool)
    assert max(held) == 1
    assert isinstance(sensitivity._batches(pool), Iterator)  # made when its turn comes, not before


def test_rows_stand_on_the_batch_grid(model):
    """A pool of more than one batch: the rows of the first batch are those of that batch alone."""
    pool = np.random.default_rng(1).normal(size=(BATCH + 7, 5)).astype(np.float32)
    whole = output_deviations(model, pool, 2, 0)
    assert whole.shape == (BATCH + 7, 6)
    assert whole[:BATCH].tobytes() == output_deviations(model, pool[:BATCH], 2, 0).tobytes()
    assert whole[BATCH:].tobytes() == output_deviations(model, pool[BATCH:], 2, 0).tobytes()
