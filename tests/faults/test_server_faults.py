"""A tracking server that fails in the middle of a round's telling; told again, there is one whole run."""

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import pytest
import tracking_server as rounds

PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "2"}
PATIENCE |= {"MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0"}
_FAILS = ("status 500", "hang up", "delay")


@contextmanager
def between(server: str | None, after: int, fails: str, asked: list[int] | None = None) -> Iterator[str]:
    """URI of a server that hands on ``after`` requests to another and then fails; its /health is always well.

    ``asked`` counts requests.
    """
    asked, counting = [0] if asked is None else asked, threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path == "/health":
                self.reply(200, b"OK", {})
                return
            with counting:
                asked[0] += 1
                bad = asked[0] > after
            if bad or server is None:
                self.fail()
                return
            request = urllib.request.Request(f"{server}{self.path}", body or None, method=self.command)
            for name, value in self.headers.items():
                if name.lower() not in ("host", "content-length", "connection", "accept-encoding"):
                    request.add_header(name, value)
            try:
                with urllib.request.urlopen(request, timeout=60) as said:
                    self.reply(said.status, said.read(), dict(said.headers))
            except urllib.error.HTTPError as error:
                self.reply(error.code, error.read(), dict(error.headers))

        def fail(self) -> None:
            if fails == "status 500":
                self.reply(500, b"broken", {})
            elif fails == "delay":
                time.sleep(6)  # three times the patience
            self.close_connection = True

        def reply(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            self.send_header("Content-Type", headers.get("Content-Type", "text/plain"))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        def log_message(self, *_: object) -> None:
            pass

        def handle(self) -> None:
            with suppress(OSError):  # a client that lost its patience
                super().handle()

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.server_address[1]}"
        finally:
            listening.shutdown()


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.mark.parametrize("fails", ["status 500", "hang up"])
def test_a_server_that_fails_at_every_request_fails_no_round(fails: str, tmp_path: Path) -> None:
    """Its /health is well, so MLflow itself meets the failure: one line and exit code 0."""
    asked = [0]
    with between(None, 0, fails, asked) as uri:
        rounds.make_round(tmp_path, 1, 15, uri=uri)
        done = rounds.run_stage(tmp_path, **PATIENCE)
    assert done.returncode == 0, done.stderr
    assert "could not be told" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert 1 <= asked[0] <= 4, "few retries: each costs the user seconds"


@pytest.mark.slow
@pytest.mark.parametrize("fails", _FAILS)
def test_a_server_that_fails_half_way_is_told_once(fails: str, tmp_path: Path) -> None:
    """After each number of requests, until all go through; then one parent, one run, one model version."""
    with rounds.mlflow_server(tmp_path) as server:
        for after in (*range(0, 60, 7), 10_000):
            with between(server, after, fails) as uri:
                rounds.make_round(tmp_path, 1, 15, uri=uri)
                done = rounds.run_stage(tmp_path, **PATIENCE)
                assert done.returncode == 0, done.stderr
                assert "Traceback" not in done.stdout + done.stderr
            if "could not be told" not in done.stdout:
                break
        assert "told to MLflow" in done.stdout or "knows" in done.stdout, done.stdout
        assert after > 0, "the server never failed"
        one_whole_round(server)


@pytest.mark.slow
def test_a_server_killed_while_it_is_told(tmp_path: Path) -> None:
    """SIGKILL to the server's processes; started again on the same data, it is told the rest."""
    folder = tmp_path / "server"
    folder.mkdir()
    with rounds.mlflow_server(folder) as server, between(server, 12, "hang up") as uri:
        rounds.make_round(tmp_path, 1, 15, uri=uri)
        done = rounds.run_stage(tmp_path, **PATIENCE)
        assert done.returncode == 0, done.stderr
        assert "could not be told" in done.stdout
    with rounds.mlflow_server(folder) as server:
        begun = mlflow.MlflowClient(server).get_experiment_by_name("al/zoo")
        assert begun is not None, "nothing had been told"
        rounds.make_round(tmp_path, 1, 15, uri=server)
        assert "told to MLflow" in rounds.run_stage(tmp_path).stdout
        one_whole_round(server)


def one_whole_round(server: str) -> None:
    asked = mlflow.MlflowClient(server)
    experiment = asked.get_experiment_by_name("al/zoo")
    runs = asked.search_runs([experiment.experiment_id])
    assert sorted(run.data.tags["al.kind"] for run in runs) == ["campaign", "round"]
    assert all(run.info.status == "FINISHED" for run in runs)
    (child,) = (run for run in runs if run.data.tags["al.kind"] == "round")
    assert child.data.tags["al.complete"] == "true"
    assert len(asked.get_metric_history(child.info.run_id, "train/loss")) == 3
    assert len(asked.search_model_versions("name = 'zoo'")) == 1
    (parent,) = (run for run in runs if run.data.tags["al.kind"] == "campaign")
    assert len(asked.get_metric_history(parent.info.run_id, "campaign/labels")) == 1
