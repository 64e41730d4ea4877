"""Shrink and perturb: what a training starts from, and the filed copy it is read from."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from campaigns import answer, change, start, turn
from conftest import CLASSES, al
from safetensors.numpy import save

from al_plugin import commands, layout, store
from al_plugin.aside import read_start
from al_plugin.checks.train import _KilledError, _Memory, _task
from al_plugin.config import read_params
from al_plugin.errors import DataError, ModelError, ParamsError, StrategyError
from al_plugin.models.checkpoint import Checkpoints
from al_plugin.models.task import Body, Fitted, Start, TrainingTask
from al_plugin.strategies import registry

WARM = [name for name in registry.names("train") if registry.load("train", name).card.warm]
ONE_NETWORK = ("single", "vaal", "ceal", "consistency")


def fitted(name: str, task: TrainingTask, **knobs: Any) -> Fitted:
    found: Fitted = registry.load("train", name).function(task, **knobs)
    return found


def from_(earlier: Fitted, shrink: float, perturb: float) -> Start:
    return Start(0, earlier.network, earlier.weights, shrink, perturb)


def same(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_these_methods_take_it() -> None:
    assert set(WARM) == {*ONE_NETWORK, "ensemble", "bootstrap_ensemble", "snapshot_ensemble"}


@pytest.mark.parametrize("name", WARM)
def test_nothing_of_the_old_and_all_of_the_fresh_network_is_a_fresh_start(name: str) -> None:
    """Shrink 0, perturb 1: the same bytes as without a start; any share of the old gives others."""
    earlier = fitted(name, _task(seed=7))
    fresh = fitted(name, _task())
    assert same(fitted(name, _task(start=from_(earlier, 0.0, 1.0))).weights, fresh.weights)
    warm = fitted(name, _task(start=from_(earlier, 1.0, 0.0)))
    assert not same(warm.weights, fresh.weights)
    assert warm.curve["loss"][0] < fresh.curve["loss"][0]


@pytest.mark.parametrize("name", ["single", "ensemble", "bootstrap_ensemble"])
def test_without_an_epoch_the_weights_are_the_blend(name: str) -> None:
    """Each member from its own: old weights at (1, 0), shrink · old + perturb · fresh otherwise."""
    earlier = fitted(name, _task(seed=7))
    fresh = fitted(name, _task(epochs=0)).weights
    assert same(fitted(name, _task(epochs=0, start=from_(earlier, 1.0, 0.0))).weights, earlier.weights)
    blend = fitted(name, _task(epochs=0, start=from_(earlier, 0.4, 0.1))).weights
    for tensor, old in earlier.weights.items():
        if tensor.endswith((".mean", ".scale")) or tensor in ("mean", "scale"):
            assert np.array_equal(blend[tensor], fresh[tensor])
        else:
            np.testing.assert_allclose(blend[tensor], 0.4 * old + 0.1 * fresh[tensor], rtol=1e-6, atol=1e-8)


def test_snapshots_go_on_from_the_last_one() -> None:
    earlier = fitted("snapshot_ensemble", _task(seed=7))
    last = {name: array for name, array in earlier.weights.items() if name.startswith("members.4.")}
    moved = fitted("snapshot_ensemble", _task(lr=1e-12, weight_decay=0.0, start=from_(earlier, 1.0, 0.0))).weights
    for name, array in last.items():
        np.testing.assert_allclose(moved[name.replace("members.4.", "members.0.")], array, atol=1e-6)


def test_the_perturbation_is_seeded() -> None:
    start = from_(fitted("single", _task(seed=7)), 0.4, 0.1)
    first = fitted("single", _task(epochs=0, start=start)).weights
    assert same(fitted("single", _task(epochs=0, start=start)).weights, first)
    assert not same(fitted("single", _task(epochs=0, seed=2, start=start)).weights, first)


@pytest.mark.parametrize("name", ["single", "ensemble"])
def test_a_killed_warm_training_goes_on(name: str) -> None:
    start = from_(fitted(name, _task(seed=7)), 0.4, 0.1)
    expected = fitted(name, _task(start=start)).weights

    def at(batch: int, files: _Memory) -> Fitted:
        batches = count(1)

        def progress(*_: float) -> None:
            if next(batches) == batch:
                raise _KilledError

        return fitted(name, _task(start=start, progress=progress, checkpoints=Checkpoints(files, "key", 0.0)))

    for batch in (4, 9):
        files = _Memory()
        with suppress(_KilledError):
            at(batch, files)
        assert files
        assert same(at(0, files).weights, expected)


@pytest.mark.parametrize(
    ("earlier", "task", "method", "said"),
    [
        ("ensemble", {}, "single", "a model of kind ensemble"),
        ("single", {}, "ensemble", "a model of kind mlp"),
        ("single", {"body": Body("linear")}, "single", "network mlp"),
        ("single", {"n_classes": 4}, "single", "head.weight of shape (3, 128)"),
        ("single", {"features": np.zeros((12, 5), np.float32), "pool_features": np.eye(24, 5, dtype=np.float32)}, "single", "trunk.0.weight"),
    ],
)  # fmt: skip
def test_another_network_is_refused(earlier: str, task: dict[str, Any], method: str, said: str) -> None:
    old = fitted(earlier, _task())
    with pytest.raises(ModelError, match=r"train\.warm_start") as refused:
        fitted(method, replace(_task(start=from_(old, 1.0, 0.0)), **task))
    assert said in str(refused.value)
    assert "al warm-start" in refused.value.change


def test_more_members_than_there_were_are_refused() -> None:
    old = fitted("ensemble", _task(), members=2)
    with pytest.raises(ModelError, match="2 members"):
        fitted("ensemble", _task(start=from_(old, 1.0, 0.0)), members=3)


def params(setting: str, strategy: str = "null") -> bytes:
    train = f"train: {{strategy: {strategy}, warm_start: {setting}}}"
    return f'campaign: {{name: t, classes: ["a", "b"]}}\n{train}\n'.encode()


def test_the_setting() -> None:
    assert read_params(params("null")).train.warm_start is None
    assert read_params(params("{shrink: 1, perturb: 0.1}")).train.warm_start == {"shrink": 1.0, "perturb": 0.1}
    for bad in ("true", "{shrink: 0.4}", "{shrink: 2.0, perturb: 0.1}", "{shrink: yes, perturb: 0}"):
        with pytest.raises(ParamsError, match=r"train\.warm_start"):
            read_params(params(bad))


@pytest.mark.parametrize("name", sorted(set(registry.names("train")) - set(WARM)))
def test_methods_that_do_not_take_it_refuse_it(name: str) -> None:
    with pytest.raises(StrategyError, match=rf"{name} does not take"):
        read_params(params("{shrink: 0.4, perturb: 0.1}", name))


def test_what_data_start_holds_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing, other classes, a file that is no model, a model that is not of an earlier round: a line each."""
    monkeypatch.chdir(tmp_path)
    asked = {"shrink": 0.4, "perturb": 0.1}
    assert read_start(None, CLASSES, 1) is None
    with pytest.raises(DataError, match="holds no model"):
        read_start(asked, CLASSES, 1)
    card = {"classes": list(CLASSES), "round": 1, "network": {"kind": "mlp"}}
    store.write_json(layout.START_CARD, card)
    store.write_bytes(layout.START_WEIGHTS, save({"head.bias": np.arange(3.0)}))
    found = read_start(asked, CLASSES, 2)
    assert found is not None
    assert (found.round, found.shrink, found.perturb, list(found.weights)) == (1, 0.4, 0.1, ["head.bias"])
    with pytest.raises(DataError, match="of round 1, and this is round 1"):
        read_start(asked, CLASSES, 1)
    with pytest.raises(DataError, match="are a, b, d, the model in data/start is of a, b, c"):
        read_start(asked, ("a", "b", "d"), 2)
    store.write_bytes(layout.START_WEIGHTS, b"no")
    with pytest.raises(DataError, match="not a safetensors file"):
        read_start(asked, CLASSES, 2)


