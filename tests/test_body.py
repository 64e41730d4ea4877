"""Networks beyond the perceptron: convolutions, a linear model, the user's own module."""

import math
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import ROOT
from torch import nn

from al_plugin.errors import AlError
from al_plugin.math.moments import moments
from al_plugin.models.augment import Shift
from al_plugin.models.body import build, own
from al_plugin.models.fit import seeded
from al_plugin.models.forward import forward
from al_plugin.models.posterior import dropout_heads, mc_log_probs
from al_plugin.models.rebuilt import rebuild
from al_plugin.models.restore import model_signals
from al_plugin.models.task import Body, TrainingTask
from al_plugin.strategies.registry import load, names

SHAPE, CLASSES = (2, 8, 8), 3

OWN = '''
import torch
from torch import nn

class Net(nn.Module):
    """Convolution, batch norm, a head in the middle of the registration order."""
    def __init__(self, shape, classes):
        super().__init__()
        channels, height, width = shape
        self.conv = nn.Conv2d(channels, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.classify = nn.Linear(4 * (height - 2) * (width - 2), classes)
    def forward(self, images):
        return self.classify(self.norm(self.conv(images)).relu().flatten(1))

class LogProbs(Net):
    def forward(self, images):
        return super().forward(images).log_softmax(1)

class Narrow(Net):
    def __init__(self, shape, classes):
        super().__init__(shape, classes - 1)

class Headless(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.conv = nn.Conv2d(shape[0], classes, shape[1:])
    def forward(self, images):
        return self.conv(images).flatten(1)

class Flat(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.layer = nn.Linear(7, classes)
    def forward(self, images):
        return self.layer(images)

def bare(shape, classes):
    return nn.Linear(shape[0], classes)

def nothing(shape, classes):
    return None

constant = 3
'''


@pytest.fixture
def repository(tmp_path, monkeypatch):
    (tmp_path / "own_networks.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield
    sys.modules.pop("own_networks", None)


def images(n: int, seed: int = 0) -> np.ndarray:
    """uint8 images of three kinds: bright top, bright left, dark."""
    rng = np.random.default_rng(seed)
    out = rng.integers(0, 60, size=(n, *SHAPE))
    kinds = np.arange(n) % CLASSES
    out[kinds == 0, :, :4] += 150
    out[kinds == 1, :, :, :4] += 150
    return out.astype(np.uint8).reshape(n, -1)


def task_of(body: Body, **changes) -> TrainingTask:
    pool = images(24)
    labels = (np.arange(24) % CLASSES).astype(np.int64)
    base = TrainingTask(pool[:12].copy(), labels[:12], pool, CLASSES, 4, 5, 0.01, 0.01, 2, 1, 1, body=body)
    return replace(base, **changes)


BODIES = [Body("cnn", SHAPE, 2), Body("cnn", SHAPE, 2, "shift_flip"), Body("linear", SHAPE, 2), Body("mlp", SHAPE, 1)]
OWN_BODY = Body("own_networks:Net", SHAPE, 2)


@pytest.mark.parametrize("name", sorted(set(names("train")) - {"estimator", "forest"}))
@pytest.mark.parametrize("body", [*BODIES, OWN_BODY], ids=lambda body: f"{body.name}-{body.augment}")
def test_every_training_method_takes_every_network_and_restores_it(name, body, repository):
    strategy = load("train", name)
    task = task_of(body)
    if name == "swag" and body is OWN_BODY:
        with pytest.raises(AlError, match="batch normalisation, whose statistics"):
            strategy.function(task)
        return
    fitted = strategy.function(task)
    again = strategy.function(task)
    assert {k: v.tobytes() for k, v in fitted.weights.items()} == {k: v.tobytes() for k, v in again.weights.items()}
    log_probs, embeddings = model_signals({"network": fitted.network}, fitted.weights, task.pool_features)
    assert log_probs.shape == (24, CLASSES)
    assert embeddings.shape[0] == 24
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("body", [*BODIES, OWN_BODY], ids=lambda body: f"{body.name}-{body.augment}")
def test_every_network_learns(body, repository):
    task = task_of(body, epochs=40, dynamics_every=0)
    fitted = load("train", "single").function(task)
    log_probs, _ = model_signals({"network": fitted.network}, fitted.weights, images(30, seed=1))
    assert (log_probs.argmax(axis=1) == np.arange(30) % CLASSES).mean() > 0.9


def test_the_own_module_s_logits_are_its_own(repository):
    import own_networks

    with seeded(3):
        theirs = own_networks.Net(SHAPE, CLASSES).eval()
    with seeded(3):
        network = own("own_networks:Net", SHAPE, CLASSES, dropout=0.5)
    rows = torch.randn(5, math.prod(SHAPE))
    network.eval()
    with torch.no_grad():
        np.testing.assert_allclose(network(rows), theirs(rows.reshape(-1, *SHAPE)), atol=1e-6)
        log_probs, embeddings = forward(network, rows.numpy())
        expected = theirs.norm(theirs.conv(rows.reshape(-1, *SHAPE))).relu().flatten(1)
    np.testing.assert_allclose(embeddings, expected, atol=1e-6)
    np.testing.assert_allclose(log_probs, theirs(rows.reshape(-1, *SHAPE)).log_softmax(1).detach(), atol=1e-5)


def test_a_bare_linear_layer_is_a_network_whose_embedding_is_its_input(repository):
    network = own("own_networks:bare", (5,), CLASSES, dropout=0.0)
    rows = torch.randn(4, 5)
    assert torch.equal(network.features(rows), rows)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("own_networks:Narrow", r"shape \(2, 2\) for 2 samples, not \(2, 3\); .* campaign.classes"),
        ("own_networks:LogProbs", "no linear head"),
        ("own_networks:Headless", "no linear head"),
        ("own_networks:Flat", r"cannot take samples of shape \(2, 8, 8\)"),
        ("own_networks:nothing", "made a NoneType, not a torch.nn.Module"),
        ("own_networks:constant", "is not a class or function"),
        ("own_networks:absent", "cannot be imported"),
        ("absent_module:Net", "cannot be imported"),
    ],
)
def test_what_is_no_network_is_refused_in_one_line(name, found, repository):
    with pytest.raises(AlError, match=found) as raised:
        build(Body(name, SHAPE), math.prod(SHAPE), CLASSES, hidden=4, dropout=0.1)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (Body("cnn", (12,)), "cnn takes images"),
        (Body("cnn", (1, 3, 9)), "cnn takes images"),
        (Body("mlp", (12,), augment="shift"), "augment shift is for images"),
    ],
)
def test_a_body_that_does_not_fit_the_samples_is_refused(body, found):
    with pytest.raises(AlError, match=found):
        build(body, math.prod(body.shape), CLASSES, hidden=4, dropout=0.1)


