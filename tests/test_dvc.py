"""Real dvc commands: the demo, the shipped campaign, replay, experiments, clones."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CLASSES, ROOT, al, blobs, commit, filed, fill

from al_plugin import commands, history, layout, store, template
from al_plugin.data.pool import sample_table
from al_plugin.demo import build

pytestmark = pytest.mark.dvc


def run(*words: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(words, cwd=cwd, env=commands.environment(env), capture_output=True, text=True, check=False)


def dvc(*words: str, cwd: Path) -> str:
    done = run(sys.executable, "-m", "dvc", *words, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`al demo` with two answered rounds; copy it before changing it."""
    folder = tmp_path_factory.mktemp("demo") / "al demo żółć"
    build(folder, 2, 40, lambda _: None)
    return folder


@pytest.fixture
def copy(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "copy"
    shutil.copytree(demo, root, symlinks=True)
    monkeypatch.chdir(root)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    history.cache_folder.cache_clear()
    return root


def test_the_demo_starts_from_nothing_and_learns(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Round 0 without labels, then two rounds; everything is committed and the tree is clean."""
    monkeypatch.chdir(demo)
    assert commands.git("status", "--porcelain") == ""
    rounds = history.past_rounds()
    assert list(rounds) == [0, 1, 2]
    metrics = [json.loads(history.read_output(past, layout.TRAIN_METRICS)) for past in rounds.values()]
    assert [m["labels"] for m in metrics] == [0, 40, 80]
    assert metrics[0]["eval"]["accuracy"] is None
    assert metrics[2]["eval"]["accuracy"] > metrics[1]["eval"]["accuracy"] > 0.7


def test_status_tells_the_next_step(copy: Path, capsys: pytest.CaptureFixture) -> None:
    assert al("status") == 0
    said = capsys.readouterr().out
    assert "round     2" in said
    assert "labels    80 from 80 votes" in said
    assert "al query export round_0003.csv" in said
    assert "round   1      40 labels" in said


def test_nothing_new_runs_nothing(copy: Path) -> None:
    assert "Data and pipelines are up to date" in dvc("repro", cwd=copy)
    assert commands.git("status", "--porcelain") == ""


FAMILIES = {
    "committee": ("ensemble", {}),
    "joint": ("batch_bald", {"posterior: dropout": "posterior: laplace", "passes: 20": "passes: 40"}),
    "target": ("epig", {"targets: 100": "targets: 30"}),
    "gradient": ("badge", {}),
    "fisher": ("noise_stability", {}),
    "coverage": ("prob_cover", {}),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_recipe_of_each_family_through_dvc(family: str, copy: Path) -> None:
    """`dvc repro` with another recipe asks other samples, and then has nothing left to do."""
    recipe, changes = FAMILIES[family]
    before = (copy / layout.QUERY).read_text()
    text = (copy / layout.PARAMS).read_text().replace("recipe: auto", f"recipe: {recipe}")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (copy / layout.PARAMS).write_text(text)
    dvc("repro", "select", cwd=copy)
    rows = [json.loads(line) for line in (copy / layout.QUERY).read_text().splitlines()]
    assert len({row["sample_id"] for row in rows}) == 40
    assert (copy / layout.QUERY).read_text() != before
    assert "up to date" in dvc("repro", "select", cwd=copy)


def test_every_round_replays_identically(copy: Path, capsys: pytest.CaptureFixture) -> None:
    """Recomputed in a clone from data alone, without the run-cache."""
    assert al("replay", "--all") == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[2].strip() for line in said] == ["19 outputs identical"] * 3


def test_replay_names_the_stage_and_input_that_differ(copy: Path, capsys: pytest.CaptureFixture) -> None:
    """A lock that promises other bytes than the data give."""
    lock = Path(layout.DVC_LOCK).read_text()
    past = history.past_rounds()[2]
    weights = past.outputs()[layout.WEIGHTS]
    assert lock.count(weights) > 1
    Path(layout.DVC_LOCK).write_text(lock.replace(weights, "f" * 32))
    commit(copy, "Tamper")
    assert al("replay", "2") == 1
    said = capsys.readouterr().out
    assert "train differs in model/weights.safetensors" in said
    assert "inputs that differ: none" in said


def test_a_half_finished_round_is_no_round(copy: Path) -> None:
    """A lock whose select read other metrics than merge wrote: repro stopped in between."""
    assert al("oracle") == 0
    dvc("repro", "merge-labels", cwd=copy)
    commit(copy, "Half a round")
    assert list(history.past_rounds()) == [0, 1, 2]
    dvc("repro", "select", cwd=copy)
    commit(copy, "The whole round")
    assert list(history.past_rounds()) == [0, 1, 2, 3]


def test_late_answers_make_the_query_stale(copy: Path, capsys: pytest.CaptureFixture) -> None:
    """The number of rounds stays, the manifests do not: the next step is dvc repro."""
    row = filed(2, "b01--oracle").read_text().splitlines()[1].split(",")
    answer = f"query_id,sample_id,label\n{row[0]},{row[1]},{row[4]}\n".replace('"', "")
    Path("late.csv").write_text(answer)
    assert al("labels", "add", "late.csv", "--annotator", "bob") == 0
    capsys.readouterr()
    assert al("status") == 0
    said = capsys.readouterr().out
    assert "stale" in said
    assert "next      dvc repro" in said


def test_a_campaign_in_a_subfolder_has_a_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`dvc init --subdir`: paths in Git are relative to the campaign."""
    commands.git("init", "--quiet", cwd=tmp_path)
    folder = tmp_path / "team" / "campaign"
    folder.mkdir(parents=True)
    dvc("init", "--subdir", "--quiet", cwd=folder)
    template.write(folder, "sub", CLASSES)
    ids, features, labels = blobs(30, 0, "s")
    store.write_table(folder / layout.POOL / "part-00000.parquet", sample_table(ids, features))
    store.write_table(
        folder / layout.EVAL / "part-00000.parquet", sample_table([f"e{i}" for i in ids], features, labels)
    )
    dvc("add", "--quiet", layout.POOL, layout.EVAL, cwd=folder)
    dvc("repro", "--quiet", "select", cwd=folder)
    commit(tmp_path, "Round 0")
    monkeypatch.chdir(folder)
    history.cache_folder.cache_clear()
    assert list(history.past_rounds()) == [0]
    assert al("replay", "0") == 0
    monkeypatch.chdir(folder / "data")
    assert al("doctor") == 0


def test_replaying_a_round_that_is_not_there(copy: Path, capsys: pytest.CaptureFixture) -> None:
    assert al("replay", "9") == 1
    assert "no commit pins round 9, found rounds: 0, 1, 2" in capsys.readouterr().err


def test_filing_a_query_reruns_select_only(copy: Path) -> None:
    """And changes no byte of it, so MLflow is not told again."""
    before = Path(layout.QUERY).read_bytes()
    assert al("query", "export", "out.csv") == 0
    said = dvc("repro", cwd=copy)
    assert "Running stage 'select'" in said
    for name in ("merge-labels", "train", "score", "track"):
        assert f"Running stage '{name}'" not in said
    assert Path(layout.QUERY).read_bytes() == before
    assert "Data and pipelines are up to date" in dvc("repro", cwd=copy)


def test_an_experiment_with_another_strategy(copy: Path) -> None:
    """`dvc exp run -S select.strategy=...` trains nothing anew and is told to MLflow as its own run."""
    said = dvc("exp", "run", "-S", "select.strategy=kcenter_greedy", "-n", "kcenter", cwd=copy)
    assert "Running stage 'train'" not in said
    assert "Running stage 'select'" in said
    assert json.loads(Path(layout.SELECT_METRICS).read_text())["strategy"] == "kcenter_greedy"


def test_going_back_uses_the_run_cache(copy: Path) -> None:
    """Every output is cached, so an older state is restored, not recomputed."""
    text = Path(layout.PARAMS).read_text()
    Path(layout.PARAMS).write_text(text.replace("  n: 40", "  n: 7"))
    assert "Running stage 'select'" in dvc("repro", "select", cwd=copy)
    Path(layout.PARAMS).write_text(text)
    said = dvc("repro", "select", cwd=copy)
    assert "is cached - skipping run" in said


def test_a_clone_without_any_cache_recomputes_the_same_lock(copy: Path, tmp_path: Path) -> None:
    """Only the pool and the evaluation set are fetched."""
    clone = tmp_path / "clone"
    commands.git("clone", "--quiet", str(copy), str(clone))
    dvc("remote", "add", "--local", "here", str(copy / ".dvc/cache"), cwd=clone)
    dvc("pull", "--quiet", "--remote", "here", "data/pool.dvc", "data/eval.dvc", cwd=clone)
    before = (clone / layout.DVC_LOCK).read_bytes()
    dvc("repro", "--quiet", "select", cwd=clone)
    assert (clone / layout.DVC_LOCK).read_bytes() == before


def test_a_failing_stage_leaves_git_clean_and_the_next_run_whole(copy: Path) -> None:
    """The shipped .gitignore stands when DVC takes its own lines back."""
    text = Path(layout.PARAMS).read_text()
    Path(layout.PARAMS).write_text(text.replace("  strategy: null\n  n: 40", "  strategy: tpo\n  n: 40"))
    done = run(sys.executable, "-m", "dvc", "repro", cwd=copy)
    assert done.returncode != 0
    assert "did you mean" in done.stderr
    Path(layout.PARAMS).write_text(text)
    dvc("repro", "--quiet", cwd=copy)
    assert commands.git("status", "--porcelain") == ""


def test_a_killed_repro_is_finished_by_the_next(copy: Path) -> None:
    """SIGKILL to dvc in the middle of a round; after `al repair` the same bytes as undisturbed.

    DVC empties dvc.lock before it writes it, so a kill there leaves what DVC refuses: without the
    repair this failed once in a while. tests/faults meets that instant each time.
    """
    assert al("oracle") == 0
    commit(copy, "Label round 3")
    undisturbed = copy.parent / "undisturbed"
    shutil.copytree(copy, undisturbed, symlinks=True)
    dvc("repro", "--quiet", "select", cwd=undisturbed)
    for seconds in (1.0, 3.0, 5.0):
        process = subprocess.Popen(
            [sys.executable, "-m", "dvc", "repro", "--quiet", "select"],
            cwd=copy,
            env=commands.environment(),
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert al("repair") == 0
    dvc("repro", "--quiet", "select", cwd=copy)
    assert (copy / layout.DVC_LOCK).read_bytes() == (undisturbed / layout.DVC_LOCK).read_bytes()


def test_a_dead_tracking_server_does_not_fail_the_round(copy: Path) -> None:
    """One line, within seconds; `al track` tells it later."""
    text = Path(layout.PARAMS).read_text()
    Path(layout.PARAMS).write_text(text.replace("  uri: null", "  uri: http://127.0.0.1:9"))
    said = dvc("repro", "track", cwd=copy)
    assert "could not be told" in said
    Path(layout.PARAMS).write_text(text)
    assert al("track") == 0


def test_init_refuses_to_overwrite(copy: Path, capsys: pytest.CaptureFixture) -> None:
    before = commands.git("status", "--porcelain")
    assert al("init", "--classes", "a,b") == 1
    assert "nothing was written" in capsys.readouterr().err
    assert commands.git("status", "--porcelain") == before


def test_init_needs_git_and_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    assert al("init", "--classes", "a,b") == 1
    assert "not in a Git repository" in capsys.readouterr().err
    commands.git("init", "--quiet")
    assert al("init", "--classes", "a,b") == 1
    assert "not a DVC repository" in capsys.readouterr().err
    dvc("init", "--quiet", cwd=tmp_path)
    assert al("init", "--classes", "a") == 1
    assert "campaign.classes" in capsys.readouterr().err
    assert al("init", "--classes", "yes,1", "--name", "x") == 0
    assert "dvc add data/pool data/eval" in capsys.readouterr().out
    assert al("doctor") == 1, "the pool is still missing"
    said = capsys.readouterr().out
    assert "ok      params.yaml: campaign x" in said
    assert "WRONG   pool: data/pool holds no parquet file" in said


def test_init_keeps_existing_ignore_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands.git("init", "--quiet")
    dvc("init", "--quiet", cwd=tmp_path)
    Path(".gitignore").write_text("secret.txt\n")
    assert al("init", "--classes", "a,b", "--name", "x") == 0
    text = Path(".gitignore").read_text()
    assert text.startswith("secret.txt\n")
    assert "/merged" in text


# --- the shipped campaign and the README -------------------------------------------------------


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone of this repository holds, as a repository of its own."""
    root = tmp_path_factory.mktemp("checkout") / "al_plugin"
    for name in commands.git("ls-files", "-co", "--exclude-standard", "-z", cwd=ROOT).split("\0"):
        if name and (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    commands.git("init", "--quiet", cwd=root)
    commit(root, "Clone")
    return root


def test_the_shipped_campaign_runs_and_leaves_git_clean(checkout: Path) -> None:
    """One `dvc repro` at the root: prepare, merge, train, score, select, track; then nothing to do."""
    env = {"PYTHONPATH": str(checkout)}
    done = run(sys.executable, "-m", "dvc", "repro", cwd=checkout, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    metrics = json.loads((checkout / layout.TRAIN_METRICS).read_text())
    assert metrics["labels"] == 50
    assert metrics["eval"]["accuracy"] > 0.75
    assert len((checkout / layout.QUERY).read_text().splitlines()) == 50
    assert commands.git("status", "--porcelain", cwd=checkout) == ""
    again = run(sys.executable, "-m", "dvc", "repro", cwd=checkout, env=env)
    assert "Data and pipelines are up to date" in again.stdout


def test_the_shipped_label_round_is_the_cold_start_query(checkout: Path) -> None:
    """50 labels of the query that round 0 selects, answered by the oracle."""
    (query,) = (checkout / "data/labels/round_0001").glob("query-*.jsonl")
    rows = [json.loads(line) for line in query.read_text().splitlines()]
    assert len(rows) == 50
    assert all("cold start" in row["reason"] for row in rows if row["kind"] == "query")


def readme_block(name: str) -> list[str]:
    """Lines of the README's code block below the comment `<!-- tested: name -->`."""
    text = (ROOT / "README.md").read_text()
    block = text.split(f"<!-- tested: {name} -->", 1)[1].split("```", 2)[1]
    return [line for line in block.splitlines()[1:] if line.strip()]


def test_the_readme_round_by_hand(copy: Path) -> None:
    """The README's ten lines, run as they stand; a person filling a spreadsheet is played by the test."""
    lines = readme_block("by hand")
    assert len(lines) <= 10
    known = dict(line.strip().replace('"', "").split(",") for line in Path(layout.ORACLE).read_text().splitlines())
    for line in lines:
        if line.startswith("#"):
            for who in ("ann", "bob"):
                if Path(f"{who}.csv").exists():
                    fill(Path(f"{who}.csv"), Path(f"{who}.csv"), known.__getitem__, who)
            continue
        done = subprocess.run(
            ["bash", "-ec", line], cwd=copy, env=git_identity(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    metrics = json.loads(Path(layout.LABEL_METRICS).read_text())
    assert metrics["round"] == 3
    assert metrics["annotators"] == 3
    assert metrics["labels"] == 120
    assert commands.git("status", "--porcelain") == ""


def git_identity() -> dict[str, str]:
    names = {"NAME": "test", "EMAIL": "test@localhost"}
    who = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in names.items()}
    return commands.environment(who)


# --- the package -------------------------------------------------------------------------------


def test_the_wheel_contains_all_it_needs(tmp_path: Path) -> None:
    """Built from the sources; installed without the checkout, it can start a campaign."""
    built = tmp_path / "dist"
    done = run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(built), str(ROOT), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    wheel = next(built.glob("*.whl"))
    site = tmp_path / "site"
    shutil.unpack_archive(wheel, site, "zip")
    code = (
        "import al_plugin, pathlib; from al_plugin import template; from al_plugin.strategies import registry\n"
        "assert 'site' in al_plugin.__file__\n"
        "root = pathlib.Path('new'); root.mkdir()\n"
        "print(len(template.write(root, 'x', ('a', 'b'))))\n"
        "print(all(registry.load(s, n) for s in registry.STAGES for n in registry.names(s)))\n"
    )
    said = run(sys.executable, "-c", code, cwd=tmp_path, env={"PYTHONPATH": str(site)})
    assert said.returncode == 0, said.stderr
    assert (tmp_path / "new/pipelines/track.py").is_file()
    assert (site / "al_plugin/py.typed").is_file()
    assert not list(site.rglob("tests"))
    metadata = next(site.glob("*.dist-info"))
    assert "al_plugin.strategies" not in (metadata / "entry_points.txt").read_text()
    assert "mlflow.run_context_provider" in (metadata / "entry_points.txt").read_text()
    assert (metadata / "licenses/LICENSE").is_file()
