"""Servers: one that answers, one that does not, one that is slow, one that dies."""

import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
import tracking_server as rounds

from al_plugin.errors import TrackingError
from al_plugin.tracking import Told, probe, tell


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URI of a real MLflow server."""
    with rounds.mlflow_server(tmp_path_factory.mktemp("server")) as uri:
        yield uri


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_a_server_is_told(server: str, tmp_path: Path) -> None:
    """By the stage itself, twice; everything is there, and nothing is left in the campaign's folder."""
    rounds.make_round(tmp_path, 1, 15)
    before = {path.name for path in tmp_path.iterdir()}
    first = rounds.run_stage(tmp_path, MLFLOW_TRACKING_URI=server)
    assert first.stderr == ""
    assert first.returncode == 0
    assert first.stdout.splitlines()[0] == "track: round 1 told to MLflow as r0001 n=15 margin"
    asked = mlflow.MlflowClient(server)
    experiment = asked.get_experiment_by_name("al/zoo")
    link = f"{server}/#/experiments/{experiment.experiment_id}/runs?workflowType=machine_learning&compareRunsMode=CHART"
    assert first.stdout.splitlines()[1] == f"track: see {link}"
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert {path.name for path in tmp_path.iterdir()} == before | {".al"}
    params = rounds.make_round(tmp_path, 1, 15, uri=server)
    assert tell(params) == Told("already", "MLflow was told of round 1 before, as r0001 n=15 margin", link)
    (run,) = asked.search_runs([experiment.experiment_id], "tags.`al.kind` = 'round'")
    assert (run.info.status, run.data.metrics["round/labels"]) == ("FINISHED", 15)
    names = {entry.path for entry in asked.list_artifacts(run.info.run_id, "figures")}
    assert len(names) == 4
    assert asked.get_model_version_by_alias("zoo", "challenger").tags["al.round"] == "1"


def test_a_second_round_on_a_server(server: str, tmp_path: Path) -> None:
    assert tell(rounds.make_round(tmp_path, 2, 21, uri=server)).status == "told"
    asked = mlflow.MlflowClient(server)
    experiment = asked.get_experiment_by_name("al/zoo")
    (parent,) = asked.search_runs([experiment.experiment_id], "tags.`al.kind` = 'campaign'")
    steps = [point.step for point in asked.get_metric_history(parent.info.run_id, "campaign/labels")]
    assert steps[-1] == 21
    assert parent.info.status == "FINISHED"


@pytest.fixture
def dead() -> str:
    return f"http://127.0.0.1:{rounds.free_port()}"


def test_a_dead_server_fails_no_round(dead: str, tmp_path: Path) -> None:
    rounds.make_round(tmp_path, 1, 15, uri=dead)
    start = time.monotonic()
    done = rounds.run_stage(tmp_path)
    assert time.monotonic() - start < 10
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"track: MLflow at {dead} could not be told (Connection refused); "
        "the round is complete, `al track` tells it later\n"
    )


def test_a_dead_server_fails_the_round_that_requires_it(dead: str, tmp_path: Path) -> None:
    rounds.make_round(tmp_path, 1, 15, uri=dead, required=True)
    done = rounds.run_stage(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"track: MLflow at {dead} could not be told (Connection refused); "
        "start it, correct tracking.uri, or set tracking.required to false\n"
    )


def test_mlflow_is_not_even_imported_for_a_dead_server(dead: str, tmp_path: Path) -> None:
    rounds.make_round(tmp_path, 1, 15, uri=dead)
    code = (
        "import sys; from al_plugin.stage import load_params; from al_plugin.tracking import tell;"
        "print(tell(load_params()).status, 'mlflow' in sys.modules)"
    )
    assert rounds.run_python(code, tmp_path).stdout.split() == ["unreachable", "False"]


def test_a_server_that_never_answers_costs_three_seconds(tmp_path: Path) -> None:
    with rounds.silent_server() as uri:
        start = time.monotonic()
        told = tell(rounds.make_round(tmp_path, 1, 15, uri=uri))
        assert time.monotonic() - start < 6
        assert told.status == "unreachable"
        assert "no answer within 3 s" in told.message or "timed out" in told.message


def test_a_server_that_dies_after_the_probe(dead: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's own error, in one line, after few retries; then the round can be told elsewhere."""
    monkeypatch.setattr(probe, "trouble", lambda _: "")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    params = rounds.make_round(tmp_path, 1, 15, uri=dead)
    told = tell(params)
    assert told.status == "unreachable"
    assert "MlflowException: API request to" in told.message
    assert "\n" not in told.message
    required = rounds.make_round(tmp_path, 1, 15, uri=dead, required=True)
    with pytest.raises(TrackingError, match="could not be told"):
        tell(required)


def test_a_password_in_the_address_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{rounds.free_port()}")
    told = tell(rounds.make_round(tmp_path, 1, 15))
    assert told.status == "unreachable"
    assert "secret" not in told.message


def test_an_experiment_that_was_deleted_is_named(server: str, tmp_path: Path) -> None:
    text = rounds.params_text(uri=server).replace("experiment: al/zoo", "experiment: gone")
    rounds.make_round(tmp_path, 1, 15, uri=server)
    from al_plugin.config import read_params

    asked = mlflow.MlflowClient(server)
    asked.delete_experiment(asked.create_experiment("gone"))
    told = tell(read_params(text.encode()))
    assert told.status == "unreachable"
    assert "experiment gone is deleted; restore it, or name another in campaign.experiment" in told.message


@pytest.mark.parametrize(("status", "answers"), [(404, True), (401, True), (503, False)])
def test_which_answers_count(status: int, answers: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hosted server may guard /health or not have it."""

    def refuse(*_: object, **__: object) -> None:
        raise urllib.request.HTTPError("http://x", status, "", None, None)

    monkeypatch.setattr(probe, "urlopen", refuse)
    assert (probe.trouble("http://x") == "") == answers


@pytest.mark.parametrize("error", [TimeoutError("timed out"), urllib.request.URLError(TimeoutError("timed out"))])
def test_silence_has_one_name_whichever_clock_runs_out(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket's may be a moment before that of the thread, on a busy machine."""

    def wait(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(probe, "urlopen", wait)
    assert probe.trouble("http://x") == "no answer within 3 s"