def test_mc_dropout_by_folded_heads_is_the_naive_loop_with_those_masks():
    fitted = load("train", "single").function(task_of(BODIES[0]), dropout=0.5)
    card = {"network": fitted.network}
    rows = images(7, seed=2)
    heads = dropout_heads(card, fitted.weights, 6, np.random.default_rng(0))
    folded = mc_log_probs(model_signals(card, fitted.weights, rows)[1], heads)
    model = rebuild(card, fitted.weights).eval()
    masks = (np.random.default_rng(0).random((6, 128)) >= 0.5) / 0.5
    for t, mask in enumerate(masks):
        hook = model.head.register_forward_pre_hook(lambda _layer, args, m=mask: (args[0] * torch.tensor(m).float(),))
        naive = model(torch.from_numpy(rows)).log_softmax(1).detach().numpy()
        hook.remove()
        np.testing.assert_allclose(folded[t], naive, atol=1e-5)


def test_moments_of_groups_are_those_of_the_channels():
    rows = images(10)
    mean, deviation = moments(rows, 2)
    by_channel = rows.reshape(10, 2, 64)
    for channel in range(2):
        values = by_channel[:, channel].astype(float)
        assert mean[channel * 64 : (channel + 1) * 64] == pytest.approx(values.mean())
        assert deviation[channel * 64 : (channel + 1) * 64] == pytest.approx(values.std())
    np.testing.assert_array_equal(moments(rows, 128)[1], rows.astype(float).std(axis=0))


@pytest.mark.parametrize("flip", [False, True])
def test_augmentation_moves_whole_images_and_fills_with_the_mean(flip):
    shape = (1, 16, 8)
    rows = torch.arange(1.0, 129.0).reshape(1, -1).repeat(200, 1)
    with seeded(0):
        moved = Shift(shape, flip=flip)(rows).reshape(200, 16, 8)
    original = rows[0].reshape(16, 8)
    seen = set()
    for image in moved:
        matches = []
        for mirrored in (False, True):
            base = original.flip(1) if mirrored else original
            for dy in range(-2, 3):
                for dx in range(-1, 2):
                    expected = torch.zeros(16, 8)
                    ys, xs = slice(max(dy, 0), 16 + min(dy, 0)), slice(max(dx, 0), 8 + min(dx, 0))
                    expected[ys, xs] = base[slice(max(-dy, 0), 16 + min(-dy, 0)), slice(max(-dx, 0), 8 + min(-dx, 0))]
                    if torch.equal(image, expected):
                        matches.append((mirrored, dy, dx))
        assert len(matches) == 1
        seen.add(matches[0])
    assert {dy for _, dy, _ in seen} == set(range(-2, 3))
    assert {dx for _, _, dx in seen} == set(range(-1, 2))
    assert {mirrored for mirrored, _, _ in seen} == ({False, True} if flip else {False})


def test_augmentation_is_for_training_only():
    fitted = load("train", "single").function(task_of(BODIES[1]))
    plain = load("train", "single").function(task_of(BODIES[0]))
    assert any(fitted.weights[name].tobytes() != plain.weights[name].tobytes() for name in plain.weights)
    model = rebuild({"network": fitted.network}, fitted.weights)
    first, second = (forward(model, images(5))[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert isinstance(model.augment, nn.Identity)


@pytest.mark.parametrize("labels", [6, 11])
def test_batch_normalisation_never_meets_a_batch_of_one(labels, repository):
    task = task_of(OWN_BODY)
    fitted = load("train", "single").function(
        replace(task, features=task.features[:labels], labels=task.labels[:labels], batch_size=5)
    )
    assert (fitted.forgetting.presented == task.epochs).all()


@pytest.mark.parametrize(("labels", "batch_size"), [(1, 5), (6, 1)])
def test_batch_normalisation_of_one_sample_is_refused_in_one_line(labels, batch_size, repository):
    task = task_of(OWN_BODY)
    with pytest.raises(AlError, match="batch normalisation, which one sample cannot go through"):
        load("train", "single").function(
            replace(task, features=task.features[:labels], labels=task.labels[:labels], batch_size=batch_size)
        )


@pytest.mark.parametrize("size", [8, 12, 28, 31])
def test_the_network_of_the_documentation(size, tmp_path, monkeypatch):
    text = (ROOT / "docs" / "models.md").read_text()
    code = text.split("<!-- tested: network -->", 1)[1].split("```python\n", 1)[1].split("```", 1)[0]
    (tmp_path / "documented_networks.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    network = own("documented_networks:Net", (1, size, size), 5, dropout=0.1)
    assert network.eval()(torch.randn(3, size * size)).shape == (3, 5)
