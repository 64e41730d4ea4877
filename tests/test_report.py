"""`al report`: pages of the round here and of past ones, from the stages' own files."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from conftest import al, blobs, commit, stage, turn
from pinned import CACHE, pin

from al_plugin import history, layout, store
from al_plugin.data.pool import sample_table
from al_plugin.math.control import Saved
from al_plugin.stage import load_params
from al_plugin.verdict import judged, verdict


@pytest.fixture(scope="module")
def three_rounds(seedling: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rounds 0, 1 and 2, each committed, with the pages made when they were current."""
    root = tmp_path_factory.mktemp("report") / "campaign"
    shutil.copytree(seedling, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for number in range(3):
            if number:
                assert al("oracle") == 0
                commit(root, f"Label round {number}")
            turn()
            pin(f"Round {number}")
            assert al("report", "--out", f"../then-{number}.html") == 0
    return root


@pytest.fixture
def root(three_rounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "campaign"
    shutil.copytree(three_rounds.parent, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(folder)
    return folder


def text_of(page: bytes) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.decode().split("</style>")[1]))


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_past_round_gives_the_page_it_gave(root: Path, number: int) -> None:
    """From the cache alone, byte for byte, whatever lies in the working tree."""
    for folder in ("merged", "model", "scores", "query", "metrics", "dynamics"):
        if number < 2:
            shutil.rmtree(folder)
    assert al("report", "--round", str(number), "--out", "../now.html") == 0
    assert Path("../now.html").read_bytes() == Path(f"../then-{number}.html").read_bytes()


def test_nothing_of_the_campaign_changes(root: Path) -> None:
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and ".git/" not in str(path)}
    for number in ("0", "2"):
        assert al("report", "--round", number) == 0
    after = {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and ".git/" not in str(path)}
    new = {path.relative_to(root).as_posix() for path in after.keys() - before.keys()}
    assert {name for name in new if not name.startswith(".al/")} == {
        "reports/round_0000.html",
        "reports/round_0002.html",
    }
    assert all(after[path] == content for path, content in before.items())


def test_the_page_tells_the_numbers_of_the_stages(root: Path) -> None:
    text = text_of(Path("../then-2.html").read_bytes())
    trained = json.loads(Path(layout.TRAIN_METRICS).read_bytes())
    assert f"Accuracy {trained['eval']['accuracy']:.3f}" in text
    assert "Labels 24" in text
    assert "of 66 candidates" in text
    for line in Path(layout.QUERY).read_text().splitlines():
        assert json.loads(line)["sample_id"] in text
    assert history.past_rounds()[2].commit in text
    assert yaml.safe_load(Path(layout.DVC_LOCK).read_text())["stages"]["train"]["outs"][0]["md5"] in text


def test_the_first_round_has_no_model_and_says_so(root: Path) -> None:
    text = text_of(Path("../then-0.html").read_bytes())
    assert "no model yet" in text
    assert "typiclust" in text
    assert "What this query adds" in text


def test_the_change_is_that_of_the_two_models(root: Path) -> None:
    """Gained less lost over the evaluation set is the difference of the two accuracies."""
    with_change = text_of(Path("../then-2.html").read_bytes())
    gained, lost = map(int, re.search(r"(\d+) samples gained, (\d+) lost", with_change).groups())
    rounds = history.past_rounds()
    one, two = (json.loads(history.read_output(rounds[n], layout.TRAIN_METRICS))["eval"]["accuracy"] for n in (1, 2))
    assert (gained - lost) / 30 == pytest.approx(two - one)


def test_without_the_model_before_there_is_no_interval(root: Path) -> None:
    digest = history.past_rounds()[1].outputs()[layout.WEIGHTS]
    (CACHE / digest[:2] / digest[2:]).unlink()
    assert al("report") == 0
    assert "no interval, since that model is not at hand" in text_of(Path("reports/round_0002.html").read_bytes())


