"""Options of the one training loop, each against a closed form or torch's own, and all at once in every method."""

import itertools
import json
import os
import pty
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import al, stage
from hypothesis import given
from hypothesis import strategies as st
from loop import digits_split
from torch import nn

from al_plugin import campaign, layout, store, terminal
from al_plugin.checks.train import _task
from al_plugin.config import read_params
from al_plugin.data.pool import Pool
from al_plugin.data.sets import Evaluation, Inputs, Labeled, Model
from al_plugin.errors import DataError, ParamsError, StrategyError
from al_plugin.math.holdout import stratified_holdout
from al_plugin.math.temperature import tempered
from al_plugin.models.ensembles import cosine_rate
from al_plugin.models.fit import FitSettings, Step, cross_entropy, fit, seeded
from al_plugin.models.held_out import held_out_nll
from al_plugin.models.network import balanced_weights, settings_of, unlabeled_rows
from al_plugin.models.optimiser import rate_share
from al_plugin.models.restore import model_signals, scorer
from al_plugin.models.split_head import SplitHead
from al_plugin.models.task import Options
from al_plugin.rounds.provide import Sampling, provide
from al_plugin.rounds.task import held_out
from al_plugin.rounds.train import train
from al_plugin.stage import load_params
from al_plugin.strategies import registry
from al_plugin.tracking import record, served

METHODS = [
    name
    for name in registry.names("train")
    if "dynamics_recorded" not in registry.load("train", name).card.expected_failures
]
OWN_RATE = ("snapshot_ensemble", "swag")
CLASSES = tuple("abc")


def settings_on(name, **changes):
    """Every option that the method takes."""
    found = {
        "epochs": 6, "batch_size": 5, "lr": 0.02, "weight_decay": 0.01, "dynamics_every": 2, "threads": 1, "seed": 1,
        "class_weights": "balanced", "schedule": "cosine", "warmup": 0.2, "clip_norm": 1.0,
        "holdout": 0.25, "patience": 2, "calibrate": True,
    }  # fmt: skip
    if name in OWN_RATE:
        found |= {"schedule": "constant", "warmup": 0.0, "patience": 0}
    return found | changes


def round_of(name, settings, *, labels=None):
    """One round on the contract's blobs, 12 of 24 labelled; noisy labels, so that a temperature is to be found."""
    task = _task()
    ids = np.array([f"s{i:02d}" for i in range(24)], dtype=object)
    chosen = np.where(np.arange(12) % 4 == 3, (task.labels + 1) % 3, task.labels) if labels is None else labels
    evaluation = Evaluation(task.pool_features, np.arange(24) % 3)
    labeled = Labeled([str(i) for i in ids[: len(chosen)]], chosen)
    pool = Pool(ids, task.pool_features, {"part-00000": 24})
    strategy = registry.load("train", name)
    return pool, labeled, train(pool, labeled, evaluation, CLASSES, strategy, settings, {}, 1)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_with_all_options(name):
    """Trains, repeats, holds out, calibrates, serves the calibrated probabilities, and scores with them."""
    pool, labeled, result = round_of(name, settings_on(name))
    _, _, again = round_of(name, settings_on(name))
    assert {n: a.tobytes() for n, a in again.weights.items()} == {n: a.tobytes() for n, a in result.weights.items()}
    assert all(np.isfinite(array).all() for array in result.weights.values())
    held = held_out(labeled.labels, 0.25, 1)
    presented = np.array(result.forgetting.column("presentations"))
    assert np.flatnonzero(presented == 0).tolist() == held.tolist()
    assert not np.array(result.forgetting.column("never_learned"))[held].any()
    assert result.metrics["held_out"] == len(held) == 3
    assert len(result.curve["held_out_nll"]) == len(result.curve["loss"]) == result.metrics["epochs"]
    json.dumps([result.metrics, result.card], allow_nan=False)

    temperature = result.card["calibration_temperature"]
    assert result.metrics["calibration"]["temperature"] == temperature != 1.0
    plain = {**result.card, "calibration_temperature": None}
    raw, embeddings = model_signals(plain, result.weights, pool.features)
    calibrated, same = model_signals(result.card, result.weights, pool.features)
    assert np.array_equal(calibrated, tempered(raw, temperature))
    assert np.array_equal(embeddings, same)
    assert np.array_equal(calibrated.argmax(axis=1), raw.argmax(axis=1))
    assert result.metrics["calibration"]["nll_after"] == result.metrics["eval"]["nll"]
    at = pool.positions([labeled.sample_ids[i] for i in held])
    nll = [-log_probs[at, labeled.labels[held]].mean() for log_probs in (raw, calibrated)]
    assert nll[1] < nll[0]

    provided = provide({"log_probs"}, Model(result.card, result.weights), Inputs(pool, labeled), Sampling(0)).signals
    own = scorer(result.card, result.weights)
    assert np.array_equal(provided["log_probs"], model_signals(*own, pool.features)[0])
    if result.card["network"]["kind"] != "cosine":
        as_served = served._log_probs(
            {k: torch.from_numpy(v) for k, v in result.weights.items() if not k.startswith("proxy.")},
            result.card["network"],
            pool.features,
        )
        assert np.array_equal(served._tempered(as_served, temperature), calibrated)


