"""MLflow is told of every round once, whatever happens in between."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import pytest
import tracking_server as rounds
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as RegistryStore
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from al_plugin import layout, store
from al_plugin.config import read_params
from al_plugin.errors import DataError
from al_plugin.tracking import artifacts, digests, figures, key, place, record, tables, tell


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an empty database, as the current folder."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    shutil.copy(rounds.empty_database(), folder / "mlflow.db")
    monkeypatch.chdir(folder)
    for name in ("MLFLOW_TRACKING_URI", "DVC_STAGE", "DVC_EXP_NAME", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """No figures: they take a third of a second."""
    monkeypatch.setattr(artifacts, "_made", lambda _: iter([("query/query.json", b"{}")]))


def client(root: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(f"sqlite:///{root / 'mlflow.db'}")


def runs_of(root: Path, kind: str) -> list[mlflow.entities.Run]:
    asked = client(root)
    experiment = asked.get_experiment_by_name("al/zoo")
    return asked.search_runs([experiment.experiment_id], f"tags.`al.kind` = '{kind}'", order_by=["start_time ASC"])


def points(root: Path, name: str) -> list[tuple[int, float]]:
    (parent,) = runs_of(root, "campaign")
    history = client(root).get_metric_history(parent.info.run_id, name)
    return [(point.step, point.value) for point in history]


def everything(root: Path) -> str:
    """All rows of the database as text."""
    import sqlite3

    with sqlite3.connect(root / "mlflow.db") as connection:
        return "\n".join(connection.iterdump())


def test_a_round_is_told(root: Path) -> None:
    params = rounds.make_round(root, 1, 15)
    told = tell(params)
    assert told.status == "told"
    assert told.message == "round 1 told to MLflow as r0001 n=15 margin"
    (run,) = runs_of(root, "round")
    assert (run.info.run_name, run.info.status) == ("r0001 n=15 margin", "FINISHED")
    tags = run.data.tags
    assert tags["al.campaign"] == "zoo"
    assert tags["al.round"] == "1"
    assert tags["al.strategy"] == "margin"
    assert len(tags["al.round_key"]) == 64
    assert tags["dvc.labels"] == digests.file_md5(root / layout.LABELED)
    assert tags["dvc.model"] == digests.file_md5(root / layout.WEIGHTS)
    assert tags["dvc.query"] == digests.file_md5(root / layout.QUERY)
    assert "al replay 1" in tags["mlflow.note.content"]
    assert tags["mlflow.user"]
    assert tags["mlflow.source.name"]
    (parent,) = runs_of(root, "campaign")
    assert tags["mlflow.parentRunId"] == parent.info.run_id
    assert (parent.info.run_name, parent.info.status) == ("zoo", "FINISHED")
    assert "al.round" not in parent.data.tags


def test_numbers_of_a_round(root: Path) -> None:
    """Round and scores at step 0, the training curve by epoch, labels on the parent's axis."""
    params = rounds.make_round(root, 1, 15)
    tell(params)
    (run,) = runs_of(root, "round")
    asked, measured = client(root), json.loads((root / layout.TRAIN_METRICS).read_text())["eval"]
    assert run.data.metrics["round/accuracy"] == measured["accuracy"]
    assert run.data.metrics["round/labels"] == 15
    assert run.data.metrics["round/queried"] == 4
    assert run.data.metrics["scores/mean"] == -0.5
    assert "round/max_dispersion" not in run.data.metrics  # null is no number
    curve = asked.get_metric_history(run.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in curve] == [(0, 1.5), (1, 0.5), (2, 0.25)]
    assert len(asked.get_metric_history(run.info.run_id, "train/accuracy")) == 3
    assert points(root, "campaign/accuracy") == [(15, measured["accuracy"])]
    assert run.data.params["select.n"] == "4"
    assert run.data.params["score.strategy"] == "margin"


