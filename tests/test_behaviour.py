"""What the training methods do on digits: claims of docs/behaviour.md, bounds many standard errors away."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import behaviour
from behaviour_items import learned, published
from behaviour_items.forgetting import stochastic_gradient, watched
from behaviour_items.images import digits, split, task_of
from behaviour_items.speed import dropout_speed
from behaviour_items.stats import interval

from al_plugin.models.task import Body
from al_plugin.strategies import registry

DATA = digits()


def measured(key, **settings):
    return behaviour.ITEMS[key].run(DATA, **settings)


def test_committees_and_likelihood():
    """Six seeds: an ensemble improves the likelihood; snapshots of short cycles do not, tempered weights lose nothing."""
    rows = measured("committees", seeds=6, labels=100, epochs=15)
    nll = {row["method"]: np.array(row["nll - single"]) for row in rows}
    assert not nll["single"].any()
    assert nll["ensemble"].mean() < -0.01  # measured -.036, standard error .013
    assert abs(nll["MC dropout"].mean()) < 0.03  # measured .000, standard error .005: no gain either
    assert nll["snapshot_ensemble"].min() > 0.05  # measured .20 to .30
    # With the KL tempered to .01: measured -.012, standard error .014; untempered it was +.12.
    assert abs(nll["bayes_by_backprop, draws"].mean()) < 0.06


def test_predicted_loss_orders_unseen_samples_but_less_well_than_entropy():
    (row,) = measured("loss_prediction", seeds=3, labels=200, epochs=20)
    assert min(row["predicted loss"]) > 0.3  # measured .62, standard deviation .06
    assert max(row["predicted - entropy"]) < -0.1


def test_forgetting_as_published_counts_over_all_seeds_and_goes_on_from_its_files(tmp_path):
    """Samples that no seed forgets are fewer than those of any seed; what is in the folder is not trained again."""
    few = replace(
        DATA, train=DATA.train[:200], labels=DATA.labels[:200], test=DATA.test[:50], test_labels=DATA.labels[:50]
    )
    settings = {"seeds": 2, "epochs": 10, "workers": 1, "folder": str(tmp_path)}
    rows = published.forgetting_as_published(few, **settings)
    assert [row["epochs"] for row in rows] == [1, 2, 5, 10]
    for row in rows:
        assert row["common to 2 seeds"] <= min(row["unforgettable, one seed"])
    assert rows[-1]["common to 2 seeds"] < max(rows[-1]["unforgettable, one seed"])
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    assert published.forgetting_as_published(few, **settings) == rows
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")} == before


def test_shrink_and_perturb_saves_epochs_and_no_accuracy_worth_naming():
    rows = measured("warm_start", seeds=3, step=50, rounds=3, epochs=25, loss=0.1)
    by_start = {row["start"]: row for row in rows}
    fresh, blend = by_start["fresh"], by_start["shrink, perturb (.6, .01)"]
    assert not any(fresh["accuracy - fresh"])
    # Six rounds: .30 of the epochs, accuracy +.001 with a standard deviation of .006.
    assert max(blend["epochs to loss, rounds 2 on"]) < 0.7 * min(fresh["epochs to loss, rounds 2 on"])
    assert np.mean(blend["accuracy - fresh"]) > -0.03


def test_discriminators_tell_seen_from_unseen_classes():
    found = [learned.separation(name, split(DATA, 200, 0), 10, steps) for name, steps in (("vaal", 200), ("mal", 100))]
    for one, least in zip(found, (0.65, 0.8), strict=True):  # measured .77 and .95, standard deviation .01
        assert one["seen over unseen"] > least
        assert one["the same, fresh"] > least
        assert one["unseen in the lowest 100"] > 0.45  # .3 of the pool are of unseen classes
        # 240 fresh samples: the standard error of an area about .5 is .02.
        assert 0.35 < one["alike: unlabelled over fresh"] < 0.65
    assert found[1]["alike: the same classes, fresh"] < 0.7


def test_area_counts_pairs():
    rng = np.random.default_rng(0)
    higher, lower = rng.integers(5, size=30), rng.integers(4, size=20)
    pairs = (higher[:, None] > lower) + 0.5 * (higher[:, None] == lower)
    assert learned.area(higher, lower) == pytest.approx(pairs.mean())


def test_proxy_ranks_as_its_target():
    (row,) = measured("proxy", seeds=3, labels=200, epochs=20)
    assert min(row["Spearman of margins"]) > 0.6  # measured .86, standard deviation .04


def test_watched_training_is_that_of_single():
    task = task_of(split(DATA, 100, 0), epochs=5)
    seen = watched(task, DATA.test, DATA.test_labels)
    single = registry.load("train", "single").function(task, dropout=0.0).forgetting
    assert seen.stream.forgotten.any()
    for name in ("presented", "forgotten", "first_learned"):
        assert np.array_equal(getattr(seen.stream, name), getattr(single, name))
    assert seen.shares[-1] == single.unforgettable.mean()
    assert len(seen.shares) == 5


def test_the_papers_optimiser_is_sgd_with_momentum():
    """Three steps beside torch's class, and the loop has its own optimiser back afterwards."""
    from al_plugin.models import fit

    usual = fit.AdamW
    ours, theirs = (torch.nn.Parameter(torch.tensor([1.0, -2.0])) for _ in range(2))
    sgd = torch.optim.SGD([theirs], lr=0.1, momentum=0.5)
    with stochastic_gradient(0.5):
        update = fit.AdamW([ours], 0.01)
    assert fit.AdamW is usual
    for _ in range(3):
        for parameter in (ours, theirs):
            parameter.grad = None
            (parameter**3).sum().backward()
        update(0.1)
        sgd.step()
    assert torch.allclose(ours, theirs)


