"""`al repair`: each thing that a kill can leave behind, and what must be left alone."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import al, commit, filed, manifest_of, truth, turn
from conftest import fill as filled

from al_plugin import commands, history, layout, repair
from al_plugin.repair import locks

LOCK = "schema: '2.0'\nstages:\n  train:\n    cmd: exec python pipelines/train.py\n    deps:\n    - path: a\n      md5: 1f\n"
RWLOCK = Path(".dvc/tmp/rwlock")
GONE = 2**22 + 1  # above any process id of Linux


@pytest.fixture
def locked(campaign: Path) -> Path:
    """A campaign with a committed dvc.lock."""
    Path(layout.DVC_LOCK).write_text(LOCK)
    commit(campaign, "Round 1")
    return campaign


def aside() -> list[bytes]:
    return [path.read_bytes() for path in sorted(Path(layout.SET_ASIDE).glob("*"))]


def busy(entries: dict) -> None:
    RWLOCK.parent.mkdir(parents=True, exist_ok=True)
    RWLOCK.write_text(json.dumps(entries))


def test_a_whole_campaign_has_nothing_to_repair(locked: Path, capsys: pytest.CaptureFixture) -> None:
    before = commands.git("status", "--porcelain")
    assert al("repair", "--deep") == 0
    assert capsys.readouterr().out == "nothing to repair\n"
    assert commands.git("status", "--porcelain") == before
    assert not Path(layout.SET_ASIDE).exists()


@pytest.mark.parametrize("kept", [0, 5, len(LOCK) // 2, len(LOCK) - 1])
def test_a_cut_off_dvc_lock_is_set_aside_and_restored(locked: Path, kept: int, capsys: pytest.CaptureFixture) -> None:
    """Wherever the cut is, also where the rest is valid YAML; what was cut is kept."""
    Path(layout.DVC_LOCK).write_text(LOCK[:kept])
    assert al("doctor") == 1
    assert "run `al repair`" in capsys.readouterr().out
    assert Path(layout.DVC_LOCK).read_text() == LOCK[:kept], "doctor changes nothing"
    assert al("repair") == 0
    assert "restored from the last commit" in capsys.readouterr().out
    assert Path(layout.DVC_LOCK).read_text() == LOCK
    assert aside() == [LOCK[:kept].encode()]
    assert al("repair") == 0
    assert capsys.readouterr().out == "nothing to repair\n"


@pytest.mark.parametrize("text", ["[]\n", "schema: '1.0'\nstages: {}\n", "schema: '2.0'\nstages:\n  train: 3\n"])
def test_a_dvc_lock_that_dvc_would_refuse_is_restored(locked: Path, text: str) -> None:
    Path(layout.DVC_LOCK).write_text(text)
    assert al("repair") == 0
    assert Path(layout.DVC_LOCK).read_text() == LOCK


def test_a_dvc_lock_that_was_never_committed_is_set_aside(campaign: Path, capsys: pytest.CaptureFixture) -> None:
    Path(layout.DVC_LOCK).write_text("")
    assert al("repair") == 0
    assert "dvc repro writes it anew" in capsys.readouterr().out
    assert not Path(layout.DVC_LOCK).exists()


def test_a_newer_dvc_lock_that_is_whole_stays(locked: Path) -> None:
    newer = LOCK.replace("1f", "2e")
    Path(layout.DVC_LOCK).write_text(newer)
    assert al("repair") == 0
    assert Path(layout.DVC_LOCK).read_text() == newer


def test_a_merge_conflict_is_left_to_the_person(locked: Path, capsys: pytest.CaptureFixture) -> None:
    text = LOCK + "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> other\n"
    Path(layout.DVC_LOCK).write_text(text)
    assert al("repair") == 1
    assert "merge conflict" in capsys.readouterr().err
    assert Path(layout.DVC_LOCK).read_text() == text


def test_a_cut_off_pointer_to_labels_is_restored(campaign: Path) -> None:
    text = "outs:\n- md5: 0f.dir\n  path: labels\n"
    Path(layout.LABELS_DVC).write_text(text)
    commit(campaign, "labels under DVC")
    Path(layout.LABELS_DVC).write_text(text[:9])
    assert al("repair") == 0
    assert Path(layout.LABELS_DVC).read_text() == text


@pytest.mark.parametrize(("torn", "said"), [("", "is empty, and was not"), ("['remote \"st", "cannot be read")])
def test_a_cut_off_config_is_left_to_the_person(
    locked: Path, torn: str, said: str, capsys: pytest.CaptureFixture
) -> None:
    """A slip of the pen looks alike, so nothing is restored over it; an empty one that was committed so is fine."""
    config = Path(".dvc/config")
    config.write_text("[core]\n    analytics = false\n")
    commit(locked, "a config")
    config.write_text(torn)
    for command in ("repair", "doctor"):
        assert al(command) == 1
        told = capsys.readouterr()
        assert said in told.out + told.err
        assert "git checkout" in told.out + told.err
    assert config.read_text() == torn
    commands.git("checkout", "--", ".dvc/config")
    assert al("repair") == 0


@pytest.mark.dvc
def test_labels_under_dvc_are_added_after_a_kill_of_dvc_add(first_round: Path) -> None:
    """The pointer and DVC's list of readers are cut off; the batch goes in as if nothing had been."""
    assert al("oracle") == 0
    commit(first_round, "Label round 1")
    assert al("labels", "store", "dvc") == 0
    commit(first_round, "Labels under DVC")
    turn()
    assert al("query", "export", "out.csv") == 0
    answers = filled(Path("out.csv"), Path("answers.csv"), truth)
    assert al("labels", "add", str(answers)) == 0
    whole = Path(layout.LABELS_DVC).read_bytes()
    Path(layout.LABELS_DVC).write_bytes(b"")
    RWLOCK.write_text("")
    assert al("labels", "add", str(answers)) == 0
    assert Path(layout.LABELS_DVC).read_bytes() == whole