def test_the_learning_curve_has_a_step_per_number_of_labels(root: Path, plain: None) -> None:
    for number, labels in ((0, 0), (1, 15), (2, 21)):
        assert tell(rounds.make_round(root, number, labels)).status == "told"
    assert points(root, "campaign/labels") == [(0, 0), (15, 15), (21, 21)]
    assert [step for step, _ in points(root, "campaign/nll")] == [15, 21]
    (parent,) = runs_of(root, "campaign")
    note = parent.data.tags["mlflow.note.content"]
    assert [line.replace("&ensp;", "").split(" | ")[:3] for line in note.splitlines()[4:]] == [
        ["| 0", "0", "typiclust"],
        ["| 1", "15", "margin"],
        ["| 2", "21", "margin"],
    ]
    assert len(runs_of(root, "round")) == 3


def test_telling_reads_no_more_rounds_than_the_table_shows(
    root: Path, plain: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest by their labels, in whatever order they were told: a round costs the same after 200 as after 2."""
    monkeypatch.setattr(tables, "MOST_ROUNDS", 2)
    read: list[int] = []
    search = mlflow.MlflowClient.search_runs

    def counted(*arguments: Any, **options: Any) -> Any:
        found = search(*arguments, **options)
        read.append(len(found))
        return found

    monkeypatch.setattr(mlflow.MlflowClient, "search_runs", counted)
    for number, labels in ((3, 25), (0, 0), (1, 15), (2, 21), (4, 29)):
        tell(rounds.make_round(root, number, labels))
    assert max(read) == 2
    (parent,) = runs_of(root, "campaign")
    lines = parent.data.tags["mlflow.note.content"].splitlines()
    assert lines[0].endswith("(the newest 3)")
    assert [line.replace("&ensp;", "").split(" | ")[0] for line in lines[4:]] == ["| 2", "| 3", "| 4"]


def test_another_round_with_as_many_labels_leaves_the_curve(root: Path, plain: None) -> None:
    tell(rounds.make_round(root, 1, 15))
    before = points(root, "campaign/accuracy")
    assert tell(rounds.make_round(root, 1, 15, seed=1)).status == "told"
    assert points(root, "campaign/accuracy") == before
    assert len(runs_of(root, "round")) == 2


def test_telling_twice_changes_nothing(root: Path, plain: None) -> None:
    params = rounds.make_round(root, 1, 15)
    tell(params)
    before = everything(root)
    again = tell(params)
    assert (again.status, again.message) == ("already", "MLflow was told of round 1 before, as r0001 n=15 margin")
    assert everything(root) == before


def test_artifacts_and_tables(root: Path) -> None:
    tell(rounds.make_round(root, 1, 15))
    (run,) = runs_of(root, "round")
    asked = client(root)

    def listed(path: str = "") -> set[str]:
        found = asked.list_artifacts(run.info.run_id, path)
        return {entry.path for entry in found if not entry.is_dir} | {
            name for entry in found if entry.is_dir for name in listed(entry.path)
        }

    assert listed() == {
        "params.yaml",
        "dynamics/forgetting.json",
        "dynamics/forgetting.parquet",
        "query/query.json",
        "query/query.jsonl",
        "reports/validation.json",
        "scores/part-00000.parquet",
        *(f"figures/{name}.png" for name in ("classes", "forgetting", "scores", "training")),
    }
    forgetting = asked.load_table(run.info.experiment_id, "dynamics/forgetting.json", [run.info.run_id])
    query = asked.load_table(run.info.experiment_id, "query/query.json", [run.info.run_id])
    assert list(forgetting["never_learned"]) == [True, *[False] * 14]
    assert list(forgetting["forgetting_events"][1:]) == sorted(forgetting["forgetting_events"][1:], reverse=True)
    assert list(query["rank"]) == [1, 2, 3, 4]
    assert query["reason"][0] == "margin of 30 candidates"
    assert run.info.artifact_uri.startswith((root / "mlruns").as_uri())


def test_dataset_inputs_have_the_hashes_of_dvc(root: Path, plain: None) -> None:
    tell(rounds.make_round(root, 1, 15))
    (run,) = runs_of(root, "round")
    found = {given.dataset.name: given for given in run.inputs.dataset_inputs}
    assert set(found) == {"labels", "evaluation", "pool", "scores"}
    assert found["labels"].dataset.digest == digests.file_md5(root / layout.LABELED)
    assert found["pool"].dataset.digest == digests.folder_md5(root / layout.POOL)
    assert found["labels"].tags[0].value == "training"
    assert {given.dataset.source_type for given in found.values()} == {"dvc"}
    assert json.loads(found["scores"].dataset.source)["path"] == layout.SCORES


def test_a_round_without_a_model(root: Path) -> None:
    assert tell(rounds.make_round(root, 0, 0)).status == "told"
    (run,) = runs_of(root, "round")
    assert run.info.run_name == "r0000 n=0 typiclust"
    assert "al.model" not in run.data.tags
    assert not client(root).search_registered_models()
    assert not [name for name in run.data.metrics if name.startswith("train/")]


DEATHS = (
    (SqlAlchemyStore, "create_experiment"),
    (SqlAlchemyStore, "create_run"),
    (SqlAlchemyStore, "update_run_info"),
    (SqlAlchemyStore, "log_batch"),
    (SqlAlchemyStore, "log_inputs"),
    (SqlAlchemyStore, "log_outputs"),
    (SqlAlchemyStore, "set_tag"),
    (SqlAlchemyStore, "create_logged_model"),
    (SqlAlchemyStore, "finalize_logged_model"),
    (SqlAlchemyStore, "set_logged_model_tags"),
    (RegistryStore, "create_registered_model"),
    (RegistryStore, "create_model_version"),
    (RegistryStore, "set_registered_model_alias"),
    (LocalArtifactRepository, "log_artifacts"),
    (LocalArtifactRepository, "log_artifact"),
)


@pytest.mark.parametrize("half_done", [False, True], ids=["before", "after"])
def test_killed_anywhere_and_told_again_there_is_one_run(
    root: Path, plain: None, monkeypatch: pytest.MonkeyPatch, half_done: bool
) -> None:
    """MLflow dies at its first, second, third, ... write, before or after doing it, until all goes through.

    From then on every write fails, as when this process is killed: nothing is cleaned up.
    """
    params = rounds.make_round(root, 1, 15)
    left = 0

    def dying(write):
        def wrapper(*arguments, **keywords):
            nonlocal left
            left -= 1
            if left < 0 and not (half_done and left == -1):
                raise MlflowException("killed")
            done = write(*arguments, **keywords)
            if left < 0:
                raise MlflowException("killed")
            return done

        return wrapper

    for kind, name in DEATHS:
        monkeypatch.setattr(kind, name, dying(getattr(kind, name)))
    statuses: list[str] = []
    while {"told", "already"}.isdisjoint(statuses):
        left = len(statuses)
        statuses.append(tell(params).status)
        assert len(statuses) < 60
    assert set(statuses[:-1]) == {"unreachable"}
    assert len(statuses) > 8
    left = 1000
    assert tell(params).status == "already"
    (run,) = runs_of(root, "round")
    assert (run.info.status, run.data.tags["al.complete"]) == ("FINISHED", "true")
    (parent,) = runs_of(root, "campaign")
    assert parent.info.status == "FINISHED"
    assert points(root, "campaign/labels") == [(15, 15)]
    asked = client(root)
    for name in run.data.metrics:
        steps = [point.step for point in asked.get_metric_history(run.info.run_id, name)]
        assert sorted(set(steps)) == sorted(steps), name
    (model,) = asked.search_logged_models([run.info.experiment_id])
    assert (model.name, model.status.name) == ("r0001", "READY")
    (version,) = asked.search_model_versions("name = 'zoo'")
    assert version.run_id == run.info.run_id
    assert asked.get_model_version_by_alias("zoo", "challenger").version == version.version


def test_the_challenger_is_the_latest_round(root: Path, plain: None) -> None:
    for number, labels in ((1, 15), (2, 21)):
        tell(rounds.make_round(root, number, labels))
    assert client(root).get_model_version_by_alias("zoo", "challenger").tags["al.round"] == "2"
    tell(rounds.make_round(root, 1, 15, seed=3))  # told late
    assert client(root).get_model_version_by_alias("zoo", "challenger").tags["al.round"] == "2"


def test_registering_can_be_turned_off(root: Path, plain: None) -> None:
    params = rounds.make_round(root, 1, 15)
    tell(replace(params, tracking=replace(params.tracking, register=False)))
    assert not client(root).search_registered_models()
    (run,) = runs_of(root, "round")
    assert len(client(root).search_logged_models([run.info.experiment_id])) == 1


def test_missing_outputs_are_named(root: Path) -> None:
    params = rounds.make_round(root, 1, 15)
    (root / layout.CARD).unlink()
    with pytest.raises(DataError, match=r"^model/card.json is not there .*; run dvc repro$"):
        tell(params)


# The key


def key_of(root: Path) -> str:
    params = read_params((root / layout.PARAMS).read_bytes())
    return key.round_key(key.digests(root), key.settings(params))


def test_the_key_depends_on_content_and_settings_alone(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    rounds.make_round(first, 1, 15)
    rounds.make_round(second, 1, 15, required=True)
    (second / "elsewhere.py").write_text("other code")
    (second / layout.LABELS / "README.md").write_text("words")
    assert key_of(first) == key_of(second)


def test_spelling_out_a_default_keeps_the_key(tmp_path: Path) -> None:
    rounds.make_round(tmp_path, 1, 15)
    before = key_of(tmp_path)
    with open(tmp_path / layout.PARAMS, "a") as params:
        params.write("train: {epochs: 30, strategy: null}\nscore: {}\n")
    assert key_of(tmp_path) == before


@pytest.mark.parametrize("path", key.CONTENT)
def test_any_other_content_is_another_key(tmp_path: Path, path: str) -> None:
    rounds.make_round(tmp_path, 1, 15)
    before = key_of(tmp_path)
    target = tmp_path / path
    target = next(target.rglob("*.*")) if target.is_dir() else target
    target.write_bytes(target.read_bytes() + b" ")
    assert key_of(tmp_path) != before


@pytest.mark.parametrize("setting", ["train: {lr: 0.1}", "merge: {strategy: latest}", "score: {strategy: entropy}"])
def test_another_setting_is_another_key(tmp_path: Path, setting: str) -> None:
    rounds.make_round(tmp_path, 1, 15)
    before = key_of(tmp_path)
    with open(tmp_path / layout.PARAMS, "a") as params:
        params.write(f"{setting}\n")
    assert key_of(tmp_path) != before


LOCK = b"""schema: '2.0'
stages:
  score:
    cmd: exec python pipelines/score.py
    deps:
    - path: data/pool
      hash: md5
      md5: 0123456789abcdef0123456789abcdef.dir
      size: 10
      nfiles: 1
    - path: model/card.json
      hash: md5
      md5: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
      size: 5
    params:
      params.yaml:
        score:
          path: nothing
          md5: nothing
    outs:
    - path: scores
      hash: md5
      md5: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.dir
      size: 7
      nfiles: 2
  train:
    cmd: exec python pipelines/train.py
    outs:
    - path: model/card.json
      hash: md5
      md5: cccccccccccccccccccccccccccccccc
      size: 6
  track:
    cmd: exec python pipelines/track.py
    deps:
    - path: merged/labeled.parquet
      hash: md5
      md5: dddddddddddddddddddddddddddddddd
      size: 8
"""


def test_dvc_lock_is_read_without_the_last_telling() -> None:
    """Outputs count before dependencies, and the stage track speaks of the round before."""
    assert digests.locked(LOCK) == {
        "data/pool": digests.Locked("0123456789abcdef0123456789abcdef.dir", 10),
        "model/card.json": digests.Locked("c" * 32, 6),
        "scores": digests.Locked("b" * 32 + ".dir", 7),
    }


def test_content_that_is_not_here_is_taken_from_dvc_lock(tmp_path: Path) -> None:
    lock = digests.locked(LOCK)
    assert digests.digest(tmp_path, "scores", lock) == "b" * 32 + ".dir"
    store.write_bytes(tmp_path / "model/card.json", b"{}\n\n\n\n")  # stale lock: the file counts
    assert digests.digest(tmp_path, "model/card.json", lock) == digests.file_md5(tmp_path / "model/card.json")


def test_large_content_of_the_locked_size_is_not_hashed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "_ALWAYS_HASHED", 4)
    store.write_bytes(tmp_path / "model/card.json", b"123456")
    assert digests.digest(tmp_path, "model/card.json", digests.locked(LOCK)) == "c" * 32


# Words


def test_strategies_are_named_as_people_name_them() -> None:
    from al_plugin.strategies.recipes import Triple

    assert record.strategy_name(Triple("single", "margin", "top")) == "margin"
    assert record.strategy_name(Triple("single", "margin", "kcenter_greedy")) == "coreset"
    assert record.strategy_name(Triple("single", "entropy", "typiclust")) == "entropy+typiclust"
    assert record.strategy_name(Triple("ensemble", "entropy", "top")) == "ensemble+entropy"


def test_the_table_of_many_rounds_fits_a_tag() -> None:
    metrics = {"labels": 10.0, "accuracy": 0.5, "nll": 1.0}
    many = [({"al.round": str(n), "al.strategy": "margin"}, metrics) for n in range(500)]
    note = tables.campaign_note("zoo", many)
    assert len(note) < 5000
    shown = len(note.splitlines()) - 4
    assert note.splitlines()[0].endswith(f"(the newest {shown})")
    assert note.splitlines()[-1].startswith("| 499&ensp;")


def test_only_the_most_forgotten_are_shown() -> None:
    import pyarrow as pa

    forgetting = pa.table(
        {
            "sample_id": ["a", "b", "c", "d"],
            "forgetting_events": [1, 5, 0, 5],
            "never_learned": [False, False, True, False],
        }
    )
    assert tables.most_forgotten(forgetting, 3).column("sample_id").to_pylist() == ["c", "b", "d"]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list:
    """The figures that are drawn, before they are bytes."""
    made: list = []
    png = figures._png
    monkeypatch.setattr(figures, "_png", lambda figure: (made.append(figure), png(figure))[1])
    return made


def test_losses_have_the_left_axis_and_are_whole(drawn: list) -> None:
    """A held-out loss above 1 is in sight, and so is a loss below 0, which mal has."""
    rows = [{"epoch": i, "loss": 1.1 - i / 2, "train_accuracy": i / 5, "held_out_nll": 2.3 - i / 10} for i in range(5)]
    figures.training_curve(rows, "t")
    left, right = drawn[0].axes
    assert [line.get_label() for line in left.lines if len(line.get_ydata())] == ["loss", "held out nll"]
    assert [list(line.get_ydata()) for line in right.lines] == [[row["train_accuracy"] for row in rows]]
    low, high = left.get_ylim()
    assert low < min(row["loss"] for row in rows) < 0
    assert high > 2.3
    figures.training_curve([row | {"loss": 1.0} for row in rows], "t")
    assert drawn[1].axes[0].get_ylim()[0] == 0


@pytest.mark.parametrize("names", [("$10_$", "b"), ("$5 to $10", "over $10"), ("\\$", "$^$")])
def test_a_dollar_in_a_class_is_no_mathematics(drawn: list, names: tuple[str, ...]) -> None:
    figures.class_balance(dict.fromkeys(names, 3), "t")
    labels = drawn[0].axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == list(names)
    assert not any(label.get_parse_math() for label in labels)


def test_how_to_rebuild_a_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the commit whose dvc.lock has this query, or by the name of the DVC experiment."""
    params = rounds.make_round(tmp_path, 1, 15)
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    note = tables.round_note(record.read(params, tmp_path))
    assert f"-S{digests.file_md5(tmp_path / layout.QUERY)} -- dvc.lock" in note
    monkeypatch.setenv("DVC_EXP_NAME", "try-1")
    assert "dvc exp apply try-1" in tables.round_note(record.read(params, tmp_path))


# Where


def test_where_the_data_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    ours = place.resolve(None, Path("zoo"))
    assert ours.database == tmp_path / "zoo" / "mlflow.db"
    assert ours.artifacts == tmp_path / "zoo" / "mlruns"
    assert ours.shown == "sqlite:///zoo/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@mlflow.example:5000/")
    server = place.resolve(None, Path("zoo"))
    assert server.is_http
    assert server.link("7") == (
        "http://mlflow.example:5000/#/experiments/7/runs?workflowType=machine_learning&compareRunsMode=CHART"
    )
    assert place.resolve("sqlite:////data/x.db", Path("zoo")).artifacts == Path("/data/mlruns")
    assert place.resolve("postgresql://u:secret@db/x", Path("zoo")).shown == "postgresql://db/x"