def test_the_proxy_has_its_own_temperature():
    _, _, result = round_of("proxy", settings_on("proxy"))
    card, _ = scorer(result.card, result.weights)
    assert card["calibration_temperature"] == result.card["network"]["proxy_calibration_temperature"]
    assert card["calibration_temperature"] != result.card["calibration_temperature"]
    bare = {"network": {"kind": "proxy", "proxy_hidden": 3}, "calibration_temperature": 2.0}
    assert scorer(bare, {})[0]["calibration_temperature"] is None, "the target's is not the proxy's"


def test_defaults_leave_card_and_metrics_alone():
    """Without options nothing about them is written: outputs of past rounds are rebuilt byte for byte."""
    base = {"epochs": 2, "batch_size": 5, "lr": 0.01, "weight_decay": 0.0, "dynamics_every": 1, "threads": 1, "seed": 1}
    off = {"class_weights": "none", "schedule": "constant", "warmup": 0.0, "clip_norm": 0.0, "holdout": 0.0}
    off |= {"patience": 0, "calibrate": False}
    _, _, one = round_of("single", base)
    _, _, other = round_of("single", base | off)
    assert one.card == other.card
    assert one.metrics == other.metrics
    assert "calibration_temperature" not in one.card
    assert not {"held_out", "epochs", "calibration"} & set(one.metrics)
    assert set(one.curve) == {"epoch", "loss", "train_accuracy"}


# class weights


def test_balanced_weights_closed_form():
    """n / (C_seen n_c), 0 for a class without a label, as scikit-learn's `balanced` on the classes there are."""
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.array([0] * 6 + [2] * 3 + [3])
    weights = balanced_weights(labels, 5)
    np.testing.assert_allclose(weights, [10 / 18, 0, 10 / 9, 10 / 3, 0], rtol=1e-6)
    np.testing.assert_allclose(
        weights[[0, 2, 3]], compute_class_weight("balanced", classes=np.array([0, 2, 3]), y=labels), rtol=1e-6
    )
    assert weights[labels].mean() == pytest.approx(1.0)


def test_balanced_loss_is_the_mean_over_classes():
    """Over the whole set: (1/C) Σ_c mean cross-entropy of class c; and batches average to it, whatever falls into them."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([0] * 12 + [1] * 3 + [2])
    logits = torch.randn(16, 3, generator=generator)
    losses = nn.functional.cross_entropy(logits, labels, reduction="none")
    expected = torch.stack([losses[labels == c].mean() for c in range(3)]).mean()
    weights = torch.from_numpy(balanced_weights(labels.numpy(), 3))

    def of(at):
        return cross_entropy(Step(0, 0, 1, at, labels[at], logits[at], weights))

    torch.testing.assert_close(of(torch.arange(16)), expected)
    batches = torch.randperm(16, generator=generator).split(4)
    torch.testing.assert_close(torch.stack([of(at) for at in batches]).mean(), expected)


def test_split_head_weighs_alike():
    """Heads that keep everything have the loss of one network, weighted."""
    logits = torch.randn(1, 8, 3, generator=torch.Generator().manual_seed(0)).expand(4, -1, -1)
    labels = torch.tensor([0, 0, 0, 0, 0, 1, 1, 2])
    weights = torch.from_numpy(balanced_weights(labels.numpy(), 3))
    found = SplitHead.loss(logits, labels, torch.ones(4, 8, dtype=torch.bool), weights)
    torch.testing.assert_close(found, cross_entropy(Step(0, 0, 1, torch.arange(8), labels, logits[0], weights)))


def test_balanced_training_finds_the_rare_class():
    """Digits, 0 against 9 rare ones: balanced weights raise the recall of rare classes. galaxy cuts by class."""
    pool, truth, evaluation = digits_split(0)
    rare = [np.flatnonzero(truth == c)[: 3 if c else 120] for c in range(10)]
    at = np.concatenate(rare)
    base = {
        "epochs": 8,
        "batch_size": 16,
        "lr": 0.005,
        "weight_decay": 0.01,
        "dynamics_every": 0,
        "threads": 1,
        "seed": 3,
    }
    labeled = Labeled([str(pool.ids[i]) for i in at], truth[at])
    scores = [
        train(pool, labeled, evaluation, tuple("0123456789"), registry.load("train", "single"), base | {"class_weights": kind}, {}, 1)
        .metrics["eval"]["balanced_accuracy"]
        for kind in ("none", "balanced")
    ]  # fmt: skip
    assert scores[1] > scores[0] + 0.05


# learning rate and gradient


def test_cosine_is_torch_s_cosine():
    """CosineAnnealingLR by steps, and linear's LinearLR."""
    steps, lr = 37, 0.3
    for schedule, make in (
        ("cosine", lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, steps)),
        ("linear", lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.0, steps)),
    ):
        optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
        scheduler = make(optimiser)
        for step in range(steps):
            assert lr * rate_share(step, steps, Options(schedule=schedule)) == pytest.approx(
                optimiser.param_groups[0]["lr"]
            )
            optimiser.step()
            scheduler.step()
    assert rate_share(5, 40, Options(schedule="cosine")) == pytest.approx(cosine_rate(5, 40, 1.0))


