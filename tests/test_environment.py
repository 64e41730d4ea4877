"""The environment of a round: what is recorded, that it is deterministic, and how a difference is told."""

import copy
import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import al, commit, stage, turn

from al_plugin import commands, layout, store, witness
from al_plugin.environment import differences, distributions, environment


def test_distributions_are_those_that_python_finds() -> None:
    """By folder names, and by the slow way: the first of a name on the path."""
    found: dict[str, str] = {}
    for one in importlib.metadata.distributions():
        found.setdefault(re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower(), one.version)
    assert distributions() == dict(sorted(found.items()))


def test_two_processes_say_the_same() -> None:
    """No time, path, user or host in it; torch is not imported for it."""
    code = (
        "import json, sys; from al_plugin.environment import environment\n"
        "print(json.dumps(environment('cpu'), sort_keys=True)); assert 'torch' not in sys.modules"
    )
    first, second = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )
    assert first == second
    assert json.loads(first)["torch"] is None


def test_what_decides_sums_is_in_it() -> None:
    found = environment("auto")
    assert found["torch"]["capability"] == torch.backends.cpu.get_cpu_capability()
    assert found["torch"]["threads"] == torch.get_num_threads()
    assert found["torch"]["version"] == str(torch.__version__)
    assert found["distributions"]["numpy"] == importlib.metadata.version("numpy")
    assert found["python"].endswith(".".join(map(str, sys.version_info[:3])))
    assert "BLAS_INFO" in found["torch"]["settings"]
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        assert found["device"] == "cpu"


# Where a change is made, and how the first difference is then told.
CHANGES = [
    (("distributions", "torch"), "1.0", "library torch: "),
    (("distributions", "pyarrow"), None, "library pyarrow: "),
    (("code",), "0", "code of al-plugin"),
    (("torch", "commit"), "abc", "torch build: commit: "),
    (("torch", "settings"), {"BLAS_INFO": "open"}, "torch build: settings: "),
    (("torch", "threads"), 16, "thread count: 1, recorded 16"),
    (("device",), "cuda 12.8 on some card", "device: cpu, recorded cuda 12.8 on some card"),
    (("torch", "capability"), "AVX2", "CPU features: "),
    (("cpu", "features"), ["SSE"], "CPU: features: "),
    (("cpu", "blas"), ["openblas 0.3 Haswell"], "CPU: blas: "),
    (("cpu", "model"), "Z80", "CPU: model: "),
    (("python",), "CPython 3.8.0", "python: "),
    (("platform",), "Linux aarch64 glibc 2.36", "platform: "),
    (("distributions", "certifi"), "1", "library certifi: "),
]


@pytest.mark.parametrize(("path", "value", "told"), CHANGES, ids=[".".join(path) for path, _, _ in CHANGES])
def test_a_difference_is_named(path: tuple[str, ...], value: object, told: str) -> None:
    now = environment("cpu")
    now["torch"]["threads"] = 1
    before = copy.deepcopy(now)
    inner = before
    for word in path[:-1]:
        inner = inner[word]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    found = list(differences(before, now))
    assert len(found) == 1
    assert found[0].startswith(told)
    assert list(differences(now, now)) == []


def test_the_likeliest_difference_is_told_first() -> None:
    now = environment("cpu")
    before = copy.deepcopy(now)
    before["distributions"] |= {"aaa": "1", "torch": "1.0"}
    before["torch"]["threads"] = 99
    before["python"] = "CPython 2.7"
    heads = [line.split(":")[0] for line in differences(before, now)]
    assert heads == ["library torch", "thread count", "python", "library aaa"]


def test_each_round_has_its_environment_and_recording_changes_no_output(first_round: Path) -> None:
    """A second training of the same model adds nothing; another model of the round replaces the line."""
    path = Path(layout.environment_of(0))
    lines = path.read_text().splitlines()
    assert len(lines) == 1
    outputs = json.loads(lines[0])["outputs"]
    found = witness.environment_of(Path(), 0, outputs)
    assert found is not None
    assert found["distributions"] == distributions()
    assert witness.environment_of(Path(), 0, outputs | {layout.CARD: "0" * 32}) is None
    before = path.stat().st_mtime_ns
    assert stage("train") == 0
    assert path.stat().st_mtime_ns == before
    assert al("oracle") == 0
    turn()
    Path(layout.PARAMS).write_text(Path(layout.PARAMS).read_text().replace("epochs: 8", "epochs: 2"))
    first = Path(layout.environment_of(1)).read_text()
    assert stage("train") == 0
    second = Path(layout.environment_of(1)).read_text()
    assert len(second.splitlines()) == 1
    assert first != second