def test_folded_heads_are_whole_passes():
    """Both ways give the same log-probabilities, for the perceptron and the convolutional network."""
    images = replace(DATA, body=Body("cnn", (1, 8, 8), 1))
    for data in (DATA, images):
        rows = dropout_speed(data, samples=100, naive_batches=(64,), batches=(32,))
        assert [row["way"] for row in rows] == ["ours, as shipped", "ours", "20 forward passes"]
        assert all(row["largest difference"] < 1e-5 for row in rows)


def test_interval_is_students():
    mean, low, high = interval([1.0, 2.0, 3.0])
    assert (mean, low, high) == pytest.approx((2, 2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5))


def test_results_are_merged_by_item(tmp_path, capsys):
    path = tmp_path / "new" / "behaviour.json"
    behaviour.keep(path, "proxy", "mnist", {"rows": [1]})
    behaviour.keep(path, "proxy", "fashion_mnist", {"rows": [2]})
    behaviour.keep(path, "proxy", "mnist", {"rows": [3]})
    assert json.loads(path.read_text())["items"] == {"proxy": {"mnist": {"rows": [3]}, "fashion_mnist": {"rows": [2]}}}
    result = {
        "settings": {"seeds": 2},
        "rows": [{"method": "a", "nll": [1.0, 2.0, 3.0], "ece": [1.0, 3.0]}],
        "seconds": 4,
    }
    behaviour.keep(tmp_path / "one.json", "proxy", "mnist", result)
    behaviour.show(tmp_path / "one.json")
    assert "| a | 2.000 [-0.484, 4.484] | 1.000, 3.000 |" in capsys.readouterr().out


@pytest.mark.slow
def test_all_items_run_on_digits(tmp_path):
    """Every item through the command line."""
    out = str(tmp_path / "behaviour.json")
    command = [sys.executable, str(ROOT / "benchmarks/behaviour.py"), "--small", "--out", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(f"\n{key}, digits: " in done.stdout for key in behaviour.ITEMS)


@pytest.mark.slow
def test_certain_predictions_are_right():
    rows = measured("semi_supervised", seeds=5, labels=200, epochs=20)
    ceal = rows[0]
    assert ceal["pseudo"] > 100
    assert ceal["pseudo right"] > 0.95
    assert abs(np.mean(ceal["accuracy - single"])) < 0.03


@pytest.mark.slow
def test_most_is_never_forgotten():
    (row,) = measured("forgetting", seeds=2, epochs=30, lr=0.001)
    assert min(row["unforgettable"]) > 0.9
    assert row["Pearson of seeds"][0] > 0.1