@given(st.integers(1, 200), st.floats(0, 1), st.sampled_from(["constant", "cosine", "linear"]))
def test_rate_rises_then_never_rises_again(steps, warmup, schedule):
    """In (0, 1], one peak of 1 where there is a step after the warm-up or the warm-up ends."""
    rates = [rate_share(step, steps, Options(schedule=schedule, warmup=warmup)) for step in range(steps)]
    warm = round(warmup * steps)
    assert all(0 < rate <= 1 for rate in rates)
    assert max(rates) == 1.0
    assert all(a < b for a, b in itertools.pairwise(rates[:warm]))
    assert all(a >= b for a, b in itertools.pairwise(rates[max(warm - 1, 0) :]))


def trained_linear(**options):
    inputs = torch.randn(12, 3, generator=torch.Generator().manual_seed(0)) * 50
    targets = torch.arange(12) % 2
    moves = []
    with seeded(0):
        model = nn.Linear(3, 2)
        fit(
            model,
            inputs,
            targets,
            FitSettings(3, 4, 0.01, 0.0, 0, Options(**options)),
            loss=watched(model, moves),
            keep=(),
        )
    return model, moves


def watched(model, norms):
    """Cross-entropy that notes the norm of the gradient that the last step was taken with."""

    def loss(step):
        if model.weight.grad is not None:
            norms.append(float(torch.cat([p.grad.flatten() for p in model.parameters()]).norm()))
        return cross_entropy(step)

    return loss


def test_gradients_are_clipped_to_the_norm():
    """No gradient is longer than clip_norm; a large bound leaves the weights as they are, bit for bit."""
    free, norms = trained_linear()
    assert max(norms) > 1.0
    clipped, norms = trained_linear(clip_norm=0.01)
    assert max(norms) <= 0.01 * (1 + 1e-4)
    loose, _ = trained_linear(clip_norm=1e9)
    assert torch.equal(free.weight, loose.weight)
    assert not torch.equal(free.weight, clipped.weight)


@pytest.mark.parametrize("name", OWN_RATE)
@pytest.mark.parametrize("option", [{"schedule": "cosine"}, {"warmup": 0.1}, {"patience": 3}])
def test_a_method_with_its_own_rate_refuses(name, option):
    """One line that names the setting."""
    with pytest.raises(StrategyError, match=f"takes no train.{next(iter(option))}") as caught:
        registry.load("train", name).function(_task(options=Options(**option)))
    assert "\n" not in str(caught.value)


# held-out samples


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.floats(0.01, 0.9), st.integers(0, 99))
def test_holdout_is_stratified(labels, share, seed):
    """Every class that has two labels keeps one at least and gives its share, up to one sample."""
    labels = np.array(labels)
    held = stratified_holdout(labels, share, np.random.default_rng(seed))
    counts, given = np.bincount(labels, minlength=5), np.bincount(labels[held], minlength=5)
    assert np.array_equal(held, np.unique(held))
    assert (given[counts == 1] == 0).all()
    assert (given <= np.maximum(counts - 1, 0)).all()
    assert (np.abs(given - share * counts)[counts > 1] <= 1 + 1e-6).all()
    possible = counts[counts > 1].sum()
    assert (len(held) > 0) == (possible > 0)
    assert len(held) <= max(1, round(share * possible))


