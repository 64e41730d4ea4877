"""Training on a device, in 16 bits, in several processes: the bare loop's result where it can be, one line where not."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT, al, stage
from test_checkpoint import Memory, everything, options_task, run

from al_plugin import layout, ranks
from al_plugin.checks.train import _task
from al_plugin.errors import ModelError, ParamsError, StrategyError
from al_plugin.models import fabric, fit
from al_plugin.models.body import perceptron
from al_plugin.models.device import Here, OnDevice, Scaled
from al_plugin.models.optimiser import AdamW
from al_plugin.models.task import Options
from al_plugin.strategies import registry

with_fabric = pytest.mark.skipif(find_spec("lightning_fabric") is None, reason="without al-plugin[devices]")
NETWORKS = [name for name in registry.names("train") if name not in ("estimator", "random_forest", "extra_trees")]


def on(precision: str = "32-true") -> OnDevice:
    """One device of Fabric's: this CPU."""
    from lightning_fabric import Fabric

    return OnDevice(Fabric(accelerator="cpu", devices=1, precision=precision))


# --- what is asked for, and is not here


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("cuda", "32", 1), "train.device to cuda, and torch .* finds only cpu here; set it to auto or cpu"),
        (("mps", "32", 1), "train.device to mps, and torch .* finds only cpu here; set it to auto or cpu"),
        (("cpu", "16", 1), "train.precision to 16, and training is on cpu; it works on cuda; set it to bf16 or 32"),
        (("auto", "16", 1), "train.precision to 16, and training is on cpu"),
        (("cpu", "32", 1000), "train.devices to 1000, and this machine has [0-9]+ .cpu.; set it to [0-9]+"),
    ],
)
def test_what_is_not_there_is_one_line(asked, said, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ParamsError, match=said) as refused:
        fabric.check(*asked)
    assert "\n" not in str(refused.value)


def test_mps_takes_32_bits_and_one_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert fabric.found_device("auto") == "mps"
    with pytest.raises(ParamsError, match="works on cpu and cuda; set it to 32"):
        fabric.check("auto", "bf16", 1)
    with pytest.raises(ParamsError, match=r"this machine has 1 \(mps\); set it to 1$"):
        fabric.check("mps", "32", 2)