def test_a_temporary_experiment_is_told_to_its_repository(tmp_path: Path) -> None:
    """`dvc exp run --temp` works in a copy that is thrown away."""
    copy = tmp_path / "repo" / ".dvc" / "tmp" / "exps" / "tmpabc"
    assert place.resolve("sqlite:///mlflow.db", copy).database == tmp_path / "repo" / "mlflow.db"
    assert place.resolve("sqlite:///mlflow.db", copy, tmp_path).database == tmp_path / "mlflow.db"


def test_from_another_folder_and_in_a_folder_with_an_odd_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything lands under the campaign; a database is made where there is none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(artifacts, "_made", lambda _: iter([("query/query.json", b"{}")]))
    campaign = tmp_path / "my zoo żółw #1 50%20?"
    params = rounds.make_round(campaign, 1, 15)
    (campaign / ".mlflow.db.abc.writing").write_text("left by a killed one")
    assert tell(params, root=campaign).status == "told"
    assert sorted(path.name for path in tmp_path.iterdir()) == [campaign.name]
    assert (campaign / "mlflow.db").is_file()
    assert list((campaign / "mlruns").rglob("query.json"))
    assert not list(campaign.glob(".mlflow.db*"))
    assert tell(params, root=campaign).status == "already"


def test_the_process_is_left_as_it_was(root: Path, plain: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import logging
    import os
    import warnings

    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)  # would be resumed
    before = (dict(os.environ), logging.getLogger("mlflow").level, list(warnings.filters), Path.cwd())
    assert tell(rounds.make_round(root, 1, 15)).status == "told"
    assert (dict(os.environ), logging.getLogger("mlflow").level, list(warnings.filters), Path.cwd()) == before
    assert mlflow.active_run() is None


