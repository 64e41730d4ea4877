"""The stages on a small campaign: determinism, refusals, what each leaves behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import al, stage, tree, truth, turn

from al_plugin import campaign as inputs
from al_plugin import commands, layout, store
from al_plugin.data.pool import sample_table
from al_plugin.strategies.recipes import RECIPES


def query() -> list[dict]:
    return [json.loads(line) for line in Path(layout.QUERY).read_text().splitlines()]


def test_round_zero_is_a_cold_start(first_round: Path) -> None:
    """No labels: an unfitted card, empty weights, null metrics and scores, a TypiClust query."""
    card = inputs.read_card()
    assert card["fitted"] is False
    assert card["signals"] == []
    assert inputs.read_weights() == {}
    assert json.loads(Path(layout.TRAIN_METRICS).read_text())["eval"]["accuracy"] is None
    table = pq.read_table(Path(layout.SCORES, "part-00000.parquet"))
    assert table.column("score").null_count == len(table)
    rows = query()
    assert len(rows) == 12
    assert {row["kind"] for row in rows} == {"query", "random"}
    assert [row["rank"] for row in rows] == list(range(1, 13))
    assert all("cold start" in row["reason"] for row in rows if row["kind"] == "query")
    assert {truth(row["sample_id"]) for row in rows} == {"a", "b", "c"}


def test_a_strategy_that_needs_a_model_is_refused_in_round_zero(
    first_round: Path, capsys: pytest.CaptureFixture
) -> None:
    set_params("recipe: auto", "recipe: margin")
    assert stage("score") == 1
    said = capsys.readouterr().err
    assert "there are no labels and so no model yet" in said
    assert "use recipe auto, typiclust or random" in said


def test_the_random_share_has_its_propensity(first_round: Path) -> None:
    """round(share · n) rows, drawn from all candidates, each with inclusion probability k / N."""
    drawn = [row for row in query() if row["kind"] == "random"]
    assert len(drawn) == 1
    assert drawn[0]["propensity"] == pytest.approx(1 / 90)
    assert all(row["propensity"] is None for row in query() if row["kind"] == "query")


def test_scores_cover_every_row_of_every_part_in_order(first_round: Path) -> None:
    al("oracle")
    turn()
    for part in ("part-00000", "part-00001"):
        scored = pq.read_table(Path(layout.SCORES, f"{part}.parquet"))
        pool = pq.read_table(Path(layout.POOL, f"{part}.parquet"))
        assert scored.column("sample_id").to_pylist() == pool.column("sample_id").to_pylist()
        assert scored.column("score").null_count == 0


def test_only_asked_signals_are_stored(first_round: Path) -> None:
    """TypiClust asks for frozen embeddings; the margin round asks for scores alone."""
    assert {p.name for p in Path(layout.SCORES).rglob("*.npy")} == {"frozen_embeddings.npy"}
    set_params("recipe: auto", "recipe: coreset")
    al("oracle")
    shutil.rmtree(layout.SCORES)
    turn()
    assert {p.name for p in Path(layout.SCORES).rglob("*.npy")} == {"embeddings.npy"}
    assert query()[0]["reason"].split("; ")[1].startswith("kcenter_greedy")


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_selects(recipe: str, first_round: Path) -> None:
    al("oracle")
    set_params("recipe: auto", f"recipe: {recipe}")
    turn()
    asked = [row["sample_id"] for row in query()]
    assert len(set(asked)) == 12
    assert not set(asked) & set(inputs.read_labeled(("a", "b", "c")).sample_ids)


def test_rows_and_parts_in_another_order_give_the_same_query(first_round: Path) -> None:
    """Selection depends on seed, round and ids alone."""
    before = query()
    parts = [pq.read_table(path) for path in sorted(Path(layout.POOL).glob("*.parquet"))]
    whole = pa.concat_tables(parts)
    shuffled = whole.take(np.random.default_rng(1).permutation(len(whole)))
    shutil.rmtree(layout.POOL)
    for number, (start, rows) in enumerate(((0, 20), (20, 30), (50, 40))):
        store.write_table(Path(layout.POOL, f"part-{number:05d}.parquet"), shuffled.slice(start, rows).combine_chunks())
    shutil.rmtree(layout.SCORES)
    turn()
    assert [row["sample_id"] for row in query()] == [row["sample_id"] for row in before]


def test_two_copies_compute_the_same_bytes(first_round: Path, tmp_path: Path) -> None:
    """Weights, scores, query and metrics, in another folder and other processes."""
    al("oracle")
    copy = tmp_path / "elsewhere żółć"
    shutil.copytree(first_round, copy)
    turn()
    here = tree(first_round)
    for script in ("merge_labels", "train", "score", "select_query"):
        subprocess.run([sys.executable, f"pipelines/{script}.py"], cwd=copy, check=True, env=commands.environment())
    assert {k: v for k, v in tree(copy).items() if "data_docs" not in k} == {
        k: v for k, v in here.items() if "data_docs" not in k
    }


def test_a_batch_larger_than_the_pool_is_a_warning(first_round: Path, capsys: pytest.CaptureFixture) -> None:
    set_params("  n: 12", "  n: 1000")
    assert stage("select_query") == 0
    assert len(query()) == 90
    assert "asked for 1000 samples, 90 candidates are left" in capsys.readouterr().err


def test_forgetting_and_dispersion_tables(first_round: Path) -> None:
    al("oracle")
    turn()
    forgetting = pq.read_table(layout.FORGETTING).to_pylist()
    assert len(forgetting) == 12
    assert all(row["presentations"] == 8 for row in forgetting)
    assert all(
        row["unforgettable"] == (row["first_learned"] >= 0 and row["forgetting_events"] == 0) for row in forgetting
    )
    dispersion = pq.read_table(layout.POOL_DYNAMICS)
    assert len(dispersion) == 90
    summary = json.loads(Path(layout.TRAIN_METRICS).read_text())["dynamics"]
    assert summary["mean_dispersion"] == pytest.approx(np.mean(dispersion.column("pool_dispersion").to_numpy()))
    assert summary["unforgettable_share"] == pytest.approx(np.mean([row["unforgettable"] for row in forgetting]))


# --- refusals: one line, exit code 1, nothing changed ------------------------------------------


def pool_without_features() -> None:
    table = pq.read_table(Path(layout.POOL, "part-00000.parquet"))
    pq.write_table(table.drop_columns(["features"]), Path(layout.POOL, "part-00000.parquet"))


def pool_with_duplicates() -> None:
    shutil.copy(Path(layout.POOL, "part-00000.parquet"), Path(layout.POOL, "part-00002.parquet"))


def pool_empty() -> None:
    for path in Path(layout.POOL).glob("*.parquet"):
        path.unlink()
    store.write_table(Path(layout.POOL, "part-00000.parquet"), sample_table([], np.empty((0, 4))))


def pool_gone() -> None:
    shutil.rmtree(layout.POOL)


def pool_numeric_ids() -> None:
    table = pq.read_table(Path(layout.POOL, "part-00000.parquet"))
    ids = pa.array(range(len(table)), pa.int64())
    pq.write_table(table.set_column(0, "sample_id", ids), Path(layout.POOL, "part-00000.parquet"))


def pool_with_nan() -> None:
    rng = np.random.default_rng(0).normal(size=(5, 4))
    rng[2, 1] = np.nan
    store.write_table(Path(layout.POOL, "part-00002.parquet"), sample_table([f"n{i}" for i in range(5)], rng))


def pool_of_other_width() -> None:
    table = sample_table([f"w{i}" for i in range(5)], np.zeros((5, 3)))
    store.write_table(Path(layout.POOL, "part-00002.parquet"), table)


def pool_not_parquet() -> None:
    Path(layout.POOL, "part-00000.parquet").write_bytes(b"not parquet")


def eval_in_pool() -> None:
    shutil.copy(Path(layout.EVAL, "part-00000.parquet"), Path(layout.POOL, "part-00009.parquet"))


def eval_with_unknown_label() -> None:
    table = pq.read_table(Path(layout.EVAL, "part-00000.parquet"))
    labels = pa.array(["z"] * len(table), pa.string())
    pq.write_table(table.set_column(2, "label", labels), Path(layout.EVAL, "part-00000.parquet"))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (pool_without_features, "no column to learn from, found sample_id"),
        (pool_with_duplicates, "more than once, first s-000"),
        (pool_empty, "the pool is empty"),
        (pool_gone, "holds no parquet file"),
        (pool_numeric_ids, "sample_id holds int64, not strings"),
        (pool_with_nan, "1 rows of features are not finite, first row 2"),
        (pool_of_other_width, "features of different lengths: [3, 4]"),
        (pool_not_parquet, "is not a readable parquet file"),
        (eval_in_pool, "in the pool and in the evaluation set, first e-000"),
        (eval_with_unknown_label, "labels 'z' are not among campaign.classes"),
    ],
)
def test_a_bad_pool_or_evaluation_set(spoil, words: str, first_round: Path, capsys: pytest.CaptureFixture) -> None:
    spoil()
    before = tree(first_round)
    assert stage("train") == 1
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1, said
    assert tree(first_round) == before


def test_corrupt_artefacts_are_one_line(first_round: Path, capsys: pytest.CaptureFixture) -> None:
    al("oracle")
    turn()
    capsys.readouterr()
    for path in (layout.WEIGHTS, layout.CARD, layout.LABELED):
        good = Path(path).read_bytes()
        Path(path).write_bytes(b"\x00garbage")
        assert stage("score") == 1
        said = capsys.readouterr().err
        assert path in said
        assert said.count("\n") == 1
        Path(path).write_bytes(good)
    assert stage("score") == 0


def test_the_end_of_the_pool_is_a_finished_round(first_round: Path, capsys: pytest.CaptureFixture) -> None:
    """The last model is trained and told; the query is empty and the next step says so."""
    set_params("  n: 12", "  n: 90")
    stage("select_query")
    al("oracle")
    turn_until_select()
    capsys.readouterr()
    assert stage("select_query") == 0
    assert "no candidate is left" in capsys.readouterr().err
    assert query() == []
    assert json.loads(Path(layout.SELECT_METRICS).read_text())["queried"] == 0
    assert al("status") == 0
    assert "add a pool part" in capsys.readouterr().out
    assert al("query", "export", "more.csv") == 1
    assert "the query is empty" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["large_list", "list_of_double", "text", "booleans", "numbers", "overflow"])
def test_kinds_of_feature_columns(kind: str, first_round: Path, capsys: pytest.CaptureFixture) -> None:
    """Lists of any number type are read; anything else is one line."""
    rows = [[0.0, 1.0, 2.0, 3.0]] * 3
    columns = {
        "large_list": pa.array(rows, pa.large_list(pa.float64())),
        "list_of_double": pa.array(rows, pa.list_(pa.float64())),
        "text": pa.array([["a", "b", "c", "d"]] * 3),
        "booleans": pa.array([[True, False, True, True]] * 3),
        "numbers": pa.array([1.0, 2.0, 3.0]),
        "overflow": pa.array([[1e300, 0.0, 0.0, 0.0]] * 3, pa.list_(pa.float64())),
    }
    ids = pa.array(["k0", "k1", "k2"]).dictionary_encode()
    table = pa.table({"sample_id": ids, "features": columns[kind]})
    store.write_table(Path(layout.POOL, "part-00002.parquet"), table)
    good = kind in ("large_list", "list_of_double")
    assert stage("train") == (0 if good else 1)
    said = capsys.readouterr().err
    assert said.count("\n") == (0 if good else 1), said


def test_metrics_name_the_strategy_that_chose_the_open_query(first_round: Path) -> None:
    """An experiment with another strategy while a query is out must not claim it."""
    assert al("query", "export", "out.csv") == 0
    set_params("select:\n  strategy: null", "select:\n  strategy: random")
    assert stage("select_query") == 0
    assert json.loads(Path(layout.SELECT_METRICS).read_text())["strategy"] == "typiclust"


def turn_until_select() -> None:
    for name in ("merge_labels", "train", "score"):
        assert stage(name) == 0


def test_another_params_file_breaks_every_stage_in_one_line(first_round: Path, capsys: pytest.CaptureFixture) -> None:
    set_params("  n: 12", "  m: 12")
    for name in ("merge_labels", "train", "score", "select_query"):
        capsys.readouterr()
        assert stage(name) == 1
        said = capsys.readouterr().err
        assert "unknown key 'm'" in said
        assert said.count("\n") == 1


def test_outside_a_campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    assert al("status") == 1
    assert "not inside a campaign" in capsys.readouterr().err


def test_own_strategy_by_import_path(first_round: Path) -> None:
    """A repository's own file, named module:function, without a package around it."""
    Path("mine.py").write_text(
        "import numpy as np\n"
        "from al_plugin.strategies.registry import strategy\n\n\n"
        '@strategy("last_ids", reference="none", cost="O(N)", use="a test")\n'
        "def last_ids(sample_keys: np.ndarray, n: int, *, skip: int = 0) -> np.ndarray:\n"
        '    """The last candidates."""\n'
        "    return np.arange(len(sample_keys))[::-1][skip : skip + n].copy()\n"
    )
    set_params("select:\n  strategy: null", 'select:\n  strategy: "mine:last_ids"')
    assert stage("score") == 0
    assert stage("select_query") == 0
    first = [row["sample_id"] for row in query()]
    assert any("mine:last_ids of 90" in row["reason"] for row in query())
    set_params("  n: 12", '  "mine:last_ids": {skip: 3}\n  n: 12')
    assert stage("select_query") == 0
    assert [row["sample_id"] for row in query()] != first
    set_params("skip: 3", "skp: 3")
    assert stage("select_query") == 1