def test_rounds_that_are_not_there(root: Path, capsys: pytest.CaptureFixture) -> None:
    assert al("report", "--round", "7") == 1
    assert capsys.readouterr().err == "al report: no commit pins round 7, found rounds: 0, 1, 2; name one of those\n"
    digest = history.past_rounds()[1].outputs()[layout.FORGETTING]
    (CACHE / digest[:2] / digest[2:]).unlink()
    assert al("report", "--round", "1") == 1
    assert capsys.readouterr().err == (
        f"al report: {layout.FORGETTING} of round 1 is not in this machine's DVC cache; run dvc fetch --all-commits first\n"
    )
    assert not Path("reports/round_0001.html").exists()


def test_no_round_yet(campaign: Path, capsys: pytest.CaptureFixture) -> None:
    assert al("report") == 1
    assert capsys.readouterr().err == "al report: no round has run here; run dvc repro\n"
    assert al("report", "--round", "0") == 1
    assert "no commit pins round 0" in capsys.readouterr().err


def test_a_round_that_is_not_committed(first_round: Path) -> None:
    assert al("report", "--round", "0") == 0
    assert "not committed yet" in text_of(Path("reports/round_0000.html").read_bytes())


def test_files_of_several_rounds_are_refused(first_round: Path, capsys: pytest.CaptureFixture) -> None:
    al("oracle")
    assert stage("merge_labels") == 0
    capsys.readouterr()
    assert al("report") == 1
    assert "files are of several rounds" in (said := capsys.readouterr().err)
    assert said.count("\n") == 1


def test_only_a_report_is_replaced(root: Path, capsys: pytest.CaptureFixture) -> None:
    before = Path(layout.PARAMS).read_bytes()
    assert al("report", "--out", layout.PARAMS) == 1
    assert "is there and is no report, so nothing was written" in capsys.readouterr().err
    assert Path(layout.PARAMS).read_bytes() == before
    assert al("report", "--out", "data") == 1
    assert "is a folder" in capsys.readouterr().err
    for _ in range(2):
        assert al("report", "--out", "somewhere/new/page.html") == 0


def test_a_path_that_leaves_the_folder_is_refused(root: Path, capsys: pytest.CaptureFixture) -> None:
    """A cached listing is data: it may come from a remote."""
    digest = history.past_rounds()[1].outputs()[layout.SCORES]
    path = CACHE / digest[:2] / digest[2:]
    entries = json.loads(path.read_bytes())
    entries[0]["relpath"] = "../../../escaped"
    path.write_bytes(json.dumps(entries).encode())
    assert al("report", "--round", "1") == 1
    assert "leads to '../../../escaped'" in capsys.readouterr().err


def test_an_input_that_is_not_cached_is_taken_from_here_where_it_is_the_same(
    root: Path, capsys: pytest.CaptureFixture
) -> None:
    listing = history.folder_hash(history.digests_of(Path(layout.POOL)))
    (CACHE / listing[:2] / listing[2:]).unlink()
    assert al("report", "--round", "1", "--out", "../now.html") == 0
    assert Path("../now.html").read_bytes() == Path("../then-1.html").read_bytes()
    (Path(layout.POOL) / "part-00002.parquet").write_bytes((Path(layout.POOL) / "part-00000.parquet").read_bytes())
    assert al("report", "--round", "1", "--out", "../now.html") == 1
    assert "data/pool of round 1 is not in this machine's DVC cache" in capsys.readouterr().err


def test_text_and_columns_of_the_pool_are_shown_and_others_not(campaign: Path) -> None:
    ids, features, _ = blobs(90, 0, "s")
    table = sample_table(ids, features)
    table = table.append_column("text", pa.array([f"words <of> {i}" for i in ids]))
    table = table.append_column("price", pa.array(np.arange(90) / 7)).append_column("blob", pa.array([b"\x00"] * 90))
    for part in Path(layout.POOL).glob("*.parquet"):
        part.unlink()
    store.write_table(Path(layout.POOL) / "part-00000.parquet", table)
    turn()
    assert al("report") == 0
    page = Path("reports/round_0000.html").read_text()
    first = json.loads(Path(layout.QUERY).read_text().splitlines()[0])["sample_id"]
    assert f"words &lt;of&gt; {first}" in page
    assert str(int(first[2:]) / 7) in page
    assert "blob" not in page