# The stage


def test_the_stage_is_quiet_and_does_not_import_torch(root: Path) -> None:
    """A fitted model is logged and registered without torch, and nothing but two lines is printed."""
    rounds.make_round(root, 1, 15)
    script = rounds.ROOT / "pipelines" / "track.py"
    code = (
        f"import runpy, sys; runpy.run_path({str(script)!r}, run_name='__main__');"
        "print(*sorted({'torch', 'sklearn', 'great_expectations', 'dvc'} & set(sys.modules)), file=sys.stderr)"
    )
    done = rounds.run_python(code, root)
    assert done.stderr.strip() == ""
    first, second = done.stdout.splitlines()
    assert first == "track: round 1 told to MLflow as r0001 n=15 margin"
    assert second.endswith("after `mlflow ui --backend-store-uri sqlite:///mlflow.db`")
    assert "compareRunsMode=CHART" in second
    assert client(root).get_model_version_by_alias("zoo", "challenger")


def test_parallel_first_tellers_make_one_database(tmp_path: Path) -> None:
    """Three at once on no database: MLflow alone fails two of them."""
    import subprocess
    import sys

    rounds.make_round(tmp_path, 0, 0)
    command = [sys.executable, str(rounds.ROOT / "pipelines" / "track.py")]
    together = [
        subprocess.Popen(
            [
                *command[:1],
                "-c",
                "from al_plugin.stage import load_params; from al_plugin.tracking import tell; print(tell(load_params()).status)",
            ],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    assert sorted(process.communicate()[0].strip() for process in together) == ["already", "told"]
