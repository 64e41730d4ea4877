"""A training that was killed and goes on is the training that nothing disturbed, bit for bit."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from al_plugin import aside
from al_plugin.checks.train import _task
from al_plugin.models.checkpoint import Checkpoints, Draws, Gathered, content_key, packed, unpacked
from al_plugin.models.fit import FitSettings, fit, seeded
from al_plugin.models.task import Options
from al_plugin.strategies import registry

# Estimators are fitted in one call: there is nothing to go on from.
METHODS = [name for name in registry.names("train") if name not in ("estimator", "extra_trees", "random_forest")]


class Memory(dict):
    """Files in memory."""

    def read(self, name):
        return self.get(name)

    def write(self, name, content):
        self[name] = content


class Killed(Exception):
    pass


def everything(fitted):
    """All that a training gives, as bytes."""
    arrays = {**fitted.weights, **fitted.pool_signals, "pseudo": fitted.pseudo_positions}
    arrays |= {name: np.asarray(value) for name, value in vars(fitted.forgetting).items()}
    arrays |= {name: np.asarray(value) for name, value in vars(fitted.dispersion).items() if value is not None}
    return {name: array.tobytes() for name, array in arrays.items()} | {
        "curve": dict(fitted.curve),
        "metrics": dict(fitted.metrics),
    }


def options_task(name, **changes):
    """The contract's task with as many options on as the method takes, three labelled samples held out."""
    whole = _task()
    at = np.array([0, 4, 8])
    rest = np.setdiff1d(np.arange(len(whole.labels)), at)
    own_rate = name in ("snapshot_ensemble", "swag")
    options = Options(
        "balanced", "constant" if own_rate else "cosine", 0.0 if own_rate else 0.2, 1.0, 0 if own_rate else 2
    )
    task = replace(
        whole,
        features=whole.features[rest],
        labels=whole.labels[rest],
        held_features=whole.features[at],
        held_labels=whole.labels[at],
        options=options,
    )
    return replace(task, **changes)