def test_a_copy_that_dvc_did_not_finish_is_set_aside(locked: Path) -> None:
    """A kill while outputs are brought from the cache; other hidden files are not DVC's."""
    Path("reports").mkdir()
    Path("reports", ".226qaDcnRjvQsQ-FnhumPg.tmp").write_bytes(b"half")
    Path("reports", ".mine.tmp").write_bytes(b"mine")
    Path(".JxtCX12mXRli6_ucepflbg.tmp").write_bytes(b"test")  # DVC tries out links with it; Git would take it
    assert al("repair") == 0
    assert [path.name for path in Path("reports").iterdir()] == [".mine.tmp"]
    assert aside() == [b"half", b"test"]
    assert commands.git("status", "--porcelain") == ""


def test_a_cut_off_rwlock_is_set_aside(locked: Path) -> None:
    RWLOCK.parent.mkdir(parents=True, exist_ok=True)
    RWLOCK.write_text('{"read": {"a": [{"p')
    assert al("repair") == 0
    assert not RWLOCK.exists()
    assert aside() == [b'{"read": {"a": [{"p']


def test_entries_of_the_dead_and_of_a_recycled_process_id_are_dropped(locked: Path) -> None:
    """This test's own process is alive and no DVC: an id that was given out again."""
    mine = {"pid": os.getpid(), "cmd": "dvc repro"}
    busy({"write": {"/x": {"pid": GONE, "cmd": "dvc repro"}}, "read": {"/y": [mine], "/z": [mine]}})
    assert al("repair") == 0
    assert json.loads(RWLOCK.read_bytes()) == {}


def test_entries_of_a_live_dvc_stay(locked: Path) -> None:
    """Two DVC in one repository tell each other here what they read and write."""
    code = "import sys, time; print('up', flush=True); time.sleep(60)"
    running = subprocess.Popen([sys.executable, "-c", code, "dvc"], stdout=subprocess.PIPE)
    try:
        assert running.stdout
        running.stdout.readline()
        entries = {"read": {"/y": [{"pid": running.pid, "cmd": "dvc repro"}, {"pid": GONE, "cmd": "dvc repro"}]}}
        busy(entries)
        assert al("repair") == 0
        assert json.loads(RWLOCK.read_bytes()) == {"read": {"/y": entries["read"]["/y"][:1]}}
    finally:
        running.kill()
        running.wait()


