"""The training loop agrees with torch's own optimiser class."""

import torch
from torch import nn

from al_plugin.models.body import perceptron
from al_plugin.models.fit import FitSettings, fit, seeded


def test_the_loop_takes_the_steps_of_torch_adamw() -> None:
    """Bit for bit the weights that `torch.optim.AdamW` gives with the same seed and order."""
    inputs = torch.randn(40, 5, generator=torch.Generator().manual_seed(1))
    targets = torch.randint(0, 3, (40,), generator=torch.Generator().manual_seed(2))
    settings = FitSettings(epochs=4, batch_size=16, lr=0.01, weight_decay=0.1, seed=7)

    with seeded(7):
        ours = perceptron(5, 3, hidden=8, dropout=0.3)
        fit(ours, inputs, targets, settings, on_presentation=lambda *_: None, on_epoch=lambda *_: None)

    with seeded(7):
        theirs = perceptron(5, 3, hidden=8, dropout=0.3)
        optimiser = torch.optim.AdamW(theirs.parameters(), lr=0.01, weight_decay=0.1, foreach=True)
        for _ in range(4):
            theirs.train()
            for positions in torch.randperm(40).split(16):
                optimiser.zero_grad()
                nn.functional.cross_entropy(theirs(inputs[positions]), targets[positions]).backward()
                optimiser.step()

    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[name]), name


def test_seeding_leaves_torch_as_it_was() -> None:
    """Neither the global generator nor the deterministic switch moves."""
    state, mode = torch.get_rng_state(), torch.get_deterministic_debug_mode()
    with seeded(3):
        torch.rand(5)
        assert torch.are_deterministic_algorithms_enabled()
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_deterministic_debug_mode() == mode


def test_epochs_and_presentations_are_reported() -> None:
    """Every labelled sample is presented once per epoch."""
    presented, epochs = torch.zeros(10), []
    with seeded(0):
        model = perceptron(2, 2, hidden=3, dropout=0.0)
        fit(
            model,
            torch.zeros(10, 2),
            torch.zeros(10, dtype=torch.long),
            FitSettings(epochs=3, batch_size=4, lr=0.1, weight_decay=0.0, seed=0),
            on_presentation=lambda positions, logits: presented.index_add_(0, positions, torch.ones(len(logits))),
            on_epoch=lambda epoch, loss: epochs.append((epoch, loss)),
        )
    assert presented.tolist() == [3.0] * 10
    assert [epoch for epoch, _ in epochs] == [0, 1, 2]