def test_a_recorded_environment_is_no_work_of_another_machine(first_round: Path) -> None:
    """Where the same model was recorded in another environment, that stays: either made these bytes."""
    line = json.loads(Path(layout.environment_of(0)).read_text())
    other = Path(layout.ENVIRONMENTS, "0123456789abcdef.json")
    other.write_text(json.dumps({"schema": "environment/1", "python": "CPython 3.13.0"}))
    text = json.dumps(line | {"environment": "0123456789abcdef"}) + "\n"
    Path(layout.environment_of(0)).write_text(text)
    assert stage("train") == 0
    assert Path(layout.environment_of(0)).read_text() == text


def test_two_branches_that_ran_a_round_merge_by_themselves(first_round: Path) -> None:
    """In different environments: both lines stay, each with its model; no conflict."""
    commit(first_round, "Round 0")
    path = Path(layout.environment_of(0))
    line = json.loads(path.read_text())
    commands.git("rm", "--quiet", "--", str(path))
    commit(first_round, "Base")
    for branch, key in (("one", "1" * 16), ("two", "2" * 16)):
        commands.git("checkout", "--quiet", "-b", branch, "main")
        path.write_text(json.dumps(line | {"environment": key}) + "\n")
        Path(layout.ENVIRONMENTS, f"{key}.json").write_text(json.dumps({"python": key}))
        commit(first_round, branch)
    commands.git("-c", "user.name=test", "-c", "user.email=test@localhost", "merge", "--quiet", "one", "-m", "Both")
    assert len(path.read_text().splitlines()) == 2
    assert witness.environment_of(Path(), 0, line["outputs"]) in ({"python": "1" * 16}, {"python": "2" * 16})


@pytest.mark.parametrize("line", ["{", '{"environment": "../../params", "outputs": {}}', "[]", '"x"', "{}"])
def test_a_damaged_record_is_none(line: str, tmp_path: Path) -> None:
    path = tmp_path / layout.environment_of(0)
    path.parent.mkdir(parents=True)
    path.write_text(f"{line}\n")
    assert witness.environment_of(tmp_path, 0, {}) is None


@pytest.mark.parametrize("content", ["", "[]", '{"distributions": []}', '{"cpu": 5}', '{"torch": "2.0"}'])
def test_a_damaged_environment_is_none(content: str, tmp_path: Path) -> None:
    outputs = {layout.WEIGHTS: "1", layout.CARD: "2"}
    line = json.dumps({"environment": "0" * 16, "outputs": outputs})
    store.write_bytes(tmp_path / layout.environment_of(0), line.encode())
    store.write_bytes(tmp_path / layout.ENVIRONMENTS / f"{'0' * 16}.json", content.encode())
    assert witness.environment_of(tmp_path, 0, outputs) is None


def test_what_cannot_be_recorded_fails_no_round(first_round: Path, capsys: pytest.CaptureFixture) -> None:
    import shutil

    shutil.rmtree(layout.ENVIRONMENTS)
    Path(layout.ENVIRONMENTS).write_text("a file in the way")
    assert stage("train") == 0
    assert "the environment is not recorded" in capsys.readouterr().out


def test_mlflow_is_told_of_it_and_does_not_take_it_for_unfinished_work(first_round: Path) -> None:
    import mlflow

    assert layout.ENVIRONMENTS in commands.git("status", "--porcelain")
    assert stage("track") == 0
    client = mlflow.MlflowClient("sqlite:///mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("al/toy").experiment_id], "tags.`al.kind` = 'round'")
    assert runs[0].data.tags["git.dirty"] == "false"
    kept = [path for path in Path().rglob("environment.json") if runs[0].info.run_id in path.parts]
    assert json.loads(kept[0].read_text())["distributions"] == distributions()
