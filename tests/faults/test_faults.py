"""Kills, full disks, folders that may not be written and broken files, through real `dvc repro`.

A bounded share of what `make faults` (kills.py) does; the rest is marked slow.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kills import Strike, strike
from worlds import AL, DVC, VERBS, World, injected, kept_files, processes_in

from al_plugin import commands, history, layout

pytestmark = [pytest.mark.dvc, pytest.mark.skipif(sys.platform != "linux", reason="processes are told by /proc")]
READY = VERBS["dvc from run-cache"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The steps of an undisturbed round; copy them, do not write to them."""
    return World(tmp_path_factory.mktemp("faults") / "world").build(quick=True)


def instants(world: World, name: str, path: str, *, torn: bool) -> list[int]:
    """Numbers of the changes of a verb that empty a file."""
    events = world.events(name)
    if torn:
        events = [event for event in events if event[0]]
    return [number for number, (empties, found) in enumerate(events, 1) if empties and found == path]


def repaired(world: World, here: Path) -> str:
    done = world.run(here, *AL, "repair")
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- kills ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["dvc.lock", ".dvc/tmp/rwlock"])
@pytest.mark.parametrize("kind", ["kill", "torn"])
def test_a_file_that_dvc_writes_in_place_cut_off_by_a_kill(world: World, tmp_path: Path, path: str, kind: str) -> None:
    """Empty or half written: DVC alone would refuse to run for ever; `al repair`, then the same bytes."""
    found = instants(world, READY.name, path, torn=kind == "torn")
    outcome = strike(world, Strike(READY.name, kind, found[len(found) // 2]), tmp_path / "campaign")
    assert outcome.struck
    assert len(outcome.repaired) == 1
    assert path in outcome.repaired[0]
    assert outcome.wrong == ()


@pytest.mark.parametrize("share", [0.25, 0.6])
def test_a_dvc_lock_cut_between_two_lines_is_still_one(world: World, tmp_path: Path, share: float) -> None:
    """Where nobody can tell that it was cut, nobody need: DVC runs or restores what is missing, in the same order."""
    here = tmp_path / "campaign"
    shutil.copytree(world.at("selected"), here, symlinks=True)
    lines = (here / layout.DVC_LOCK).read_bytes().splitlines(keepends=True)
    (here / layout.DVC_LOCK).write_bytes(b"".join(lines[: int(len(lines) * share)]))
    repaired(world, here)
    world.must(here, *DVC, "select")
    assert world.differences(READY, here) == []


def test_dvc_alone_does_not_get_over_an_empty_lock(world: World, tmp_path: Path) -> None:
    """Why there is `al repair`: if DVC writes the file in one step one day, this fails, and it may go."""
    here = world.copy(READY, tmp_path / "campaign", ready=True)
    at = instants(world, READY.name, "dvc.lock", torn=False)[0]
    assert world.run(here, *DVC, "select", fault=f"-m dvc|kill|{at}").returncode == -9
    assert (here / layout.DVC_LOCK).read_bytes() == b""
    assert world.run(here, *DVC, "select").returncode != 0
    assert world.run(here, *DVC, "select").returncode != 0
    assert "restored from the last commit" in repaired(world, here)
    world.must(here, *DVC, "select")
    assert world.differences(READY, here) == []


@pytest.mark.parametrize("at", [1, 2, 4, 6, 8])
def test_a_query_export_killed_at_any_change_of_a_file(world: World, tmp_path: Path, at: int) -> None:
    outcome = strike(world, Strike("query export", "kill", at), tmp_path / "campaign")
    assert outcome.struck
    assert (outcome.repaired, outcome.wrong) == ((), ())


@pytest.mark.parametrize("wait", [0.0, 1.5])
def test_children_of_a_killed_dvc_write_nothing_more(world: World, tmp_path: Path, wait: float) -> None:
    """SIGKILL to dvc alone, with a stage still importing or at work: it ends by itself and nothing is written.

    A stage orphaned before it could ask the kernel to die with DVC used to go on to its end.
    """
    here = tmp_path / "campaign"
    shutil.copytree(world.at("labelled"), here, symlinks=True)
    running = subprocess.Popen(DVC, cwd=here, env=world.environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not any("pipelines/" in _command(number) for number in processes_in(here)):
        assert time.monotonic() < deadline, "no stage was started"
        time.sleep(0.005)
    time.sleep(wait)
    running.kill()
    running.wait()
    before = kept_files(here)
    while processes_in(here):
        assert time.monotonic() < deadline, "a stage lives on"
        time.sleep(0.05)
    assert kept_files(here) == before


def _command(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


# --- a full disk, a folder that may not be written -------------------------------------------------


def select_alone(world: World, to: Path) -> Path:
    """A campaign in which merge, train and score stand in the run-cache, and select is to be run."""
    here = world.copy(READY, to)
    world.give_run_cache(here, ["merge-labels", "train", "score"])
    return here


@pytest.mark.parametrize(("kind", "words"), [("enospc", "No space left on device"), ("eacces", "Permission denied")])
def test_a_stage_that_cannot_write_says_so_in_one_line(world: World, tmp_path: Path, kind: str, words: str) -> None:
    """No traceback, nothing half written; with room again the same command gives the same bytes."""
    here = select_alone(world, tmp_path / "campaign")
    for at in (2, 5):
        done = world.run(here, *DVC, "select", fault=f"pipelines/select_query.py|{kind}|{at}")
        assert done.returncode != 0
        assert words in done.stderr
        assert "Traceback" not in done.stderr
    assert repaired(world, here) == "nothing to repair\n"
    world.must(here, *DVC, "select")
    assert world.differences(READY, here) == []


@pytest.mark.parametrize("kind", ["enospc", "eacces"])
@pytest.mark.parametrize("at", [1, 3, 7])
def test_al_that_cannot_write_says_so_in_one_line(world: World, tmp_path: Path, kind: str, at: int) -> None:
    here = tmp_path / "campaign"
    shutil.copytree(world.at("asked"), here, symlinks=True)
    verb = VERBS["query export"]
    done = world.run(here, *verb.command, fault=f"{verb.program}|{kind}|{at}")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("al query: ")
    world.must(here, *verb.command)
    assert world.differences(verb, here) == []


@pytest.mark.slow
@pytest.mark.parametrize("spare", [8, 40, 120])
def test_a_disk_that_is_full(world: World, tmp_path: Path, spare: int) -> None:
    """A real one, with so many KiB left beside the campaign; then it grows."""
    disk = tmp_path / "disk"
    disk.mkdir()
    used = sum(path.lstat().st_blocks // 2 for path in world.at("labelled").rglob("*") if not path.is_dir())
    size = f"size={used + spare}k"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", disk], capture_output=True, check=False).returncode:
        pytest.skip("mounting needs root")
    try:
        here = disk / "campaign"
        shutil.copytree(world.at("labelled"), here, symlinks=True)
        done = world.run(here, *(word for word in DVC if word != "--quiet"), "select")
        assert done.returncode != 0
        assert done.stderr  # "No space left", or what DVC makes of it ("No possible cache link types")
        subprocess.run(["mount", "-o", "remount,size=100m", disk], check=True)
        repaired(world, here)
        world.must(here, *DVC, "select")
        assert world.differences(READY, here) == []
    finally:
        subprocess.run(["umount", "--lazy", disk], check=False)


# --- what is broken ---------------------------------------------------------------------------------


@pytest.fixture
def finished(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A campaign whose round has run."""
    here = tmp_path / "campaign"
    shutil.copytree(world.at("selected"), here, symlinks=True)
    world.must(here, *DVC, "select")  # DVC remembers hashes of these copies now
    monkeypatch.chdir(here)
    return here


def damage(path: Path) -> None:
    """Other bytes, same size, same time of change: as a disk breaks, unseen by DVC."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.chmod(0o644)
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    path.chmod(before.st_mode)


@pytest.mark.parametrize("path", [layout.WEIGHTS, layout.LABELED, layout.QUERY, layout.TRAIN_METRICS])
def test_a_broken_output_is_found_by_repair_deep(world: World, finished: Path, path: str) -> None:
    """DVC goes by size and time of change; told to look again it restores the file from its cache."""
    damage(finished / path)
    said = world.run(finished, *AL, "repair", "--deep")
    assert f"{path} is not what dvc.lock says" in said.stdout
    world.must(finished, *DVC, "select")
    assert world.differences(READY, finished) == []


def test_a_broken_file_of_the_cache_is_found_by_repair_deep(world: World, finished: Path) -> None:
    """The model is lost from the folder and broken in the cache: DVC would hand it out as it is."""
    digest = history.digest_of(finished / layout.WEIGHTS)
    cached = history.cache_folder(finished) / digest[:2] / digest[2:]
    damage(cached)
    (finished / layout.WEIGHTS).unlink()
    said = world.run(finished, *AL, "repair", "--deep").stdout
    assert "was damaged: set aside as .al/set_aside/" in said
    world.must(finished, *DVC, "select")
    assert history.digest_of(cached) == digest
    assert world.differences(READY, finished) == []


@pytest.mark.slow
def test_a_lost_cache_is_made_anew(world: World, finished: Path) -> None:
    """And outputs with it: every stage runs, to the same bytes."""
    shutil.rmtree(finished / ".dvc" / "cache")
    for folder in ("merged", "model", "scores", "query"):
        shutil.rmtree(finished / folder)
    world.must(finished, *DVC, "select")
    assert world.differences(READY, finished) == []


@pytest.mark.parametrize("path", [layout.LABELED, layout.QUERY, layout.WEIGHTS, "scores/part-00000.parquet"])
def test_an_output_cut_short_is_restored_by_dvc_repro(world: World, finished: Path, path: str) -> None:
    """What a kill or a full disk would leave; no repair is needed, DVC sees another size."""
    content = (finished / path).read_bytes()
    (finished / path).chmod(0o644)
    (finished / path).write_bytes(content[: len(content) // 2])
    world.must(finished, *DVC, "select")
    assert world.differences(READY, finished) == []


def test_a_query_cut_short_is_handed_to_nobody(world: World, finished: Path) -> None:
    content = (finished / layout.QUERY).read_bytes()
    (finished / layout.QUERY).write_bytes(content[: len(content) - 20])
    before = kept_files(finished)
    done = world.run(finished, *AL, "query", "export", "out.csv")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert kept_files(finished) == before


# --- the injection itself ---------------------------------------------------------------------------


@pytest.fixture
def writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("script.py").write_text(
        "from pathlib import Path\nPath('a').write_text('0123456789')\nPath('a').rename('b')\nPath('a').write_text('x')\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("fault", "left"),
    [
        ("kill|1", {"a": ""}),
        ("kill|2", {"a": "0123456789"}),
        ("kill|3", {"a": "", "b": "0123456789"}),
        ("kill|4", {"a": "x", "b": "0123456789"}),
        ("torn|1", {"a": "01234"}),
        ("enospc|1", {}),
        ("eacces|3", {"b": "0123456789"}),
    ],
)
def test_the_injection_strikes_where_it_says(writer: Path, fault: str, left: dict[str, str]) -> None:
    env = {**os.environ, **injected(os.environ, f"script.py|{fault}")}
    subprocess.run([sys.executable, "script.py"], cwd=writer, env=env, capture_output=True, check=False)
    found = {path.name: path.read_text() for path in writer.iterdir() if path.name != "script.py"}
    assert found == left


def test_the_injection_strikes_nobody_else(writer: Path) -> None:
    env = commands.environment(injected(os.environ, "other.py|kill|1"))
    done = subprocess.run([sys.executable, "script.py"], cwd=writer, env=env, check=False)
    assert done.returncode == 0
