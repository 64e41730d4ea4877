"""Simulated campaigns: paired, resumable, honest, and one line where they cannot be."""

import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from conftest import ROOT, al, blobs, stage, tree, truth

from al_plugin import layout, store
from al_plugin.cli import simulate as command
from al_plugin.data.pool import sample_table
from al_plugin.errors import AlError
from al_plugin.simulate import output, results
from al_plugin.simulate import run as training
from al_plugin.simulate.analysis import Question, analysed
from al_plugin.simulate.data import from_folders, preflight
from al_plugin.simulate.plan import Arm, Plan, Seeds, arms_of, fitted_plan, seeds_of
from al_plugin.simulate.run import first_labels, run
from al_plugin.simulate.table import aligned, lines
from al_plugin.simulate.workers import outcomes
from al_plugin.stage import load_params

FILES = output.FILES


@pytest.fixture
def labelled(campaign: Path) -> Path:
    """A campaign with a labelled pool and evaluation set in folders of their own."""
    for name, n, seed in (("pool", 90, 5), ("eval", 30, 6)):
        ids, features, labels = blobs(n, seed, name)
        # Harder than the blobs of the other tests: curves must have somewhere to go.
        features += np.random.default_rng(seed).normal(size=features.shape) * 2.5
        for part in range(2):
            rows = slice(part * n // 2, (part + 1) * n // 2)
            path = campaign / "known" / name / f"part-{part}.parquet"
            store.write_table(path, sample_table(ids[rows], features[rows], labels[rows]))
    return campaign


def simulate(*extra: str, recipes: str = "margin,badge", jobs: int = 1, out: str = "out") -> int:
    sized = ("--seeds", "2", "--start", "6", "--n", "6", "--rounds", "3")
    given = {extra[i]: extra[i + 1] for i in range(len(extra) - 1) if extra[i].startswith("--")}
    kept = [word for i in range(0, len(sized), 2) if sized[i] not in given for word in sized[i : i + 2]]
    folders = () if {"--pool", "--labels"} & set(extra) else ("--pool", "known/pool", "--eval", "known/eval")
    extra = tuple(word for word in extra if word != "--labels")
    return al("simulate", *folders, *kept, "--recipes", recipes, "--jobs", str(jobs), "--out", out, *extra)


def read(folder: str = "out") -> dict:
    return json.loads(Path(folder, output.DOCUMENT).read_text())


def own_strategy(body: str) -> None:
    Path("mine.py").write_text(
        "import os\nimport numpy as np\nfrom al_plugin.strategies.registry import strategy\n\n\n"
        '@strategy("stumbles", reference="-", cost="-", use="-")\n'
        f"def stumbles(log_probs):\n{body}\n    return np.zeros(len(log_probs))\n"
    )


@pytest.fixture(autouse=True)
def _forget_mine():
    yield
    sys.modules.pop("mine", None)


# Pairing


def test_arms_share_all_seeds_but_the_strategys() -> None:
    one, other = seeds_of(7, 2, Arm("a", "margin")), seeds_of(7, 2, Arm("b", "margin"))
    assert (one.split, one.start, one.model) == (other.split, other.start, other.model)
    assert one.strategy != other.strategy
    drawn = [seeds_of(root, k, Arm("a", "margin")) for root in range(3) for k in range(20)]
    numbers = [n for s in drawn for n in vars(s).values()]
    assert len(set(numbers)) == len(numbers)


def test_more_seeds_leave_the_first_ones_as_they_are(labelled: Path) -> None:
    assert simulate() == 0
    before = read()["results"]["arms"]
    assert simulate("--seeds", "3", out="more") == 0
    after = read("more")["results"]["arms"]
    for arm in before:
        assert after[arm]["by_seed"][:2] == before[arm]["by_seed"]


def test_arms_start_from_the_same_labels_and_model(labelled: Path) -> None:
    assert simulate(recipes="margin,badge,typiclust,auto") == 0
    arms = read()["results"]["arms"]
    assert len({tuple(curve[0] for curve in arm["by_seed"]) for arm in arms.values()}) == 1
    assert len({json.dumps(arm["by_seed"]) for arm in arms.values()}) > 1


@pytest.mark.parametrize("recipe", ["auto", "typiclust"])
def test_a_simulated_campaign_is_the_campaign(campaign: Path, monkeypatch: pytest.MonkeyPatch, recipe: str) -> None:
    """With the campaign's own seed everywhere, three answered rounds measure the same to the last bit."""
    params = Path(layout.PARAMS)
    params.write_text(params.read_text().replace("recipe: auto", f"recipe: {recipe}"))
    measured = []
    for number in range(4):
        for name in ("merge_labels", "train", "score", "select_query"):
            assert stage(name) == 0
        measured.append(json.loads(Path(layout.TRAIN_METRICS).read_text())["eval"])
        if number < 3:
            al("oracle")
    table = pa.concat_tables(store.read_parts(layout.POOL, "").values())
    ids = table.column("sample_id").to_pylist()
    store.write_table("all/part.parquet", table.append_column("label", pa.array([truth(i) for i in ids])))
    data = from_folders("all", layout.EVAL, 0.0, load_params())
    monkeypatch.setattr(training, "seeds_of", lambda *_: Seeds(0, 0, 0, 0))
    found = run(data, load_params(), Plan((), 1, 0, 12, 3), Arm(recipe, recipe), 0)
    assert found["labels"] == [12, 24, 36]
    for name in training.MEASURED:
        assert found[name] == [metrics[name] for metrics in measured[1:]], name


def test_recording_dynamics_changes_nothing_else(labelled: Path) -> None:
    """So it is left out where no strategy asks for it; here one does, and one does not."""
    params = load_params()
    data = from_folders("known/pool", "known/eval", 0.0, load_params())
    plan = Plan((), 1, 6, 6, 3)
    arm = Arm("margin", "margin")
    off = replace(params, train=replace(params.train, dynamics_every=0))
    assert run(data, params, plan, arm, 0) == run(data, off, plan, arm, 0)
    assert run(data, params, plan, Arm("x", "label_dispersion"), 0)["labels"] == [6, 12, 18, 24]


@pytest.mark.parametrize("recipe", ["epig", "active_lab", "alfa_mix", "learning_loss", "qbc"])
def test_every_kind_of_signal_is_at_hand(labelled: Path, recipe: str) -> None:
    """Targets, annotations, the head's weights, what training gives, and a committee."""
    data = from_folders("known/pool", "known/eval", 0.0, load_params())
    assert run(data, load_params(), Plan((), 1, 9, 3, 2), Arm(recipe, recipe), 0)["labels"] == [9, 12, 15]


def test_a_share_set_aside_is_drawn_anew_for_every_seed(labelled: Path) -> None:
    data = from_folders("known/pool", None, 0.3, load_params())
    assert data.sizes() == (63, 27)
    pool, truth, evaluation = data.split(1)
    assert (len(pool), len(truth), len(evaluation.labels)) == (63, 63, 27)
    assert not np.array_equal(pool.ids, data.split(2)[0].ids)
    both = np.concatenate([pool.features, evaluation.features])
    assert np.array_equal(np.sort(both, axis=0), np.sort(data.pool.features, axis=0))


def test_the_first_labels_can_be_balanced(labelled: Path) -> None:
    data = from_folders("known/pool", "known/eval", 0.0, load_params())
    pool, truth, _ = data.split(0)
    for seed in range(20):
        chosen = first_labels(pool, truth, Plan((), 1, 7, 1, 1, balanced=True), seed)
        assert sorted(np.bincount(truth[chosen], minlength=3)) == [2, 2, 3]
    drawn = [first_labels(pool, truth, Plan((), 1, 7, 1, 1), seed).tolist() for seed in range(20)]
    assert len({tuple(d) for d in drawn}) == 20


def test_own_triples_are_arms(labelled: Path) -> None:
    Path("mine.py").write_text((ROOT / "benchmarks/controls.py").read_text())
    name = "single+mine:reversed_margin+top"
    assert simulate(recipes=name) == 0
    assert read()["strategies"][name]["score"] == "mine:reversed_margin"


# The same bytes


LONG = ["--recipes", "margin,badge,entropy", "--seeds", "3", "--start", "6", "--n", "4", "--rounds", "10"]


def start(folder: Path) -> subprocess.Popen:
    words = ["simulate", "--pool", "known/pool", "--eval", "known/eval", *LONG, "--jobs", "2", "--out", "out"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "al_plugin.cli.main", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True)


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in tasks.read_text().split()] if tasks.exists() else []


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def finished_runs(folder: Path) -> dict[Path, int]:
    paths = folder.glob(f"{results.FOLDER}/*/*-*.json")
    return {path: path.stat().st_mtime_ns for path in paths if not path.name.startswith(".")}


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_killed_and_resumed_is_as_if_undisturbed(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL between runs of two processes; undisturbed in one. No worker stays, nothing is run twice."""
    undisturbed = tmp_path / "undisturbed"
    shutil.copytree(labelled, undisturbed)
    process = start(labelled)
    deadline = time.monotonic() + 120
    while len(finished_runs(labelled)) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    workers = children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"
    deadline = time.monotonic() + 20
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(workers) >= 2
    assert not any(map(alive, workers))
    assert not Path(labelled, "out").exists()
    before = finished_runs(labelled)
    assert 3 <= len(before) < 12
    said, complaint = start(labelled).communicate()
    assert re.search(rf"^{len(before)} of 12 runs were there", complaint, re.MULTILINE), complaint
    after = finished_runs(labelled)
    assert len(after) == 12
    assert all(after[path] == when for path, when in before.items())
    monkeypatch.chdir(undisturbed)
    capsys.readouterr()
    assert al("simulate", "--pool", "known/pool", "--eval", "known/eval", *LONG, "--jobs", "1", "--out", "out") == 0
    assert capsys.readouterr().out == said
    for name in FILES:
        assert (labelled / "out" / name).read_bytes() == (undisturbed / "out" / name).read_bytes(), name
    for path in after:
        assert path.read_bytes() == (undisturbed / path.relative_to(labelled)).read_bytes()


def test_a_run_that_cannot_be_read_is_run_again(labelled: Path) -> None:
    assert simulate() == 0
    path = min(finished_runs(labelled))
    whole = path.read_bytes()
    path.write_bytes(whole[:40])
    assert simulate() == 0
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("old", "new"), [("epochs: 8", "epochs: 9"), ("passes: 20 ", "passes: 21 "), ("seed: 0", "seed: 1")]
)
def test_other_settings_are_other_runs(labelled: Path, old: str, new: str) -> None:
    assert simulate(recipes="margin") == 0
    params = Path(layout.PARAMS).read_text()
    assert old in params
    Path(layout.PARAMS).write_text(params.replace(old, new))
    assert simulate(recipes="margin", out="other") == 0
    assert read()["key"] != read("other")["key"]


def test_other_labels_are_other_runs(labelled: Path) -> None:
    data = from_folders("known/pool", "known/eval", 0.0, load_params())
    plan = Plan((), 1, 6, 6, 3)
    one = results.key_of(results.Shared(data, load_params(), plan))
    labels = data.labels.copy()
    labels[0] = (labels[0] + 1) % 3
    assert results.key_of(results.Shared(replace(data, labels=labels), load_params(), plan)) != one


def test_an_edited_estimator_is_another_run(labelled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that a knob names counts with its file, though nothing has imported it yet."""
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", str(labelled))])
    data, params = from_folders("known/pool", "known/eval", 0.0, load_params()), load_params()
    own = replace(params, train=replace(params.train, knobs={"estimator": {"estimator": "own_estimators:made"}}))
    found = results.Shared(data, own, Plan((), 1, 6, 6, 3))
    keys = set()
    for strength in (1.0, 1e-6):
        Path("own_estimators.py").write_text(f"def made():\n    return LogisticRegression(C={strength})\n")
        keys.add(results.key_of(found))
    assert len(keys) == 2
    assert "own_estimators" not in sys.modules


def test_other_files_beside_the_target_inputs_are_other_runs(labelled: Path) -> None:
    """An array beside the table, and an image that its uris name."""
    data, params = from_folders("known/pool", "known/eval", 0.0, load_params()), load_params()
    found = results.Shared(data, replace(params, score=replace(params.score, target="met")), Plan((), 1, 6, 6, 3))
    keys = set()
    for name in ("part-0.parquet", "part-0.npy", "images/one.png"):
        for content in (b"one", b"other"):
            store.write_bytes(Path("met", name), content)
            keys.add(results.key_of(found))
    assert len(keys) == 6


def test_it_writes_nothing_but_its_folders(labelled: Path) -> None:
    before = tree(labelled)
    assert simulate() == 0
    after = tree(labelled)
    assert {name for name in after if after[name] != before.get(name)} == {f"out/{name}" for name in FILES}
    assert before.keys() <= after.keys()


# Failures


def test_an_arm_that_fails_midway_leaves_the_others(labelled: Path, capsys: pytest.CaptureFixture) -> None:
    own_strategy(
        "    if len(log_probs) and log_probs[0, 0] != log_probs[1, 0]:\n        raise ValueError('out of\\ntune')"
    )
    assert simulate(recipes="margin,single+mine:stumbles+top", jobs=2) == 1
    found = read()
    assert found["failures"] == [
        {"arm": "single+mine:stumbles+top", "seed": seed, "message": "ValueError: out of"} for seed in (0, 1)
    ]
    assert set(found["results"]["arms"]) == {"random", "margin"}
    assert "failed: single+mine:stumbles+top, seed 1: ValueError: out of" in capsys.readouterr().out


def test_a_process_that_dies_fails_its_run_alone(labelled: Path) -> None:
    own_strategy("    os.kill(os.getpid(), 9)")
    assert simulate(recipes="margin,single+mine:stumbles+top", jobs=2) == 1
    found = read()
    assert [one["message"] for one in found["failures"]] == ["its process ended with signal 9"] * 2
    assert set(found["results"]["arms"]) == {"random", "margin"}


def test_a_process_that_dies_between_two_runs_costs_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has told its result and is gone when the next item is to be sent: a fresh one takes that."""
    (tmp_path / "mine.py").write_text(
        "import os, threading, time\nfrom pathlib import Path\n\n\n"
        "def work(folder, item):\n"
        "    if item == 1:\n"
        "        while not Path(folder, 'go').exists():\n            time.sleep(0.01)\n"
        "        threading.Thread(target=lambda: (time.sleep(0.5), os._exit(9))).start()\n"
        "    return 10 * item\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    from mine import work

    found = outcomes(work, str(tmp_path), range(6), 2)
    told = [next(found)]
    (tmp_path / "go").touch()
    before, deadline = len(multiprocessing.active_children()), time.monotonic() + 60
    while len(multiprocessing.active_children()) == before and time.monotonic() < deadline:
        time.sleep(0.05)
    told += found
    assert {one.item: one.result for one in told} == {item: 10 * item for item in range(6)}
    assert [one.failure for one in told] == [""] * 6


def test_a_broken_promise_is_told_in_the_rounds_words(labelled: Path) -> None:
    own_strategy("    return np.full(len(log_probs), np.nan)")
    assert simulate(recipes="single+mine:stumbles+top") == 1
    assert "scores" in read()["failures"][0]["message"]


@pytest.mark.parametrize(
    ("extra", "recipes", "words"),
    [
        ((), "margn", "arm 'margn': campaign.recipe asks for 'margn', which does not exist (did you mean 'margin'?)"),
        ((), "single+margin", "has 2 parts"),
        ((), "single+margin+tpo", "did you mean 'top'?"),
        ((), "single+learning_loss+top", "score.strategy asks for 'learning_loss'"),
        (("--start", "0"), "margin", "arm 'margin': select.strategy top needs scores"),
        (("--rounds", "40"), "margin", "6 first labels and 40 rounds of 6, 246 in all; the pool has 90 labels"),
        (("--seeds", "0"), "margin", "asked for 0 seeds"),
        (("--n", "0"), "margin", "rounds of 0"),
        (("--start", "-1"), "margin", "asked for -1 first labels"),
        (("--eval-share", "0.5"), "margin", "either --eval FOLDER or --eval-share P"),
        (("--difference", "0"), "margin", "--difference is 0"),
        (("--jobs", "0"), "margin", "--jobs is 0"),
        (("--pool", "known/pool"), "margin", "either --eval FOLDER or --eval-share P"),
        (("--pool", "known/pool", "--eval-share", "1"), "margin", "--eval-share is 1.0"),
        (("--pool", "known/pool", "--eval-share", "0.005"), "margin", "90 samples to label and 0 to measure on"),
        (("--pool", "known/pool", "--eval", "known/pool"), "margin", "in the pool and in the evaluation set"),
        (("--pool", "nowhere", "--eval", "known/eval"), "margin", "nowhere holds no parquet file"),
        (("--pool", "data/pool", "--eval", "known/eval"), "margin", "column label is missing"),
    ],
)
def test_bad_input_is_one_line_before_anything_runs(
    labelled: Path, capsys: pytest.CaptureFixture, extra: tuple[str, ...], recipes: str, words: str
) -> None:
    before = tree(labelled)
    assert simulate(*extra, recipes=recipes) == 1
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert words in line
    assert tree(labelled) == before
    assert not Path(results.FOLDER).exists()


def test_nothing_of_the_users_is_overwritten(labelled: Path, capsys: pytest.CaptureFixture) -> None:
    Path("out").mkdir()
    Path("out/curves.csv").write_text("mine")
    assert simulate() == 1
    assert "out is not empty" in capsys.readouterr().err
    assert Path("out/curves.csv").read_text() == "mine"


# Few seeds, targets, classes


def test_one_seed_makes_no_claim(labelled: Path, capsys: pytest.CaptureFixture) -> None:
    assert simulate("--seeds", "1") == 0
    said = capsys.readouterr().out
    assert "warning: one seed: no error can be told and nothing is claimed" in said
    assert {one["verdict"] for one in read()["results"]["against_reference"]} == {"too few seeds"}
    assert "±" not in said


def test_a_target_never_reached(labelled: Path, capsys: pytest.CaptureFixture) -> None:
    assert simulate("--target", "1.01") == 0
    assert {arm["to_target"] for arm in read()["results"]["arms"].values()} == {None}
    assert "> 24" in capsys.readouterr().out


def test_a_missing_class_is_told(labelled: Path) -> None:
    ids, features, labels = blobs(60, 5, "p")
    kept = [i for i, label in enumerate(labels) if label != "c"]
    table = sample_table([ids[i] for i in kept], features[kept], [labels[i] for i in kept])
    store.write_table("few/part.parquet", table)
    assert simulate("--pool", "few", "--eval", "known/eval") == 0
    assert "no label of the pool is c: no arm can learn what is not there" in read()["notes"]


def test_copies_in_the_evaluation_set_are_told(labelled: Path) -> None:
    """Other ids, so not refused: the same features under another name."""
    ids, features, labels = blobs(60, 5, "p")
    store.write_table("a/part.parquet", sample_table(ids, features, labels))
    store.write_table("b/part.parquet", sample_table([f"x{i}" for i in range(7)], features[:7], labels[:7]))
    assert simulate("--pool", "a", "--eval", "b") == 0
    assert any(note.startswith("7 evaluation samples are exact copies") for note in read()["notes"])


def test_before_the_first_label(labelled: Path) -> None:
    assert simulate("--start", "0", recipes="typiclust,auto") == 0
    assert read()["plan"]["budgets"] == [6, 12, 18]


# The campaign's own labels


def test_preflight_takes_the_labels_that_are_there(first_round: Path, capsys: pytest.CaptureFixture) -> None:
    assert al("simulate") == 1
    assert "this campaign has no labels yet" in capsys.readouterr().err
    for _ in range(3):
        al("oracle")
        for name in ("merge_labels", "train", "score", "select_query"):
            assert stage(name) == 0
    assert len(preflight(load_params()).labels) == 36
    capsys.readouterr()
    assert al("simulate", "--recipes", "margin", "--seeds", "2", "--jobs", "1") == 0
    said = capsys.readouterr().out
    assert "pool 36, measured on 30" in said
    assert "what earlier queries asked for" in said
    assert read(output.DEFAULT)["data"]["source"] == "preflight"
    assert output.newest_preflight() == read(output.DEFAULT)
    assert simulate("--labels", "--start", "30", "--n", "7", "--rounds", "1") == 1
    assert "37 in all; the pool has 36 labels" in capsys.readouterr().err


@pytest.mark.parametrize("pool", [3, 10, 50, 200, 5000])
def test_budgets_that_nobody_asked_for_fit(campaign: Path, pool: int) -> None:
    plan = fitted_plan(pool, load_params(), seeds=5, start=None, n=None, rounds=None)
    assert plan.start >= 1
    assert plan.end <= max(pool // 2, plan.start + 1)
    assert 1 <= plan.rounds <= 15


# What is claimed


def runs_of(shift: float, noise: float, seeds: int, seed: int = 0) -> list[dict]:
    rng = np.random.default_rng(seed)
    base = np.array([0.5, 0.6, 0.7])
    return [{"labels": [10, 20, 30], "accuracy": (base + shift + rng.normal() * noise).tolist()} for _ in range(seeds)]


def verdicts(seeds: int, **arms: tuple[float, float]) -> dict[str, str]:
    runs = {"random": runs_of(0, 0, seeds)}
    runs |= {name: runs_of(*given, seeds, i + 1) for i, (name, given) in enumerate(arms.items())}
    return {one["first"]: one["verdict"] for one in analysed(runs, Question())["against_reference"]}


def test_verdicts() -> None:
    found = verdicts(12, up=(0.05, 0.01), down=(-0.05, 0.01), same=(0.0, 0.002), unclear=(0.0, 0.05))
    assert found == {"up": "better", "down": "worse", "same": "equivalent", "unclear": "undecided"}
    assert set(verdicts(4, up=(0.05, 0.001)).values()) == {"too few seeds"}


def test_verdicts_of_twins_are_seldom_wrong() -> None:
    """100 comparisons of four arms that are random: at most 5 % of families claim anything (binomial, 4 errors)."""
    wrong = 0
    for family in range(100):
        runs = {name: runs_of(0, 0.02, 6, 10 * family + i) for i, name in enumerate(("random", "a", "b", "c"))}
        found = analysed(runs, Question())["against_reference"]
        wrong += any(one["verdict"] in ("better", "worse") for one in found)
    assert wrong <= 5 + 4 * np.sqrt(100 * 0.05 * 0.95)


def test_the_table_is_aligned_text() -> None:
    assert aligned([["a", "10"], ["bcd", "2"]], left=(0,)) == ["a    10", "bcd   2"]


def test_every_number_of_the_table_is_in_the_document(labelled: Path) -> None:
    assert simulate("--seeds", "5") == 0
    found = read()
    text = "\n".join(lines(found))
    for name, arm in found["results"]["arms"].items():
        assert f"{name} " in text
        assert f"{arm['area']:.2f} ± {arm['area_half_width']:.2f}" in text
    for one in found["results"]["against_reference"]:
        assert f"{one['mean']:+.2f} ({one['low']:+.2f} to {one['high']:+.2f})" in text
    assert not re.search(r"nan|inf\b|None", text)


def test_curves_are_there_seed_by_seed(labelled: Path) -> None:
    assert simulate() == 0
    rows = Path("out", output.CURVES).read_text().splitlines()
    assert rows[0] == "arm,seed,labels,accuracy,balanced_accuracy,nll,ece"
    assert len(rows) == 1 + 3 * 2 * 4
    first = rows[1].split(",")
    assert float(first[3]) == read()["results"]["arms"][first[0]]["by_seed"][int(first[1])][0]


def test_a_line_per_run_where_there_is_no_terminal(labelled: Path, capsys: pytest.CaptureFixture) -> None:
    assert simulate() == 0
    assert len(re.findall(r"^\d/6 \w+, seed \d: done", capsys.readouterr().err, re.MULTILINE)) == 6


def test_a_bar_on_a_terminal(labelled: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert simulate() == 0
    assert "6/6 runs" in capsys.readouterr().err


def test_arms_are_checked_with_the_reference_first(campaign: Path) -> None:
    params = load_params()
    assert [arm.name for arm in arms_of(["margin", " badge", "random", ""], params, start=5)] == [
        "random",
        "margin",
        "badge",
    ]
    with pytest.raises(AlError):
        arms_of(["vaal+x"], params, start=5)


def test_the_default_recipes_exist(campaign: Path) -> None:
    assert len(arms_of(command.RECIPES.split(","), load_params(), start=1)) == 7


# MLflow


def test_mlflow_has_a_run_per_arm_with_labels_as_steps(labelled: Path, capsys: pytest.CaptureFixture) -> None:
    from mlflow import MlflowClient

    assert simulate("--track") == 0
    assert "told to MLflow, experiment al/toy/simulations" in capsys.readouterr().out
    client = MlflowClient(tracking_uri=f"sqlite:///{Path.cwd()}/mlflow.db")  # relative, MLflow keeps another test's
    (experiment,) = [e for e in client.search_experiments() if e.name.endswith("/simulations")]
    runs = client.search_runs([experiment.experiment_id])
    arms = {r.info.run_name: r for r in runs if r.data.tags["al.kind"] == "simulation"}
    assert set(arms) == {"random", "margin", "badge"}
    found = read()["results"]["arms"]["badge"]
    history = client.get_metric_history(arms["badge"].info.run_id, "simulation/accuracy")
    assert {point.step: point.value for point in history} == dict(zip(found["labels"], found["mean"], strict=True))
    nested = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == arms["badge"].info.run_id]
    assert sorted(r.info.run_name for r in nested) == ["badge seed 0", "badge seed 1"]
    assert {a.path for a in client.list_artifacts(arms["badge"].info.run_id)} == set(FILES)
    assert simulate("--track") == 0
    assert "MLflow was told of this simulation before" in capsys.readouterr().out
    assert len(client.search_runs([experiment.experiment_id])) == len(runs)


def test_a_silent_server_does_not_fail_a_simulation(
    labelled: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert simulate("--track") == 0
    assert "could not be told" in capsys.readouterr().out
