"""Several at work at once: processes in one clone, clones of one repository. Real processes, real Git."""

import csv
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import IDENTITY, al, commit, filed, fill, manifest_of, stage, truth

from al_plugin import commands, history, layout, ledger, store, waiting
from al_plugin.data.queries import from_jsonl, query_ids, to_jsonl

AL = (sys.executable, "-m", "al_plugin.cli.main")


def start(*words: str) -> subprocess.Popen:
    pipe = subprocess.PIPE
    return subprocess.Popen(words, env=commands.environment(), stdout=pipe, stderr=pipe, text=True)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return [dict(row) for row in csv.DictReader(handle)]


def sheet(name: str, rows: list[dict[str, str]]) -> str:
    with Path(name).open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return name


def labeled() -> dict[str, str]:
    assert stage("merge_labels") == 0
    table = pq.read_table(layout.LABELED)
    return dict(zip(table.column("sample_id").to_pylist(), table.column("label").to_pylist(), strict=True))


# --- processes of one clone ------------------------------------------------------------------


def test_batches_added_at_once_are_all_filed(first_round: Path) -> None:
    """Three annotators, and one of them twice with the same file and once with the rest: no number is taken twice."""
    assert al("query", "export", "out.csv") == 0
    full = rows_of(fill(Path("out.csv"), Path("ann.csv"), truth, "ann"))
    files = [sheet("half.csv", full[:5]), sheet("half-again.csv", full[:5]), "ann.csv"]
    files += [str(fill(Path("out.csv"), Path(f"{who}.csv"), truth, who)) for who in ("bob", "cy")]
    running = [start(*AL, "labels", "add", file) for file in files]
    said = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0] * 5, said
    (label_round,) = ledger.read_rounds()  # refuses gaps, and files without a manifest
    answers = [(answer.annotator, answer.query_id) for file in label_round.files for answer in file.answers]
    assert len(answers) == len(set(answers)) == 36
    staged = set(commands.git("diff", "--cached", "--name-only").splitlines())
    batches = [Path(layout.LABELS, "round_0001", file.name) for file in label_round.files]
    assert {str(path) for batch in batches for path in (batch, manifest_of(batch))} <= staged
    assert len(labeled()) == 12


def test_handing_out_answering_and_selecting_at_once(first_round: Path) -> None:
    """Whoever comes first, one query is open, and it is the one that select writes."""
    select = (sys.executable, "pipelines/select_query.py")
    running = [start(*AL, "query", "export", "out.csv"), start(*select), start(*AL, "query", "export", "more.csv")]
    said = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0] * 3, said
    assert Path("out.csv").read_bytes() == Path("more.csv").read_bytes()
    (open_file,) = ledger.filed_queries(1)
    assert open_file.read_bytes() == Path(layout.QUERY).read_bytes()
    answers = str(fill(Path("out.csv"), Path("ann.csv"), truth))
    running = [start(*AL, "labels", "add", answers), start(*AL, "oracle"), start(*select)]
    added, oracle, selected = [process.communicate()[1] for process in running]
    assert (running[0].returncode, running[2].returncode) == (0, 0), added + selected
    (label_round,) = ledger.read_rounds()
    if running[1].returncode:  # it came second: the round that it would answer next has no query yet
        assert oracle.endswith("the next one is r0002; run dvc repro first\n")
        assert len(label_round.files) == 1
    else:
        assert len(label_round.files) == 2
    assert len(labeled()) == 12


def test_filing_waits_for_a_stage_that_reads_and_says_so(first_round: Path) -> None:
    assert al("query", "export", "out.csv") == 0
    answers = str(fill(Path("out.csv"), Path("ann.csv"), truth))
    with open(".al/locks/labels.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # as merge-labels does
        process = start(*AL, "labels", "add", answers)
        assert process.stderr.readline().startswith("waiting for another command that files labels")
        assert process.poll() is None
        assert not ledger.round_numbers()
    assert process.wait() == 0
    assert len(ledger.read_rounds()) == 1


@pytest.fixture
def dvc_at_work() -> Iterator[Callable[..., int]]:
    """A live process that DVC's note of readers names, until the test ends."""
    code = "import sys; sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", code, "dvc", "repro"], stdin=subprocess.PIPE)

    def note(path: str, pid: int = process.pid) -> int:
        readers = {str(Path(path).resolve()): [{"pid": pid, "cmd": "dvc repro"}]}
        store.write_bytes(".dvc/tmp/rwlock", json.dumps({"read": readers, "write": {}}).encode())
        return process.pid

    yield note
    process.stdin.close()
    process.wait()


