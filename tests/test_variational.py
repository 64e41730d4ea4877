"""Bayes by Backprop against closed forms."""

import numpy as np
import pytest
import torch

from al_plugin.models.variational import Prior, Variational, batch_shares, gaussian_kl, log_normal


def test_sampled_kl_is_the_closed_form():
    torch.manual_seed(0)
    mean, scale, n = torch.tensor(0.7).double(), torch.tensor(0.3).double(), 20000
    w = mean + scale * torch.randn(n, dtype=torch.float64)
    draws = log_normal(w, mean, scale) - log_normal(w, torch.zeros(()), torch.tensor(0.8))
    assert abs(draws.mean() - gaussian_kl(mean, scale, 0.8)) < 3 * draws.std() / n**0.5


@pytest.mark.parametrize("kind", ["uniform", "halving"])
@pytest.mark.parametrize("batches", [1, 3, 2000])
def test_shares_sum_to_one(kind, batches):
    shares = batch_shares(batches, kind)
    assert sum(shares) == pytest.approx(1)
    if kind == "halving" and batches == 3:
        assert shares == pytest.approx([4 / 7, 2 / 7, 1 / 7])


def test_no_scale_is_the_deterministic_network():
    torch.manual_seed(0)
    net = torch.nn.Linear(3, 2)
    model, x = Variational(net, Prior(0.5, 1.0, 0.1), -40.0), torch.randn(5, 3)
    assert torch.equal(model(x), net(x))
    wide = Variational(net, Prior(0.5, 1.0, 0.1), 0.0)
    assert not torch.allclose(wide(x), net(x))


def test_gradients_are_finite_differences():
    torch.manual_seed(0)
    model = Variational(torch.nn.Linear(2, 2).double(), Prior(0.25, 1.0, 0.1), -1.0)
    x = torch.randn(4, 2, dtype=torch.float64)

    def free_energy():
        torch.manual_seed(5)
        return (model(x) ** 2).sum() + model.divergence

    free_energy().backward()
    for p in model.parameters():
        flat = p.data.view(-1)
        for i in range(len(flat)):
            kept = flat[i].item()
            flat[i] = kept + 1e-5
            above = free_energy().item()
            flat[i] = kept - 1e-5
            below = free_energy().item()
            flat[i] = kept
            assert p.grad.view(-1)[i].item() == pytest.approx((above - below) / 2e-5, rel=1e-4, abs=1e-5)


def test_conjugate_linear_regression():
    """One weight, unit noise, N(0, 1) prior: posterior N(sum xy / (1 + sum xx), 1 / (1 + sum xx))."""
    torch.manual_seed(0)
    x = torch.linspace(-1, 1, 30)[:, None]
    y = 0.8 * x + 0.3 * torch.randn_like(x)
    net = torch.nn.Linear(1, 1, bias=False)
    model = Variational(net, Prior(0.5, 1.0, 1.0), -1.0)
    precision = 1 + (x * x).sum().item()
    kept = []
    for step in range(3000):
        value = 0.5 * ((model(x) - y) ** 2).sum() + model.divergence
        model.zero_grad()
        value.backward()
        with torch.no_grad():
            for p in model.parameters():
                p.sub_(0.005 * p.grad)
        if step >= 1000:
            kept.append((net.weight.item(), torch.nn.functional.softplus(model.rho[0]).item()))
    mean, scale = np.mean(kept, axis=0)
    assert mean == pytest.approx((x * y).sum().item() / precision, abs=0.03)
    assert scale**2 == pytest.approx(1 / precision, rel=0.1)