def test_cuda_comes_first(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert fabric.found_device("auto") == "cuda"
    assert fabric.found_device("cpu") == "cpu"


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setattr(fabric, "find_spec", lambda _: None)
    with pytest.raises(ParamsError, match=r"^train.precision bf16: .*pip install 'al-plugin\[devices\]'$"):
        fabric.check("cpu", "bf16", 1)
    fabric.check("cpu", "32", 1)


def test_auto_without_a_device_is_the_bare_loop(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert type(fabric.machine(Options(device="auto"))) is Here


def test_a_stage_refuses_before_it_computes(first_round, capsys, monkeypatch):
    """No output of train is touched, nothing is trained."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    before = Path(layout.CARD).read_bytes()
    al("oracle")
    assert stage("merge_labels") == 0
    params(device="cuda")
    capsys.readouterr()
    assert stage("train") == 1
    said = capsys.readouterr().err
    assert said.startswith("train: params.yaml sets train.device to cuda, and torch")
    assert said.count("\n") == 1
    assert Path(layout.CARD).read_bytes() == before


def test_defaults_import_nothing_new(tmp_path):
    code = (
        "import sys; from al_plugin.checks.train import _task; from al_plugin.strategies import registry;"
        "registry.load('train', 'single').function(_task());"
        "assert not {m for m in sys.modules if m.startswith(('lightning', 'torch._dynamo', 'al_plugin.models.processes'))}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


# --- one device


@with_fabric
@pytest.mark.parametrize("name", NETWORKS)
def test_fabric_on_this_cpu_is_the_bare_loop(name, monkeypatch):
    """Bit for bit, dropout and every method's own loss too: the device changes where, not what."""
    task = options_task(name)
    expected, _ = run(name, task)
    monkeypatch.setattr(fit, "machine", lambda _: on())
    found, _ = run(name, task)
    assert everything(found) == everything(expected)


@with_fabric
@pytest.mark.parametrize("name", NETWORKS)
def test_bf16_trains_and_goes_on(name):
    """Other weights than in 32 bits, float32 all the same; repeatable; killed and resumed is undisturbed."""
    task = options_task(name)
    plain, _ = run(name, task)
    half = replace(task, options=replace(task.options, precision="bf16"))
    found, total = run(name, half)
    assert all(array.dtype == plain.weights[key].dtype for key, array in found.weights.items())
    assert everything(found) != everything(plain)
    apart = max(np.abs(array - plain.weights[key]).max() for key, array in found.weights.items())
    assert apart < 0.2
    files = Memory()
    assert run(name, half, kill_at=total // 2, files=files)[0] is None
    assert everything(run(name, half, files=files)[0]) == everything(found)


def test_a_devices_draws_are_those_of_the_training_alone(monkeypatch):
    """Whatever was trained before in this process, and also where a killed training goes on; every batch its own."""

    class Told(OnDevice):
        def gradients(self, model, positions, forward, place):
            seeds.append(self._seed(place))
            return super().gradients(model, positions, forward, place)

    seeds: list[int] = []
    fabric_of_one = SimpleNamespace(
        device=torch.device("cpu"),
        strategy=SimpleNamespace(precision=None),
        global_rank=0,
        autocast=nullcontext,
        backward=lambda value: value.backward(),
    )
    device = Told(fabric_of_one)
    monkeypatch.setattr(fit, "machine", lambda _: device)

    def drawn(**killed):
        seeds.clear()
        return run("ensemble", _task(), **killed), list(seeds)

    _, first = drawn()
    _, second = drawn()
    assert first == second
    assert len(set(first)) == len(first)
    files = Memory()
    for kill_at in (5, 20):
        drawn(kill_at=kill_at, files=files)
    _, rest = drawn(files=files)
    assert 0 < len(rest) < len(first)
    assert rest == first[-len(rest) :]


@with_fabric
def test_bf16_computes_in_bf16(monkeypatch):
    """The forward pass is in 16 bits; logits are handed on, and the loss is taken, in 32."""
    seen = []
    model = perceptron(4, 3, hidden=8, dropout=0.0)
    model.head.register_forward_hook(lambda _m, _i, output: seen.append(output.dtype))
    settings = fit.FitSettings(1, 8, 0.01, 0.0, 1, Options(precision="bf16"))
    logits = []
    with fit.seeded(1):
        fit.fit(
            model,
            torch.randn(16, 4),
            torch.zeros(16, dtype=torch.long),
            settings,
            on_presentation=lambda _p, found: logits.append(found.dtype),
        )
    assert set(seen) == {torch.bfloat16}
    assert set(logits) == {torch.float32}


@with_fabric
def test_signals_are_those_of_the_weights():
    """After training in 16 bits the network predicts in 32, on the CPU, as one with these weights does."""
    from al_plugin.models.restore import model_signals

    task = replace(_task(), options=Options(precision="bf16"))
    fitted = registry.load("train", "single").function(task)
    card = {"network": dict(fitted.network), "fitted": True, "classes": ["a", "b", "c"]}
    first, _ = model_signals(card, fitted.weights, task.pool_features)
    hidden = (task.pool_features - fitted.weights["mean"]) / fitted.weights["scale"]
    hidden = np.maximum(hidden @ fitted.weights["trunk.0.weight"].T + fitted.weights["trunk.0.bias"], 0)
    logits = hidden @ fitted.weights["head.weight"].T + fitted.weights["head.bias"]
    expected = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(first, expected, atol=2e-6)


def test_a_step_that_overflows_is_left_out():
    """float16's factor: halved after an infinite gradient, and that step changes nothing."""
    layer = torch.nn.Linear(2, 1)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    step = Scaled(AdamW(list(layer.parameters()), 0.0), scaler)
    before = layer.weight.detach().clone()
    for parameter in layer.parameters():
        parameter.grad = torch.full_like(parameter, float("inf"))
    scaler.scale(torch.zeros(()))  # makes the factor
    step.unscale()
    step(0.1)
    assert torch.equal(layer.weight, before)
    assert step.state()["scale"] == 4.0
    other = Scaled(AdamW(list(layer.parameters()), 0.0), torch.amp.GradScaler("cpu", init_scale=8.0))
    other.resume(step.state())
    assert other.state() == step.state()
    for parameter in layer.parameters():
        parameter.grad = torch.full_like(parameter, 4.0)
    step.unscale()
    assert layer.weight.grad.max() == 1.0
    step(0.1)
    np.testing.assert_allclose((before - layer.weight.detach()).numpy(), 0.1, rtol=1e-5)


@with_fabric
def test_float16_is_close_to_float32(monkeypatch):
    """With its factor, on this CPU; a stage asks for it on cuda alone. The factor begins anew with each fit."""
    expected, _ = run("single", _task())
    from lightning_fabric import Fabric
    from lightning_fabric.plugins import MixedPrecision

    half = OnDevice(Fabric(accelerator="cpu", devices=1, plugins=[MixedPrecision("16-mixed", "cpu")]))
    monkeypatch.setattr(fit, "machine", lambda _: half)
    found, _ = run("single", _task())
    again, _ = run("single", _task())
    assert everything(found) == everything(again)
    for key, array in found.weights.items():
        np.testing.assert_allclose(array, expected.weights[key], atol=0.03, err_msg=key)


@with_fabric
def test_what_has_no_repeatable_way_is_one_line(monkeypatch):
    class Refused(torch.nn.Module):
        def forward(self, _rows):
            raise RuntimeError("max_unpool does not have a deterministic implementation, but you set 'torch...'")

    model = perceptron(4, 3, hidden=8, dropout=0.0)
    model.trunk = Refused()
    monkeypatch.setattr(fit, "machine", lambda _: on())
    with pytest.raises(ModelError, match=r"cannot be trained repeatably on cpu: max_unpool .*implementation; set"):
        fit.fit(model, torch.zeros(4, 4), torch.zeros(4, dtype=torch.long), fit.FitSettings(1, 4, 0.1, 0.0, 1))


# --- several processes


@pytest.mark.parametrize("name", ["split_head", "loss_prediction", "consistency", "mal", "bayes_by_backprop"])
def test_a_loss_of_whole_batches_is_refused(name):
    task = replace(_task(), options=Options(devices=2))
    with pytest.raises(StrategyError, match=r"a loss of its own, of whole batches, and train\.devices is 2; set"):
        registry.load("train", name).function(task)


def test_batch_normalisation_is_refused():
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 3))
    settings = fit.FitSettings(1, 4, 0.1, 0.0, 1, Options(devices=2))
    with pytest.raises(ModelError, match=r"batch normalisation, .* train\.devices is 2"):
        fit.fit(model, torch.zeros(8, 4), torch.zeros(8, dtype=torch.long), settings)


@with_fabric
def test_several_devices_want_a_stage(monkeypatch):
    """They run the stage's script again: in a notebook there is none. And not under a launcher."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(ranks, "_script", [])
    task = replace(_task(), options=Options(devices=2))
    with pytest.raises(ParamsError, match="no stage runs here; run dvc repro"):
        registry.load("train", "single").function(task)
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(ParamsError, match="LOCAL_RANK is set: a launcher runs"):
        registry.load("train", "single").function(task)


def test_another_process_does_not_outlive_the_first(tmp_path):
    """A process that finds itself without the one that started it ends at once."""
    code = "from al_plugin import stage; stage.run('train', lambda params: None)"
    orphan = {**os.environ, "PYTHONPATH": str(ROOT), ranks.FIRST: "1"}  # not this test's process id
    done = subprocess.run([sys.executable, "-c", code], env=orphan, cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")


_FIT = """
import sys
import numpy as np, torch
from al_plugin import ranks
from al_plugin.models.body import perceptron
from al_plugin.models.fit import FitSettings, fit, seeded
from al_plugin.models.task import Options
ranks.may_start_others(__file__)
torch.set_num_threads(1)
found = {}
draws = torch.Generator().manual_seed(1)
inputs, targets = torch.randn(37, 6, generator=draws), torch.randint(0, 3, (37,), generator=draws)
held = torch.randn(9, 6, generator=draws), torch.randint(0, 3, (9,), generator=draws)
cases = {
    "plain": (0.0, 8, {}),
    "dropout": (0.4, 8, {}),
    # 37 samples in batches of 4: the last one has a single sample, and the second process no share of it.
    "options": (0.0, 4, {"clip_norm": 0.5, "patience": 2, "schedule": "cosine"}),
}
for name, (dropout, size, options) in cases.items():
    kept = []
    for devices in (1, 2):
        with seeded(7):
            model = perceptron(6, 3, hidden=16, dropout=dropout)
            # A parameter that no loss reaches stays as it is, without decay.
            model.register_parameter("unused", torch.nn.Parameter(torch.ones(3)))
            settings = FitSettings(4, size, 0.02, 0.1, 7, Options(devices=devices, **options),
                                   torch.tensor([1.0, 2.0, 0.5]) if options else None, held if options else None)
            fit(model, inputs, targets, settings,
                on_presentation=lambda at, logits: found.setdefault(f"{name}{devices}seen", []).append(logits.numpy()),
                on_epoch=lambda _epoch, loss: found.setdefault(f"{name}{devices}loss", []).append(loss))
        found[f"{name}{devices}"] = np.concatenate([p.detach().numpy().ravel() for p in model.parameters()])
        found[f"{name}{devices}seen"] = np.concatenate(found[f"{name}{devices}seen"])
assert torch.get_num_threads() == 1
if ranks.is_first():
    np.savez(sys.argv[1] if len(sys.argv) > 1 else "first.npz", **found)
else:
    print("another process speaks")
    open("another", "w").close()
"""

two = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one CPU")


@with_fabric
@two
def test_two_processes_are_one(tmp_path):
    """Same orders, logits, losses and weights to rounding without dropout; with it, twice the same bytes."""
    script = tmp_path / "script.py"
    script.write_text(_FIT)
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment["PYTHONPATH"] = str(ROOT)
    results = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        results.append(dict(np.load(tmp_path / "first.npz")))
    first, again = results
    for name in first:
        assert first[name].tobytes() == again[name].tobytes(), name
    for name in ("plain", "options"):
        for what in ("", "seen", "loss"):
            found, expected = first[f"{name}2{what}"], first[f"{name}1{what}"]
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-6, err_msg=f"{name} {what}")
    assert np.abs(first["dropout2"] - first["dropout1"]).max() > 1e-3, "own dropout in each process"
    assert first["dropout2"][:3].tolist() == [1.0] * 3, "a parameter without a gradient has moved"


def params(**settings):
    """Set keys of section train."""
    before, train, text = Path(layout.PARAMS).read_text().partition("\ntrain:")
    for name, value in settings.items():
        text, count = re.subn(rf"(?m)^  {name}: .*$", f"  {name}: {value}", text, count=1)
        assert count == 1, name
    Path(layout.PARAMS).write_text(before + train + text)


def train_apart(**environment):
    return subprocess.Popen(
        [sys.executable, "pipelines/train.py"],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def outputs():
    paths = (layout.WEIGHTS, layout.CARD, layout.FORGETTING, layout.POOL_DYNAMICS, layout.TRAIN_METRICS)
    return {path: Path(path).read_bytes() for path in paths}


@with_fabric
@two
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_stage_in_two_processes(first_round):
    """It says nothing; a kill ends both processes; the next run goes on, to the bytes of an undisturbed one."""
    from safetensors.numpy import load

    al("oracle")
    assert stage("merge_labels") == 0
    assert stage("train") == 0
    alone = outputs()
    strategy = "ensemble\n  ensemble: {dropout: 0.3}"
    params(devices=2, epochs=400, dynamics_every=0, strategy=strategy)
    done = train_apart()
    assert (done.communicate()[0], done.returncode) == (b"", 0)
    undisturbed = outputs()
    assert undisturbed != alone
    kept = Path(layout.TRAININGS)
    assert not list(kept.rglob("*.safetensors"))

    params(checkpoint_every=0.01)
    killed = train_apart()
    while not len(list(kept.rglob("*.safetensors"))) > 2:
        assert killed.poll() is None
        time.sleep(0.01)
    others = children_of(killed.pid)
    assert len(others) == 1
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{others[0]}").exists() and "Z" not in Path(f"/proc/{others[0]}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline, "another process lives on"
        time.sleep(0.05)
    assert outputs() == undisturbed
    assert load(undisturbed[layout.WEIGHTS])
    shutil.rmtree("model")
    done = train_apart()
    assert (done.communicate()[0], done.returncode) == (b"", 0)
    assert outputs() == undisturbed


@with_fabric
@two
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize("wait", [0.0, 20.0], ids=["before they meet", "in training"])
def test_a_lost_process_ends_the_stage(first_round, wait):
    """One line and an exit code, no waiting for ever."""
    al("oracle")
    assert stage("merge_labels") == 0
    params(devices=2, epochs=100_000, dynamics_every=0, strategy="single")
    running = train_apart()
    deadline = time.monotonic() + 60
    while not (others := children_of(running.pid)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(wait)
    os.kill(others[0], signal.SIGKILL)
    said = running.communicate(timeout=30)[0].decode()
    assert running.returncode == 1
    assert said.startswith("train: ")
    assert said.count("\n") == 1, said