# --- killing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("script", ["merge_labels", "train", "score", "select_query"])
def test_killed_at_any_moment_a_rerun_ends_in_the_same_bytes(script: str, first_round: Path) -> None:
    """SIGKILL at several instants of each stage; no half file is left under a final name."""
    al("oracle")
    turn()
    done = {k: v for k, v in tree(first_round).items() if "data_docs" not in k}
    command = [sys.executable, f"pipelines/{script}.py"]
    started = time.monotonic()
    subprocess.run(command, check=True, env=commands.environment())
    whole = time.monotonic() - started
    for fraction in (0.3, 0.6, 0.8, 0.9, 0.97):
        process = subprocess.Popen(command, env=commands.environment(), stderr=subprocess.DEVNULL)
        time.sleep(whole * fraction)
        process.send_signal(signal.SIGKILL)
        process.wait()
        left = {k: v for k, v in tree(first_round).items() if "data_docs" not in k and ".writing" not in k}
        assert left == done
    assert stage(script) == 0
    assert {k: v for k, v in tree(first_round).items() if "data_docs" not in k} == done


def test_a_stage_dies_with_dvc(first_round: Path) -> None:
    """A killed DVC does not leave its child writing."""
    script = (
        "import os, signal, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', sys.argv[1]], env={**os.environ, 'DVC_STAGE': 'x'})\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    body = "from al_plugin.stage import die_with_parent; die_with_parent(); print('up', flush=True); import time; time.sleep(60)"
    parent = subprocess.Popen([sys.executable, "-c", script, body], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    assert parent.stdout.readline().strip() == "up"
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and _alive(pid):
        time.sleep(0.05)
    assert not _alive(pid)
    parent.stdout.close()


def test_two_runs_of_a_stage_wait_for_each_other(first_round: Path) -> None:
    """The second starts its work when the first has let go of the lock."""
    Path(layout.PRIVATE, "locks").mkdir(parents=True, exist_ok=True)
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            (
                "import fcntl, time; f = open('.al/locks/select.lock', 'w'); fcntl.flock(f, fcntl.LOCK_EX); "
                "print('held', flush=True); time.sleep(1.5)"
            ),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline().strip() == "held"
    started = time.monotonic()
    assert stage("select_query") == 0
    assert time.monotonic() - started > 1.0
    holder.wait()
    holder.stdout.close()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def set_params(old: str, new: str) -> None:
    text = Path(layout.PARAMS).read_text()
    assert old in text
    Path(layout.PARAMS).write_text(text.replace(old, new))
    os.sync()


@pytest.mark.parametrize(("radius", "copies"), [("0.0", 5), ("0.05", 9)])
def test_what_the_evaluation_set_holds_too_is_never_asked(
    radius: str, copies: int, campaign: Path, capsys: pytest.CaptureFixture
) -> None:
    pool = store.read_table(layout.POOL + "/part-00000.parquet", "")
    ids = pool.column("sample_id").to_pylist()
    rows = np.array(pool.column("features").to_pylist())[:12]
    rows[5:9] += 0.01
    rows[9:] += 40
    evaluation = sample_table([f"copy-{i}" for i in range(12)], rows, ["a", "b", "c"] * 4)
    store.write_table(layout.EVAL + "/part-00000.parquet", evaluation)
    text = Path(layout.PARAMS).read_text().replace("  n: 12", "  n: 500")
    Path(layout.PARAMS).write_text(text.replace("copy_radius: 0.0 ", f"copy_radius: {radius} "))
    turn()
    found = store.read_json(layout.EVAL_COPIES, "")
    assert found["sample_ids"] == ids[:copies]
    asked = {json.loads(line)["sample_id"] for line in Path(layout.QUERY).read_text().splitlines()}
    assert asked == {f"s-{i:03d}" for i in range(90)} - set(ids[:copies])
    assert f"train: {copies} samples of the pool are (nearly) in data/eval: never asked" in capsys.readouterr().out


def test_a_pool_that_is_alike_by_nature_is_asked_all_the_same(campaign: Path, capsys: pytest.CaptureFixture) -> None:
    pool = store.read_table(layout.POOL + "/part-00000.parquet", "")
    rows = np.array(pool.column("features").to_pylist())[:30]
    evaluation = sample_table([f"copy-{i}" for i in range(30)], rows, ["a", "b", "c"] * 10)
    store.write_table(layout.EVAL + "/part-00000.parquet", evaluation)
    turn()
    assert store.read_json(layout.EVAL_COPIES, "")["sample_ids"] == []
    assert "train: 30 samples of the pool are (nearly) in data/eval: too many" in capsys.readouterr().out