def test_holdout_of_equal_classes_is_even():
    """Ten labels of each of four classes at 0.3: three of each; at 0.1 of ten pairs: two samples in all."""
    labels = np.repeat(np.arange(4), 10)
    held = stratified_holdout(labels, 0.3, np.random.default_rng(0))
    assert np.bincount(labels[held]).tolist() == [3, 3, 3, 3]
    assert len(stratified_holdout(np.repeat(np.arange(10), 2), 0.1, np.random.default_rng(0))) == 2
    draws = {tuple(stratified_holdout(labels, 0.3, np.random.default_rng(seed))) for seed in range(5)}
    assert len(draws) == 5


@pytest.mark.parametrize(("labels", "said"), [([0], "1 labelled sample,"), ([0, 1, 2], "3 labelled samples,")])
def test_nothing_to_hold_out(labels, said):
    """One line, not a training on nothing."""
    with pytest.raises(DataError, match=said) as caught:
        round_of("single", settings_on("single"), labels=np.array(labels))
    assert "set train.holdout to 0" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("line", ["patience: 3", "calibrate: true"])
def test_held_out_samples_are_needed(line):
    """params.yaml is refused before anything runs."""
    name = line.split(":")[0]
    text = f'campaign: {{name: t, classes: ["a", "b"]}}\ntrain: {{{line}}}\n'
    with pytest.raises(ParamsError, match=f"train.{name} without held-out") as caught:
        read_params(text.encode())
    assert "\n" not in str(caught.value)
    assert (
        read_params(
            text.replace("}\n", ", holdout: 0.2}\n", 2).replace('"b"], holdout: 0.2', '"b"]').encode()
        ).train.holdout
        == 0.2
    )


@pytest.mark.parametrize(
    "line",
    [
        "class_weights: even",
        "schedule: step",
        "warmup: 1.5",
        "holdout: 1",
        "patience: -1",
        "clip_norm: -1",
        "checkpoint_every: -1",
    ],
)
def test_values_out_of_range_are_refused(line):
    with pytest.raises(ParamsError, match=f"train.{line.split(':')[0]}"):
        read_params(f'campaign: {{name: t, classes: ["a", "b"]}}\ntrain: {{{line}}}\n'.encode())


def test_held_out_samples_are_nobody_s_unlabelled():
    """CEAL, VAAL and MAL do not take a held-out sample for an unlabelled one."""
    task = _task()
    held = replace(
        task,
        features=task.features[3:],
        labels=task.labels[3:],
        held_features=task.features[:3],
        held_labels=task.labels[:3],
    )
    assert np.array_equal(unlabeled_rows(held), unlabeled_rows(task))


def overfit_task(**options):
    """Labels at random: training fits them, held-out ones only get worse."""
    rng = np.random.default_rng(0)
    pool = rng.normal(size=(60, 8)).astype(np.float32)
    labels = rng.integers(0, 3, size=60)
    return replace(
        _task(epochs=60, lr=0.02),
        features=pool[:40], labels=labels[:40], pool_features=pool,
        held_features=pool[40:], held_labels=labels[40:], options=Options(**options),
    )  # fmt: skip


def test_early_stopping_keeps_the_best_weights():
    """Ends ``patience`` epochs after the lowest held-out NLL, and has that NLL again."""
    single = registry.load("train", "single").function
    whole = single(overfit_task())
    stopped = single(overfit_task(patience=4))
    curve = stopped.curve["held_out_nll"]
    best = int(np.argmin(curve))
    assert len(curve) == best + 1 + 4 < 60 == len(whole.curve["loss"])
    assert whole.curve["held_out_nll"][: len(curve)] == curve
    assert stopped.dispersion.epochs == len(curve) // 2
    assert (stopped.forgetting.presented == len(curve)).all()
    log_probs, _ = model_signals({"network": stopped.network}, stopped.weights, overfit_task().held_features)
    assert -log_probs[np.arange(20), overfit_task().held_labels].astype(np.float64).mean() == pytest.approx(
        min(curve), rel=1e-6
    )
    # The best weights are those of a training of that many epochs.
    short = single(replace(overfit_task(), epochs=best + 1))
    assert all(np.array_equal(short.weights[name], array) for name, array in stopped.weights.items())


def test_looking_at_held_out_samples_changes_nothing():
    """Holding out without patience gives the weights of the same training without a look."""
    single = registry.load("train", "single").function
    looked, blind = single(overfit_task()), single(replace(overfit_task(), held_features=None, held_labels=None))
    assert all(np.array_equal(blind.weights[name], array) for name, array in looked.weights.items())