def test_a_live_editor_of_dvc_yaml_is_no_dvc(locked: Path) -> None:
    """Its process id was a DVC's once; DVC alone would wait for it for ever."""
    code = "print('up', flush=True); import time; time.sleep(60)"
    running = subprocess.Popen([sys.executable, "-c", code, "dvc.yaml"], stdout=subprocess.PIPE)
    try:
        assert running.stdout
        running.stdout.readline()
        busy({"write": {"/y": {"pid": running.pid, "cmd": "dvc repro"}}})
        assert al("repair") == 0
        assert json.loads(RWLOCK.read_bytes()) == {}
    finally:
        running.kill()
        running.wait()


def test_nothing_is_touched_while_dvc_writes(locked: Path, capsys: pytest.CaptureFixture) -> None:
    """DVC holds its lock while dvc.lock is empty for an instant."""
    import fcntl

    Path(layout.DVC_LOCK).write_text("")
    Path(".dvc/tmp").mkdir(exist_ok=True)
    with open(".dvc/tmp/lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert al("repair") == 1
        assert repair.mend() is None
    assert "DVC is at work" in capsys.readouterr().err
    assert Path(layout.DVC_LOCK).read_text() == ""
    assert al("repair") == 0


@pytest.mark.skipif(sys.platform != "linux", reason="live processes are told by /proc")
def test_a_lock_of_a_git_that_is_gone_is_set_aside(locked: Path) -> None:
    lock = Path(".git/index.lock")
    lock.write_bytes(b"")
    assert not list(locks.stale()), "a git that is gone this instant may just be starting to write"
    os.utime(lock, (time.time() - 60,) * 2)
    assert al("repair") == 0
    assert not lock.exists()
    commands.git("add", "--all")


@pytest.mark.skipif(sys.platform != "linux", reason="live processes are told by /proc")
def test_a_lock_of_a_git_at_work_stays(locked: Path) -> None:
    """`git commit` holds the index while a person writes the message."""
    editor = {
        **os.environ,
        "GIT_EDITOR": "touch ../editing; sleep 60;",
        "GIT_AUTHOR_NAME": "t",
        "GIT_AUTHOR_EMAIL": "t@t",
    }
    editor |= {"GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@t"}
    git = subprocess.Popen(["git", "commit", "--allow-empty", "--quiet"], env=editor, start_new_session=True)
    try:
        lock = Path(".git/index.lock")
        for _ in range(300):  # touched before, it would be in that git's way
            if Path("../editing").exists():
                break
            time.sleep(0.1)
        lock.touch()
        os.utime(lock, (time.time() - 60,) * 2)
        assert not list(locks.stale())
    finally:
        os.killpg(git.pid, 9)
        git.wait()


def test_a_half_filed_batch_says_what_to_run(
    first_round: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Only the person has the answers; the same command files the rest."""
    assert al("query", "export", "out.csv") == 0
    answers = filled(Path("out.csv"), Path("answers.csv"), truth)
    assert al("labels", "add", str(answers)) == 0
    manifest = next(Path(layout.MANIFESTS, "round_0001").glob("b01*"))
    manifest.unlink()
    capsys.readouterr()
    assert al("repair") == 1
    assert "run the `al labels add` that was stopped again" in capsys.readouterr().err
    assert al("labels", "add", str(answers)) == 0
    assert al("repair") == 0


def test_an_oracle_killed_at_any_file_is_finished_by_running_it_again(first_round: Path) -> None:
    """It used to ask for a dvc repro that could not run."""
    assert al("oracle") == 0
    whole = {path: path.read_bytes() for path in Path("data").rglob("*") if path.is_file()}
    labels, manifests = (Path(folder, "round_0001") for folder in (layout.LABELS, layout.MANIFESTS))
    batch, query = (manifest_of(filed(1, name)) for name in ("b01--oracle", "query"))
    for gone in ((batch,), (batch, query), (batch, query, labels)):
        for path in gone:
            path.unlink() if path.is_file() else shutil.rmtree(path)
        if labels in gone:
            labels.mkdir()
            manifests.rmdir()
        commands.git("reset", "--quiet")
        assert al("oracle") == 0
        assert {path: path.read_bytes() for path in Path("data").rglob("*") if path.is_file()} == whole
        assert f"A  {batch}" in commands.git("status", "--porcelain")


def test_an_oracle_that_ended_is_not_in_the_way(first_round: Path, capsys: pytest.CaptureFixture) -> None:
    assert al("oracle") == 0
    assert al("oracle") == 0
    assert "answered query 1: filed before" in capsys.readouterr().out


def test_deep_sets_damaged_files_of_the_cache_aside(locked: Path, capsys: pytest.CaptureFixture) -> None:
    """DVC trusts a cached file unread; the folder's list is checked as well as files."""
    folder = history.cache_folder()
    for name, content in (("good", b"abc"), ("bad", b"abd")):
        path = folder / "90" / "0150983cd24fb0d6963f7d28e17f72" if name == "good" else folder / "ab" / ("0" * 30)
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    (folder / "ab" / ("1" * 30 + ".dir")).write_bytes(b"[]")
    assert al("repair") == 0
    assert capsys.readouterr().out == "nothing to repair\n", "only --deep reads them"
    assert al("repair", "--deep") == 0
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == ["0150983cd24fb0d6963f7d28e17f72"]
    assert sorted(aside()) == [b"[]", b"abd"]


def test_a_leftover_of_a_killed_write_is_not_committed(first_round: Path) -> None:
    """`git add --all` after a kill used to stage the temporary file beside a label batch."""
    Path(layout.QUERIES, ".round_0001.jsonl.writing").write_bytes(b"half")
    assert al("query", "export", "out.csv") == 0
    assert "writing" not in commands.git("status", "--porcelain")


def test_repair_is_fast(campaign: Path) -> None:
    """Beyond starting Python: a stage's own imports are not needed."""
    turn()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "al_plugin.cli.main", "repair"],
        capture_output=True, text=True, check=True, env=commands.environment(),
    )  # fmt: skip
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert not loaded & {"torch", "mlflow", "great_expectations", "pandas", "scipy"}