@pytest.mark.parametrize("path", [layout.LABELS, layout.MANIFESTS, layout.QUERIES])
def test_filing_waits_until_dvc_has_pinned_what_its_stage_read(path: str, first_round: Path, dvc_at_work) -> None:
    number = dvc_at_work(path)
    process = start(*AL, "query", "export", "out.csv")
    assert (
        process.stderr.readline()
        == f"waiting for `dvc repro` (process {number}), which reads labels or queries just now\n"
    )
    assert not ledger.filed_queries(1)
    Path(".dvc/tmp/rwlock").write_text('{"read": {}, "write": {}}')
    assert process.wait() == 0
    assert len(ledger.filed_queries(1)) == 1


def test_what_filing_does_not_wait_for(first_round: Path, dvc_at_work, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other files, processes that are gone or are no DVC, notes that cannot be read, the stage one is part of."""
    dvc_at_work(layout.POOL)
    assert waiting.dvc_reader() is None
    dvc_at_work(layout.LABELS)
    assert waiting.dvc_reader() is not None
    with monkeypatch.context() as inside:
        inside.setenv("DVC_STAGE", "merge-labels")
        assert waiting.dvc_reader() is None
    gone = subprocess.Popen(["true"])
    gone.wait()
    other = subprocess.Popen(["sleep", "30"])
    try:
        for pid in (gone.pid, other.pid):
            dvc_at_work(layout.LABELS, pid)
            assert waiting.dvc_reader() is None
    finally:
        other.kill()
        other.wait()
    for broken in ("", "[]", '{"read": []}', '{"read": {"data/labels": [{"pid": "x"}]}}'):
        Path(".dvc/tmp/rwlock").write_text(broken)
        assert waiting.dvc_reader() is None


def test_another_answer_after_a_killed_filing(first_round: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between a file and its manifest, corrected and offered again: nothing of the first is in the way."""
    assert al("query", "export", "out.csv") == 0
    first = fill(Path("out.csv"), Path("ann.csv"), truth)
    with monkeypatch.context() as killed:

        def dying(path: Path, value: dict) -> None:
            if "--ann" in path.name:
                raise KeyboardInterrupt
            whole(path, value)

        whole = store.write_json
        killed.setattr(store, "write_json", dying)
        assert al("labels", "add", str(first)) == 130
    left = filed(1, "b01--ann")
    assert al("labels", "add", str(fill(Path("out.csv"), Path("ann.csv"), lambda _: "a"))) == 0
    assert filed(1, "b01--ann") != left
    assert set(labeled().values()) == {"a"}


# --- clones of one repository ----------------------------------------------------------------


@pytest.fixture
def clones(first_round: Path, tmp_path: Path) -> Callable[[str], None]:
    """Stand in clone ``one`` or ``two``. Both have the open query of round 1, and push to one hub."""
    assert al("query", "export", "out.csv") == 0
    commit(first_round, "Query 1")
    hub = tmp_path / "hub.git"
    commands.git("clone", "--quiet", "--bare", str(first_round), str(hub))

    for name in ("one", "two"):
        commands.git("clone", "--quiet", str(hub), str(tmp_path / name))
        shutil.copytree(first_round / layout.POOL, tmp_path / name / layout.POOL)
        (tmp_path / name / ".git/info/exclude").write_text("/*.csv\n")
    return lambda name: os.chdir(tmp_path / name)


def push(message: str) -> None:
    commit(Path(), message)
    commands.git("push", "--quiet", "origin", "HEAD:main")


def pull(message: str = "Mine") -> None:
    """Commit and merge what others pushed; CampaignError where a person would have to resolve a conflict."""
    commit(Path(), message)
    commands.git(*IDENTITY, "pull", "--quiet", "--no-rebase", "--no-edit", "origin", "main")


def test_two_clones_file_batch_one_of_one_annotator(clones) -> None:
    """Different halves, and three answers in both: their union, every answer once, and the next batch has number 2."""
    clones("one")
    rows = rows_of(fill(Path("out.csv"), Path("all.csv"), truth))
    assert al("labels", "add", sheet("mine.csv", rows[:6])) == 0
    push("First half")
    clones("two")
    assert al("labels", "add", sheet("mine.csv", rows[3:11])) == 0
    pull()
    (label_round,) = ledger.read_rounds()
    assert [file.batch for file in label_round.files] == [1, 1]
    assert labeled() == {row["sample_id"]: truth(row["sample_id"]) for row in rows[:11]}
    assert len(pq.read_table(layout.VOTES)) == 11
    assert len(pq.read_table(layout.QUARANTINE)) == 0
    push("Union")
    assert al("labels", "add", sheet("all.csv", rows)) == 0
    assert len(rows_of(filed(1, "b02--ann"))) == 1
    push("Rest")
    clones("one")
    pull()
    assert len(labeled()) == 12


def test_the_same_file_in_two_clones_is_one_batch(clones) -> None:
    for name in ("one", "two"):
        clones(name)
        assert al("labels", "add", str(fill(Path("out.csv"), Path(f"{name}.csv"), truth))) == 0
        pull()
        push(name)
    assert len(ledger.read_rounds()[0].files) == 1


def test_one_annotator_says_two_things_in_two_clones(clones) -> None:
    """Neither is later, so neither counts: both stand in the quarantine until a correction names them."""
    clones("one")
    rows = rows_of(fill(Path("out.csv"), Path("all.csv"), truth))
    assert al("labels", "add", sheet("all.csv", rows)) == 0
    push("One")
    clones("two")
    other = {**rows[0], "label": "a" if rows[0]["label"] != "a" else "b"}
    assert al("labels", "add", sheet("fix.csv", [other])) == 0
    pull()
    assert rows[0]["sample_id"] not in labeled()
    assert len(pq.read_table(layout.LABELED)) == 11
    aside = pq.read_table(layout.QUARANTINE).to_pylist()
    assert {row["label"] for row in aside} == {rows[0]["label"], other["label"]}
    assert {rule for row in aside for rule in row["rules"]} == {"answered_once"}
    assert al("labels", "add", sheet("again.csv", [{**other, "supersedes": "b01--ann"}])) == 0
    assert labeled()[rows[0]["sample_id"]] == other["label"]
    assert len(pq.read_table(layout.QUARANTINE)) == 0


def test_two_clones_answer_by_different_annotators(clones) -> None:
    for clone, who in (("one", "ann"), ("two", "bob")):
        clones(clone)
        assert al("labels", "add", str(fill(Path("out.csv"), Path(f"{who}.csv"), truth, who))) == 0
        pull()
        push(who)
    assert len(labeled()) == 12
    assert len(pq.read_table(layout.VOTES)) == 24


def other_query() -> None:
    """Withdraw the open query and hand out another one of the same round, as other settings would select it."""
    (path,) = ledger.filed_queries(1)
    rows = from_jsonl(path.read_bytes(), str(path))
    pool = sorted({f"s-{i:03d}" for i in range(90)} - {row.sample_id for row in rows[2:]})[:12]
    names = query_ids(1, pool)
    new = [replace(row, sample_id=sample, query_id=name) for row, sample, name in zip(rows, pool, names, strict=True)]
    assert al("query", "withdraw") == 0
    store.write_bytes(layout.QUERY, to_jsonl(new))
    assert al("query", "export", "other.csv") == 0


def test_one_clone_withdraws_what_another_answers(clones) -> None:
    """The answers stand, beside the query that was handed out instead."""
    clones("one")
    other_query()
    push("Another query")
    clones("two")
    assert al("labels", "add", str(fill(Path("out.csv"), Path("ann.csv"), truth))) == 0
    pull()
    assert len(labeled()) == 12
    clones("one")
    assert al("labels", "add", str(fill(Path("other.csv"), Path("bob.csv"), truth, "bob"))) == 0
    push("Answers to the other")
    clones("two")
    pull()
    assert len(labeled()) > 12
    assert len(list(Path(layout.LABELS, "round_0001").glob("query-*.jsonl"))) == 2


def test_two_clones_hand_out_different_queries(clones, first_round: Path) -> None:
    """Both are open as one: no sample is asked twice, and answers to either are taken."""
    clones("one")
    before = ledger.open_query(1)
    commands.git(*IDENTITY, "commit", "--quiet", "--allow-empty", "-m", "Same query")
    push("One")
    clones("two")
    (old,) = ledger.filed_queries(1)
    other_query()
    Path(layout.WITHDRAWN, f"{old.stem}.txt").unlink()
    pull()
    assert len(ledger.filed_queries(1)) == 2
    union = ledger.open_query(1)
    samples = [row.sample_id for row in union]
    assert len(samples) == len(set(samples))
    assert set(samples) > {row.sample_id for row in before}
    assert [row.rank for row in union] == list(range(1, len(union) + 1))
    assert al("query", "export", "both.csv") == 0
    assert [row["sample_id"] for row in rows_of(Path("both.csv"))] == samples
    assert al("labels", "add", str(fill(Path("both.csv"), Path("ann.csv"), truth))) == 0
    assert labeled().keys() == set(samples)


def test_two_clones_release_samples(clones) -> None:
    """Lists of ids merge as sets."""
    clones("one")
    rows = rows_of(fill(Path("out.csv"), Path("all.csv"), truth))
    assert al("labels", "add", sheet("some.csv", rows[4:])) == 0
    push("Some")
    clones("two")
    pull()
    assert al("query", "release", rows[0]["query_id"]) == 0
    push("Release one")
    clones("one")
    assert al("query", "release", rows[1]["query_id"], rows[2]["query_id"]) == 0
    pull()
    assert ledger.released() == {row["query_id"] for row in rows[:3]}


def test_both_branches_ran_a_round(clones) -> None:
    """dvc.lock is kept whole from one side: no markers, nothing mixed; git says which file, and the docs what next."""
    clones("one")
    for name, side in (("theirs", "b"), ("ours", "c")):
        commands.git("checkout", "--quiet", "-B", name, "origin/main")
        Path(layout.DVC_LOCK).write_text(f"schema: '2.0'\nstages:\n  train:\n    cmd: {side}\n")
        assert al("labels", "add", str(fill(Path("out.csv"), Path(f"{name}.csv"), truth, name))) == 0
        commit(Path(), name)
    done = subprocess.run(["git", *IDENTITY, "merge", "theirs"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert commands.git("diff", "--name-only", "--diff-filter=U") == layout.DVC_LOCK
    assert Path(layout.DVC_LOCK).read_text().endswith("cmd: c\n")
    commands.git("add", layout.DVC_LOCK)
    commit(Path(), "Merged")
    assert history.past_rounds() == {}
    assert len(ledger.read_rounds()[0].files) == 2


@pytest.mark.parametrize(
    ("path", "words"), [(layout.DVC_LOCK, "git checkout --ours dvc.lock"), (layout.PARAMS, "of each")]
)
def test_markers_of_a_merge_are_one_line(
    path: str, words: str, first_round: Path, capsys: pytest.CaptureFixture
) -> None:
    """Where an attributes file of before is in use."""
    text = Path(path).read_text() if Path(path).exists() else "schema: '2.0'\n"
    Path(path).write_text(f"{text}<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> other\n")
    assert al("status") == 1
    said = capsys.readouterr().err
    assert f"{path} line {text.count(chr(10)) + 1} holds both sides of a git merge" in said
    assert words in said
    assert said.count("\n") == 1


# --- with DVC --------------------------------------------------------------------------------


def held_up(script: str, after: str) -> None:
    """Let a stage script say that it is there, and go on when it is told."""
    path = Path("pipelines", script)
    text = path.read_text()
    assert text.count(after) == 1
    pause = "    import time, pathlib; pathlib.Path('reached').touch()\n"
    pause += "    while not pathlib.Path('go').exists(): time.sleep(0.05)\n"
    path.write_text(text.replace(after, after + pause))


def wait_for(path: str, process: subprocess.Popen) -> None:
    while not Path(path).exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.mark.dvc
def test_a_batch_added_while_labels_are_merged_is_merged_by_the_next_repro(first_round: Path) -> None:
    """DVC hashes what merge-labels read after it ended: a batch filed in between would be pinned and never merged."""
    dvc = (sys.executable, "-m", "dvc", "repro", "merge-labels")
    assert al("query", "export", "out.csv") == 0
    assert al("labels", "add", str(fill(Path("out.csv"), Path("ann.csv"), truth))) == 0
    commit(first_round, "Round 1")
    held_up("merge_labels.py", "    rounds = ledger.read_rounds()\n")
    running = start(*dvc)
    wait_for("reached", running)
    assert f"(process {running.pid})" in waiting.dvc_reader(), "as DVC notes it, until it has hashed what was read"
    adding = start(*AL, "labels", "add", str(fill(Path("out.csv"), Path("bob.csv"), truth, "bob")))
    first_words = adding.stderr.readline()  # nothing, where it is through
    Path("go").touch()
    assert adding.wait() == 0
    assert first_words.startswith("waiting for")
    assert running.wait() == 0
    assert json.loads(Path(layout.LABEL_METRICS).read_text())["votes"] == 12
    assert history.pinned_manifests() != history.present_manifests()
    again = start(*dvc)
    assert again.wait() == 0
    assert json.loads(Path(layout.LABEL_METRICS).read_text())["votes"] == 24


@pytest.mark.dvc
def test_a_batch_that_is_pinned_unmerged_is_told_and_merged(first_round: Path, capsys: pytest.CaptureFixture) -> None:
    """The instant that stays open, made by hand: filed after DVC took up merge-labels, pinned with old outputs."""
    dvc = (sys.executable, "-m", "dvc", "repro", "merge-labels")
    assert al("query", "export", "out.csv") == 0
    assert al("labels", "add", str(fill(Path("out.csv"), Path("ann.csv"), truth))) == 0
    assert start(*dvc).wait() == 0
    assert al("repair") == 0
    assert al("labels", "add", str(fill(Path("out.csv"), Path("bob.csv"), truth, "bob"))) == 0
    assert al("repair") == 0, "what waits for a repro is no fault"
    assert start(sys.executable, "-m", "dvc", "commit", "--force", "merge-labels").wait() == 0
    assert start(*dvc).wait() == 0
    assert json.loads(Path(layout.LABEL_METRICS).read_text())["votes"] == 12, "DVC sees nothing to do"
    capsys.readouterr()
    assert al("repair") == 1
    assert "12 answers are filed that merge-labels never saw" in capsys.readouterr().err
    assert start(*dvc, "--force", "--single-item").wait() == 0
    assert json.loads(Path(layout.LABEL_METRICS).read_text())["votes"] == 24
    assert al("repair") == 0


@pytest.mark.dvc
def test_two_repros_at_once(first_round: Path) -> None:
    """The second is refused by DVC, which names the first; afterwards the round is as one alone would leave it."""
    dvc = (sys.executable, "-m", "dvc", "repro", "merge-labels")
    held_up("merge_labels.py", "    rounds = ledger.read_rounds()\n")
    one = start(*dvc)
    wait_for("reached", one)
    two = start(*dvc)
    said = two.communicate()[1]
    assert two.returncode != 0
    assert "is busy" in said
    assert str(one.pid) in said
    Path("go").touch()
    assert one.wait() == 0
    lock, merged = Path(layout.DVC_LOCK).read_bytes(), Path(layout.LABELED).read_bytes()
    undisturbed = start(*dvc, "--force", "--no-run-cache")
    assert undisturbed.wait() == 0
    assert (Path(layout.DVC_LOCK).read_bytes(), Path(layout.LABELED).read_bytes()) == (lock, merged)
