"""Loss prediction: an order of losses that leaves the network alone where it should."""

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_digits

from al_plugin.checks.train import _task
from al_plugin.models.body import perceptron
from al_plugin.models.loss_prediction import WithLossModule, pair_loss
from al_plugin.models.restore import model_signals
from al_plugin.models.task import TrainingTask
from al_plugin.strategies.train.learned import loss_prediction
from al_plugin.strategies.train.single import single


def test_pair_loss_is_shift_invariant_symmetric_and_zero_when_ordered():
    true = torch.tensor([1.0, 5.0, 3.0, 2.0])
    predicted = torch.tensor([0.5, 2.0, -1.0, 0.0])
    value = pair_loss(predicted, true, 1.0)
    # Pairs (0, 3): sign -1, difference .5 -> 1.5; (1, 2): sign 1, difference 3 -> 0.
    assert value.item() == 0.75
    assert pair_loss(predicted + 4, true, 1.0).item() == 0.75
    assert pair_loss(predicted.flip(0), true.flip(0), 1.0).item() == 0.75
    assert pair_loss(true, true, 1.0).item() == 0
    assert pair_loss(torch.arange(4.0), torch.ones(4), 1.0).item() == 0
    assert pair_loss(predicted[:1], true[:1], 1.0).item() == 0


def test_detached_module_sends_no_gradient_to_the_trunk():
    torch.manual_seed(0)
    both = WithLossModule(perceptron(3, 2, hidden=4, dropout=0.2), torch.nn.Linear(4, 1))
    both(torch.randn(6, 3))
    both.predicted(detach=True).sum().backward()
    assert all(p.grad is None for p in both.network.parameters())
    assert both.module.weight.grad.abs().sum() > 0
    both.predicted(detach=False).sum().backward()
    assert both.network.trunk[0].weight.grad.abs().sum() > 0


def test_weights_without_the_module_are_those_of_single():
    plain, beside = single(_task()), loss_prediction(_task(), weight=0.0)
    for share in (0.0, 1.0):
        found = loss_prediction(_task(), weight=1.0, detach_share=share).weights
        same = all(np.array_equal(array, found[name]) for name, array in plain.weights.items())
        assert same == (share == 0.0)
    assert {k: v.tobytes() for k, v in beside.weights.items()} == {k: v.tobytes() for k, v in plain.weights.items()}


def test_predicted_loss_orders_training_samples_by_true_loss():
    x, y = load_digits(return_X_y=True)
    x, y = x.astype(np.float32), y.astype(np.int64)
    task = TrainingTask(x[:200], y[:200], x, 10, 10, 32, 0.005, 0.01, 0, 1, 3)
    fitted = loss_prediction(task)
    log_probs, _ = model_signals({"network": fitted.network}, fitted.weights, x)
    true = -log_probs[np.arange(len(y)), y]
    predicted = fitted.pool_signals["predicted_loss"]
    print("train", spearmanr(predicted[:200], true[:200])[0], "held out", spearmanr(predicted[200:], true[200:])[0])
    assert spearmanr(predicted[:200], true[:200])[0] > 0.2