def test_held_out_nll_is_the_mean():
    """Also over several batches of the grid, and the mode stays."""
    with seeded(0):
        model = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5))
        model.train()
        features, labels = torch.randn(2500, 2), torch.randint(0, 3, (2500,))
        before = torch.get_rng_state()
        found = held_out_nll(model, features, labels)
        assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    expected = nn.functional.cross_entropy(model[0](features), labels)
    assert found == pytest.approx(expected.item(), rel=1e-5)


def test_class_weights_come_from_the_trained_labels():
    task = _task(options=Options(class_weights="balanced"))
    np.testing.assert_allclose(settings_of(task).class_weights, balanced_weights(task.labels, 3))
    assert settings_of(_task()).class_weights is None


# the line on the terminal


def test_line_on_a_terminal():
    """Epochs, loss and the time left; a step back is the next network; not more than ten a second."""
    now = [0.0]
    line = terminal.ProgressLine("train", lambda: now[0])
    assert line.told(0.5, 10, 2.0).endswith("train: epoch 0/10, loss 2")
    now[0] = 0.05
    assert line.told(1.0, 10, 1.5) is None
    now[0] = 1.0
    assert line.told(1.5, 10, 1.25).endswith("train: epoch 1/10, loss 1.25, 0:08 left")
    now[0] = 2.0
    assert "train (network 2): epoch 0/10" in line.told(0.5, 10, 3.0)


@pytest.mark.parametrize(("ci", "shown"), [("", True), ("1", False)])
def test_line_only_where_somebody_looks(monkeypatch, ci, shown):
    """On a pseudo-terminal it is written and erased; under CI and into a pipe there is nothing to call."""
    monkeypatch.setenv("CI", ci)
    ours, theirs = pty.openpty()
    with open(theirs, "w") as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        with terminal.progress_line("train") as progress:
            assert (progress is not None) == shown
            if progress:
                progress(1.0, 2, 0.5)
        if shown:
            written = ""
            while not written.endswith("0.5\r\x1b[K"):  # it may come in pieces
                written += os.read(ours, 1000).decode()
            assert "train: epoch 1/2, loss 0.5" in written
    os.close(ours)
    read, write = os.pipe()
    with open(write, "w") as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        monkeypatch.setenv("CI", "")
        with terminal.progress_line("train") as progress:
            assert progress is None
    assert os.read(read, 10) == b""
    os.close(read)


# the stages


def with_train(settings):
    path = Path(layout.PARAMS)
    path.write_text(path.read_text().replace("train:\n", f"train:\n{settings}", 1))


def without(*names):
    """params.yaml without these keys of section train."""
    path = Path(layout.PARAMS)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith(tuple(f"  {name}:" for name in names))))


def test_a_round_with_options(first_round, capsys):
    """Card, metrics, scores and MLflow's record say the same; the checkpoints are gone at the end."""
    al("oracle")
    without("holdout", "calibrate", "patience", "checkpoint_every", "class_weights")
    with_train(
        "  holdout: 0.3\n  calibrate: true\n  patience: 3\n  checkpoint_every: 0.000001\n  class_weights: balanced\n"
    )
    for name in ("merge_labels", "train", "score", "select_query"):
        assert stage(name) == 0, capsys.readouterr().err
    card, metrics = campaign.read_card(), store.read_json(layout.TRAIN_METRICS, "")
    assert metrics["calibration"]["temperature"] == card["calibration_temperature"]
    log_probs, _ = model_signals(card, campaign.read_weights(), campaign.read_pool(load_params()).features)
    scores = store.read_parts(layout.SCORES, "")
    confidence = np.concatenate([np.array(table.column("confidence")) for table in scores.values()])
    assert np.array_equal(confidence, np.exp(log_probs.max(axis=1)))
    told = record.read(load_params(), Path()).round_metrics
    assert told["calibration_temperature"] == card["calibration_temperature"]
    assert told["nll"] == told["calibration_nll_after"]
    assert list(Path(layout.TRAININGS).iterdir()) == []


def test_a_refusal_is_one_line(first_round, capsys):
    al("oracle")
    assert stage("merge_labels") == 0
    without("strategy", "schedule")
    with_train("  strategy: snapshot_ensemble\n  schedule: cosine\n")
    text = Path(layout.PARAMS).read_text()
    capsys.readouterr()
    assert stage("train") == 1, text
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert said[0].startswith("train: this training method sets its learning rate itself")