def test_a_pipeline_that_does_not_watch_data_start_is_told(
    first_round: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(layout.DVC_YAML)
    path.write_text(path.read_text().replace(f"      - {layout.START}\n", ""))
    assert al("warm-start") == 1
    assert "does not depend on data/start" in capsys.readouterr().err
    assert not Path(layout.START_WEIGHTS).exists()


@pytest.mark.dvc
def test_a_warm_campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """Refused without a model; filed, two rounds start from it; replay agrees; off, all is as before."""
    root = start(tmp_path / "campaign", "vectors")
    monkeypatch.chdir(root)
    commands.dvc("add", layout.POOL, layout.EVAL)
    turn(root)
    assert al("warm-start") == 1
    assert "has seen no label" in capsys.readouterr().err
    answer(root)
    turn(root)
    change(root, warm_start="{shrink: 0.4, perturb: 0.1}")
    assert "data/start holds no model" in repro(root)
    assert al("warm-start") == 1  # DVC took the model away before the stage failed
    assert "dvc checkout" in capsys.readouterr().err
    commands.dvc("checkout")
    assert al("warm-start") == 0
    assert "data/start holds the model of round 1, and this is round 1" in repro(root)
    commands.dvc("checkout")
    for number in (2, 3):
        answer(root)
        turn(root)
        card = json.loads(Path(layout.CARD).read_text())
        assert card["start"] == {"round": number - 1, "shrink": 0.4, "perturb": 0.1}
        assert al("warm-start") == 0
    assert commands.git("status", "--porcelain") == f"M  {layout.START_DVC}"
    commands.git("checkout", "--quiet", "--force", "HEAD")
    commands.dvc("checkout", layout.START_DVC)
    capsys.readouterr()
    assert al("replay", "3") == 0
    assert "outputs identical" in capsys.readouterr().out
    assert al("warm-start", "--off") == 0
    assert "set train.warm_start to null" in capsys.readouterr().out
    assert sorted(path.name for path in Path(layout.START).iterdir()) == ["README.md"]
    assert commands.git("ls-files", "data/start*") == f"{layout.START}/README.md"
    assert f"/{layout.START}" not in Path(".gitignore").read_text().splitlines()


def repro(root: Path) -> str:
    """What `dvc repro` says when it fails."""
    with pytest.raises(Exception, match="dvc repro failed") as failed:
        commands.dvc("repro", cwd=root)
    return str(failed.value)