def test_plots_hold_what_the_stages_measured(root: Path) -> None:
    rows = list(csv.DictReader(Path(layout.CONFUSION).read_text().splitlines()))
    right = sum(row["actual"] == row["predicted"] for row in rows) / len(rows)
    assert right == pytest.approx(json.loads(Path(layout.TRAIN_METRICS).read_bytes())["eval"]["accuracy"])
    bins = list(csv.DictReader(Path(layout.SCORE_HISTOGRAM).read_text().splitlines()))
    assert sum(int(row["samples"]) for row in bins) == 90
    first = history.past_rounds()[0]
    assert history.read_output(first, layout.CONFUSION) == b"actual,predicted\n"
    assert history.read_output(first, layout.SCORE_HISTOGRAM) == b"score,samples\n"


def test_texts_in_csv_are_quoted_and_numbers_are_as_before() -> None:
    content = store.csv_text({"a": ["x,y", 'q"', "plain"], "b": [0.1, 1e-07, 3]})
    assert content == b'a,b\n"x,y",0.1\n"q""",1e-07\nplain,3\n'


def test_the_page_says_whether_to_go_on(root: Path) -> None:
    """The numbers of `al verdict`, and why there is no number where there is none."""
    found = verdict(load_params()).document()
    text = text_of(Path("../then-2.html").read_bytes())
    assert f"Go on: {found['decision']['reason']}" in text
    assert f"stabilising predictions cannot be said {found['criteria'][0]['reason']}" in text
    (point,) = found["control"]["points"]
    assert f"random control labels accuracy 95 % interval {point['labels']} {point['value']:.3f}" in text
    assert found["saved"]["refused"] in text
    assert f"Advice: {found['advice']}" in text
    assert "class shares of the labels: what was asked, not what is there" in text
    assert "Stop or go on" not in Path("../then-0.html").read_text()


def test_a_past_page_looks_at_nothing_that_came_later(root: Path) -> None:
    """The answers to round 1's query are there by now; the control on its page does not count them."""
    then = text_of(Path("../then-1.html").read_bytes())
    assert "no random row was answered that its model had predicted" in then
    rounds = history.past_rounds()
    upto = {number: rounds[number] for number in (0, 1)}
    before = judged(upto, load_params(), 30).document()
    shutil.rmtree(Path(layout.LABELS, "round_0002"))
    assert judged(upto, load_params(), 30).document() == before


def test_labels_saved_are_told_by_a_random_curve(root: Path, capsys: pytest.CaptureFixture) -> None:
    reached = verdict(load_params()).rounds[-1].accuracy
    rows = [(n, round(reached - 0.3 * (n / 100.0) ** -0.7 + 0.05, 4)) for n in (30, 60, 90, 120, 150, 180)]
    Path("random.csv").write_text("labels,accuracy\n" + "".join(f"{n},{max(a, 0.01)}\n" for n, a in rows))
    assert al("report", "--random-curve", "random.csv") == 0
    found = verdict(load_params(), random_curve=Path("random.csv"))
    text = text_of(Path("reports/round_0002.html").read_bytes())
    assert f"Advice: {found.advice}" in text
    shown = f"{found.saved.saved.value:,.0f}" if isinstance(found.saved, Saved) else found.saved.refused
    assert shown in text
    assert al("report", "--random-curve", "none.csv", "--out", "x.html") == 1
    assert not Path("x.html").exists()


def test_the_page_goes_to_the_run_of_its_round(root: Path, capsys: pytest.CaptureFixture) -> None:
    """Not to another round's, and not before MLflow was told."""
    assert al("report", "--track") == 1
    assert "has no run of this round; run al track, then this again" in capsys.readouterr().err
    assert al("track") == 0
    assert al("report", "--track") == 0
    assert "as report.html" in capsys.readouterr().out
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    (experiment,) = [one for one in client.search_experiments() if one.name == "al/toy"]
    (run,) = client.search_runs([experiment.experiment_id], "tags.`al.kind` = 'round'")
    path = Path(client.download_artifacts(run.info.run_id, "report.html", str(root.parent)))
    assert path.read_bytes() == Path("../then-2.html").read_bytes()
    assert al("report", "--round", "1", "--track") == 1


def test_the_command_starts_without_heavy_imports(root: Path) -> None:
    import subprocess
    import sys

    code = "import sys; from al_plugin.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass\nprint({'numpy', 'torch', 'al_plugin.page'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("set()")