def run(name, task, *, kill_at=None, files=None, every=0.0):
    """Train; raise at a batch's number; count the batches."""
    batches = 0

    def progress(_done, _total, _loss):
        nonlocal batches
        batches += 1
        if batches == kill_at:
            raise Killed

    checkpoints = None if files is None else Checkpoints(files, "key", every)
    function = registry.load("train", name).function
    try:
        # VAAL's own steps come before fit and are taken again: a few of them show that as well.
        knobs = {"steps": 3} if name == "vaal" else {}
        return function(replace(task, progress=progress, checkpoints=checkpoints), **knobs), batches
    except Killed:
        return None, batches


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("options", [False, True], ids=["plain", "options"])
def test_killed_and_resumed_is_undisturbed(name, options):
    """Killed at several instants, within epochs and between them, in one fit and in later ones."""
    task = options_task(name) if options else _task()
    undisturbed, total = run(name, task)
    expected = everything(undisturbed)
    for kill_at in {2 * total // 3} if options else sorted({1, total // 2, total - 1}):
        files = Memory()
        assert run(name, task, kill_at=kill_at, files=files) == (None, kill_at)
        resumed, batches = run(name, task, files=files)
        assert everything(resumed) == expected
        # The batch at which it was killed is kept, unless its epoch was still to be closed.
        assert batches - (total - kill_at) in (0, 1)
        again, batches = run(name, task, files=files)
        assert batches == 0, "a training that is whole is not trained again"
        assert everything(again) == expected


@pytest.mark.parametrize("kill_at", [10, 16, 20])
def test_uneven_cycles_go_on_where_they_were(kill_at):
    """Seven epochs in five cycles: the rate and the members are those of the undisturbed training."""
    undisturbed, _ = run("snapshot_ensemble", _task(epochs=7))
    assert undisturbed.network["members"] == 5
    files = Memory()
    assert run("snapshot_ensemble", _task(epochs=7), kill_at=kill_at, files=files)[0] is None
    assert everything(run("snapshot_ensemble", _task(epochs=7), files=files)[0]) == everything(undisturbed)


def test_killed_twice():
    """A resumed training that is killed again goes on from its second end."""
    expected, total = run("ensemble", _task())
    files = Memory()
    for kill_at in (5, 9, 20):
        assert run("ensemble", _task(), kill_at=kill_at, files=files)[0] is None
    resumed, batches = run("ensemble", _task(), files=files)
    assert everything(resumed) == everything(expected)
    assert total - 34 <= batches <= total - 31


def test_at_most_the_time_between_checkpoints_is_lost():
    """Nothing is written before it is due; then also the fits that ended in the meantime."""
    now, files = [0.0], Memory()
    task = _task()
    ends = []

    def progress(done, total, _loss):
        now[0] += 1.0
        ends.append((now[0], sorted(files)))
        if now[0] == 38:
            raise Killed

    checkpoints = Checkpoints(files, "key", 20.0, clock=lambda: now[0])
    with pytest.raises(Killed):
        registry.load("train", "ensemble").function(replace(task, progress=progress, checkpoints=checkpoints))
    # 15 batches a member: due in the second member, and with it the first one is written.
    assert dict(ends)[19.0] == []
    assert dict(ends)[22.0] == ["key/fit-0000.safetensors", "key/fit-0001.safetensors"]
    resumed, batches = run("ensemble", task, files=files)
    expected, total = run("ensemble", task)
    assert everything(resumed) == everything(expected)
    assert batches == total - 21


def test_short_trainings_write_nothing():
    """Below the time between checkpoints no file is touched."""
    files = Memory()
    run("single", _task(), files=files, every=60.0)
    assert not files


def test_a_broken_file_starts_anew():
    """A file cut short or of other content is as good as none."""
    expected, total = run("single", _task())
    for damage in (lambda c: c[:-7], lambda _: b"", lambda _: b"\x00" * 100, lambda c: c[:8] + b"x" + c[9:]):
        files = Memory()
        run("single", _task(), kill_at=7, files=files)
        files.update({name: damage(content) for name, content in files.items()})
        resumed, batches = run("single", _task(), files=files)
        assert batches == total
        assert everything(resumed) == everything(expected)


def test_unknown_hooks_are_not_resumed():
    """A loss or a hook whose state nobody names would be lost: such a fit writes nothing."""
    files, seen = Memory(), []
    settings = FitSettings(2, 4, 0.01, 0.0, 0, checkpoints=Checkpoints(files, "key", 0.0))
    with seeded(0):
        fit(
            nn.Linear(3, 2),
            torch.zeros(8, 3),
            torch.zeros(8, dtype=torch.long),
            settings,
            on_epoch=lambda *a: seen.append(a),
        )
    assert len(seen) == 2
    assert not files


def test_states_survive_packing():
    """Arrays of all kinds, 0-d and empty ones too, and JSON values with every float exact."""
    state = {
        "a": np.float32([[1, -0.0], [np.nan, np.inf]]),
        "b": np.array([True, False]),
        "c": np.array(7, dtype=np.int64),
        "d": np.empty((0, 3), dtype=np.int32),
        "e": np.arange(6, dtype=np.uint8).reshape(2, 3).T,
        "f": {"loss": [0.1, 1 / 3, float("inf")], "none": None},
        "g": 2**100,
    }
    back = unpacked(packed(state))
    assert {n: v for n, v in back.items() if not isinstance(v, np.ndarray)} == {"f": state["f"], "g": state["g"]}
    for name in "abcde":
        assert back[name].dtype == state[name].dtype
        assert back[name].shape == state[name].shape
        assert back[name].tobytes() == np.asarray(state[name], order="C").tobytes()
        assert back[name].flags.writeable


def test_generators_and_gathered_arrays_resume():
    """The numbers after are those that would have come."""
    rng = np.random.default_rng(3)
    rng.random(5)
    kept = unpacked(packed(Draws(rng).state()))
    expected = rng.random(4)
    other = np.random.default_rng(0)
    Draws(other).resume(kept)
    assert np.array_equal(other.random(4), expected)
    gathered = Gathered(old=np.ones(1))
    gathered.resume({"new": np.zeros(2)})
    assert list(gathered) == ["new"]


def test_key_depends_on_all_that_decides():
    """Data, settings, options, knobs and round change the key; progress and checkpoints do not."""
    task = _task()
    key = content_key(task, "single", {"hidden": 3})
    changed = [
        replace(task, features=task.features + 1),
        replace(task, labels=task.labels[::-1].copy()),
        replace(task, pool_features=task.pool_features[::-1].copy()),
        replace(task, lr=0.02),
        replace(task, seed=2),
        replace(task, round=1),
        replace(task, options=Options(patience=1)),
        replace(task, held_labels=task.labels),
    ]
    keys = [content_key(one, "single", {"hidden": 3}) for one in changed]
    keys += [content_key(task, "proxy", {"hidden": 3}), content_key(task, "single", {"hidden": 4})]
    assert len({key, *keys}) == len(keys) + 1
    assert content_key(replace(task, progress=lambda *_: None), "single", {"hidden": 3}) == key


def test_folder_is_cleared_only_after_success(tmp_path, monkeypatch):
    """A block that raises keeps its entries; one that ends removes its own and leaves others."""
    monkeypatch.chdir(tmp_path)

    def killed():
        with aside.beside_training(60.0) as beside:
            beside.files.write("mine/fit-0000.safetensors", b"kept")
            raise Killed

    with pytest.raises(Killed):
        killed()
    root = Path(".al/cache/train")
    assert (root / "mine/fit-0000.safetensors").read_bytes() == b"kept"
    (root / "others").mkdir()
    with aside.beside_training(60.0) as beside:
        assert beside.files.read("mine/fit-0000.safetensors") == b"kept"
    assert [path.name for path in root.iterdir()] == ["others"]


def test_other_code_has_another_key(tmp_path, monkeypatch):
    """An edit of a file that the train stage watches changes the digest; of another file it does not."""
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text("a = 1")
    Path("other.py").write_text("a = 1")
    Path("dvc.yaml").write_text("stages: {train: {cmd: x, deps: [net.py, data/pool, missing.py]}}")
    before = aside.code_digest()
    Path("other.py").write_text("a = 2")
    assert aside.code_digest() == before
    Path("net.py").write_text("a = 2")
    assert aside.code_digest() != before


KILLED = """
import sys
from dataclasses import replace
from pathlib import Path
from al_plugin.aside import Folder
from al_plugin.checks.train import _task
from al_plugin.models.checkpoint import Checkpoints
from al_plugin.strategies import registry
folder, out, wait = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "wait"
batches = 0
def progress(*_):
    global batches
    batches += 1
    if wait and batches == 23:
        print("there", flush=True)
        sys.stdin.read()
task = replace(_task(), progress=progress, checkpoints=Checkpoints(Folder(folder), "key", 0.0))
fitted = registry.load("train", "ensemble").function(task)
from safetensors.numpy import save
out.write_bytes(save(dict(fitted.weights)) + repr(fitted.curve).encode() + fitted.forgetting.forgotten.tobytes())
print(batches)
"""


def test_sigkill(tmp_path):
    """A process killed by SIGKILL in its second member; another one goes on from its files."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "OMP_NUM_THREADS": "1"}

    def start(folder, mode):
        command = [sys.executable, "-c", KILLED, str(tmp_path / folder), str(tmp_path / f"{folder}.out"), mode]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True)

    undisturbed = start("whole", "go")
    killed = start("killed", "wait")
    assert killed.stdout.readline() == "there\n"
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed.out").exists()
    resumed = start("killed", "go")
    total, rest = (int(process.communicate()[0]) for process in (undisturbed, resumed))
    assert rest - (total - 23) in (0, 1)
    assert (tmp_path / "killed.out").read_bytes() == (tmp_path / "whole.out").read_bytes()
