"""What a command reads does not grow with the rounds that lie behind it, and memory not with what is not kept."""

import builtins
import io
import shutil
import subprocess
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from past_campaign import Past, build

from al_plugin import history, progress
from al_plugin.math import clustering
from al_plugin.models.body import Body
from al_plugin.models.body import build as build_network
from al_plugin.models.forward import classes, forward
from al_plugin.stage import load_params
from al_plugin.strategies.select import coverage
from al_plugin.verdict import verdict


class Counted:
    """How many processes a block started and how many files it opened."""

    processes = 0
    files = 0


@contextmanager
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    found, run, opened = Counted(), subprocess.run, io.open

    def counted_run(*arguments: object, **options: object) -> object:
        found.processes += 1
        return run(*arguments, **options)

    def counted_open(*arguments: object, **options: object) -> object:
        found.files += 1
        return opened(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", counted_run)
        patch.setattr(io, "open", counted_open)
        patch.setattr(builtins, "open", counted_open)
        yield found


def state() -> list[str]:
    """What `al status` prints, read as in a new process."""
    history._KNOWN.clear()
    found = verdict(load_params())
    return [str(point) for point in progress.standing().curve] + [str(found.decision)]


def read_again(campaign: Path, rounds: int, monkeypatch: pytest.MonkeyPatch) -> Counted:
    """What the second look at a campaign costs."""
    build(campaign, Past(rounds=rounds, pool=200, n=2, random=1))
    first = state()
    with counting(monkeypatch) as found:
        assert state() == first
    return found


def test_the_state_takes_a_bounded_effort_however_many_rounds_there_are(
    campaign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many processes after 40 rounds as after 10, and no round's files opened for the sake of another."""
    other = tmp_path / "other"
    shutil.copytree(campaign, other)
    few = read_again(campaign, 10, monkeypatch)
    monkeypatch.chdir(other)
    many = read_again(other, 40, monkeypatch)
    assert many.processes == few.processes
    assert 0 < (many.files - few.files) / 30 <= 14


def test_a_large_pool_is_clustered_by_a_sample_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cloud is asked for as it would be otherwise, at its middle, and k-means sees the sample only."""
    rng = np.random.default_rng(5)
    centres = 30 * np.eye(6)
    points = rng.normal(size=(1200, 6)) + centres[rng.integers(6, size=1200)]
    labeled = centres[:2]
    whole = coverage.typiclust(points, labeled, 4, np.random.default_rng(0), clusters=6)
    seen: list[int] = []
    kmeans = clustering.kmeans

    def watched(values: np.ndarray, *arguments: object) -> object:
        seen.append(len(values))
        return kmeans(values, *arguments)

    monkeypatch.setattr(clustering, "kmeans", watched)
    monkeypatch.setattr(coverage, "_CLUSTERED", 300)
    picks = coverage.typiclust(points, labeled, 4, np.random.default_rng(0), clusters=6)
    assert seen == [302]
    np.testing.assert_array_equal(np.sort(picks), np.sort(whole))


def test_predictions_of_the_pool_are_made_without_keeping_embeddings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recording an epoch holds one batch and the classes, not N x width embeddings."""
    torch.manual_seed(0)
    network = build_network(Body("mlp"), 8, 5, hidden=512, dropout=0.0)
    inputs = np.random.default_rng(0).normal(size=(20_000, 8)).astype(np.float32)
    expected = forward(network, inputs)[0].argmax(axis=1)
    tracemalloc.start()
    found = classes(network, inputs)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(found, expected)
    assert peak < inputs.nbytes  # NumPy's arrays are traced; embeddings would be 64 times the inputs