def test_repair_needs_a_campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert al("repair") == 1


def test_repair_needs_dvc(campaign: Path, capsys: pytest.CaptureFixture) -> None:
    shutil.rmtree(".dvc")
    assert al("repair") == 1
    assert "dvc init" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="stages ask the Linux kernel to die with DVC")
def test_a_stage_orphaned_while_it_imports_writes_nothing(campaign: Path) -> None:
    """DVC died before the stage could ask to die with it; another DVC may be at work by now."""
    script = f"DVC_STAGE=merge-labels {sys.executable} pipelines/merge_labels.py; echo $? > code"
    subprocess.run(["sh", "-c", f"({script}) &"], start_new_session=True, check=True)
    deadline = time.monotonic() + 120
    while not Path("code").exists() or not Path("code").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    # Its parent is the subshell here, so it works; where that is gone too, it must not.
    assert Path("code").read_text() == "0\n"
    assert Path(layout.LABELED).exists()
    shutil.rmtree("merged")
    subprocess.run(
        ["sh", "-c", f"exec 3>ended; {script.split(';', maxsplit=1)[0]} & exit"], start_new_session=True, check=True
    )
    while b"merge_labels" in b"".join(_command_lines()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not Path("merged").exists()


def _command_lines() -> list[bytes]:
    """Commands of the processes that work in this folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if Path(os.readlink(folder / "cwd")) == Path.cwd():
                found.append((folder / "cmdline").read_bytes())
        except OSError:
            continue
    return found
