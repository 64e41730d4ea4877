"""Label rounds: the gate, filing, merging, and what is refused."""

import fcntl
import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import chained_campaign
import pyarrow.parquet as pq
import pytest
from conftest import CLASSES, ROOT, al, commit, filed, fill, manifest_of, stage, tree, truth, turn

from al_plugin import commands, intake, layout, ledger, template
from al_plugin.data.answers import COLUMNS, Answer, content_key, digest, file_name, for_people, read_sheet, to_csv
from al_plugin.data.expectations import read_suite, validate
from al_plugin.data.label_round import AnswerFile, LabelRound
from al_plugin.data.queries import QueryRow, query_ids, to_jsonl
from al_plugin.errors import CampaignError, LabelError
from al_plugin.rounds.merge import gate_columns, merge
from al_plugin.strategies import registry


def export(name: str = "out.csv", **options: str) -> Path:
    words = [word for key, value in options.items() for word in (f"--{key}", value)]
    assert al("query", "export", name, *words) == 0
    return Path(name)


def labeled() -> dict[str, str]:
    table = pq.read_table(layout.LABELED)
    return dict(zip(table.column("sample_id").to_pylist(), table.column("label").to_pylist(), strict=True))


def answer_first_round(annotator: str = "ann") -> None:
    out = export()
    assert al("labels", "add", str(fill(out, Path("filled.csv"), truth, annotator))) == 0


def test_a_round_by_hand(first_round: Path) -> None:
    """Query out, CSV filled, batch in, model learned; the folder is complete in itself."""
    answer_first_round()
    assert len(ledger.filed_queries(1)) == 1, "what was handed out stays on file"
    folder = Path(layout.LABELS, "round_0001")
    query, batch = filed(1, "query"), filed(1, "b01--ann")
    assert {p.name for p in folder.iterdir()} == {query.name, batch.name}
    assert query.read_bytes() == ledger.filed_queries(1)[0].read_bytes()
    manifest = json.loads(manifest_of(batch).read_text())
    assert manifest["sha256"] == digest(batch.read_bytes())
    assert batch.name == f"b01-{manifest['sha256'][:6]}--ann.csv"
    staged = commands.git("diff", "--cached", "--name-only").splitlines()
    assert str(batch) in staged
    assert str(manifest_of(query)) in staged
    turn()
    assert len(labeled()) == 12
    assert json.loads(Path(layout.TRAIN_METRICS).read_text())["eval"]["accuracy"] > 0.8


def test_the_filed_form_is_canonical(first_round: Path) -> None:
    """All cells quoted, LF, fixed columns, sorted by query id."""
    answer_first_round()
    content = filed(1, "b01--ann").read_bytes()
    lines = content.decode().splitlines()
    assert b"\r" not in content
    assert lines[0] == ",".join(f'"{name}"' for name in COLUMNS)
    ids = [line.split(",")[0] for line in lines[1:]]
    assert ids == sorted(ids)


def test_filing_twice_changes_nothing(first_round: Path) -> None:
    answer_first_round()
    before = tree(first_round)
    assert al("labels", "add", "filled.csv") == 0
    assert tree(first_round) == before


def test_a_spreadsheet_that_grew_files_only_the_new_rows(first_round: Path, capsys: pytest.CaptureFixture) -> None:
    out = export()
    half = fill(out, Path("half.csv"), truth)
    rows = half.read_text().splitlines()
    half.write_text("\n".join(rows[:6]) + "\n")
    assert al("labels", "add", "half.csv") == 0
    assert al("labels", "add", str(fill(out, Path("all.csv"), truth))) == 0
    said = capsys.readouterr().out
    assert "5 answers were filed before" in said
    assert f"{filed(1, 'b02--ann').name}: 7 answers" in said


def test_a_filed_answer_with_another_sample_is_refused(first_round: Path, capsys: pytest.CaptureFixture) -> None:
    """The query, annotator and label of a filed answer, and a sample that the query did not ask for."""
    answer_first_round()
    row, other = _rows(Path("filled.csv"))[:2]
    _write(Path("again.csv"), [row | {"sample_id": other["sample_id"]}])
    capsys.readouterr()
    assert al("labels", "add", "again.csv") == 1
    assert "sample_id is not the one this query_id asked for" in capsys.readouterr().err


def test_a_batch_that_nobody_could_read_again_is_not_filed(
    first_round: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """The filed form quotes every cell: it is larger than the sheet, which may be read."""
    filled = fill(export(), Path("filled.csv"), truth)
    before = tree(first_round)
    filed_form = len(to_csv(read_sheet(filled.read_bytes(), "").answers))
    assert filed_form > filled.stat().st_size
    for module in (ledger, intake):
        monkeypatch.setattr(module, "TEXT", filed_form - 1)
    capsys.readouterr()
    assert al("labels", "add", str(filled)) == 1
    said = capsys.readouterr().err
    assert f"take {filed_form:,} bytes as they are filed, at most {filed_form - 1:,} are read" in said
    assert said.count("\n") == 1
    assert tree(first_round) == before
    for module in (ledger, intake):
        monkeypatch.setattr(module, "TEXT", filed_form)
    assert al("labels", "add", str(filled)) == 0


def test_blank_rows_stay_pending(first_round: Path, capsys: pytest.CaptureFixture) -> None:
    out = export()
    fill(out, Path("some.csv"), lambda s: truth(s) if int(s[-1]) % 2 else "")
    assert al("labels", "add", "some.csv") == 0
    assert "rows are unanswered and stay pending" in capsys.readouterr().out
    turn()
    asked = pq.read_table(layout.ASKED).to_pylist()
    pending = {row["sample_id"] for row in asked if row["status"] == "pending"}
    assert pending
    chosen = {json.loads(line)["sample_id"] for line in Path(layout.QUERY).read_text().splitlines()}
    assert not pending & chosen, "what is pending is not asked again"


def test_released_samples_may_be_asked_again(first_round: Path) -> None:
    out = export()
    fill(out, Path("some.csv"), lambda s: truth(s) if int(s[-1]) % 2 else "")
    al("labels", "add", "some.csv")
    turn()
    asked = pq.read_table(layout.ASKED).to_pylist()
    pending = [row["query_id"] for row in asked if row["status"] == "pending"]
    assert al("query", "release", *pending) == 0
    Path(layout.PARAMS).write_text(Path(layout.PARAMS).read_text().replace("  n: 12", "  n: 1000"))
    assert stage("select_query") == 0
    chosen = {json.loads(line)["sample_id"] for line in Path(layout.QUERY).read_text().splitlines()}
    assert {row["sample_id"] for row in asked if row["status"] == "pending"} <= chosen


BAD = {
    "label outside classes": (lambda r: {**r, "label": "z"}, "not one of campaign.classes"),
    "label with a blank": (lambda r: {**r, "label": r["label"] + " "}, "not one of campaign.classes"),
    "never asked": (lambda r: {**r, "query_id": "r0001-000000000000"}, "never asked"),
    "unknown round": (lambda r: {**r, "query_id": "r0099-000000000000"}, "never asked"),
    "no query id": (lambda r: {**r, "query_id": "what"}, "never asked"),
    "another sample": (lambda r: {**r, "sample_id": "s-999"}, "not the one this query_id asked for"),
    "unknown status": (lambda r: {**r, "status": "done"}, "status is none of"),
    "skip with a label": (lambda r: {**r, "status": "skipped"}, "must have none"),
    "labelled without a label": (lambda r: {**r, "status": "labelled", "label": ""}, "needs a label"),
    "nobody": (lambda r: {**r, "annotator": ""}, "no annotator"),
    "supersedes nothing": (lambda r: {**r, "supersedes": "b07--ann"}, "supersedes names no earlier batch"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_refuses_the_batch(name: str, first_round: Path, capsys: pytest.CaptureFixture) -> None:
    """Row, reason and remedy are named, the exit code is 1, and nothing is written."""
    spoil, words = BAD[name]
    rows = _rows(fill(export(), Path("filled.csv"), truth))
    rows[3] = spoil(rows[3])
    _write(Path("bad.csv"), rows)
    before, staged = tree(first_round), commands.git("diff", "--cached")
    assert al("labels", "add", "bad.csv") == 1
    said = capsys.readouterr().err
    assert "bad.csv line 5" in said
    assert words in said
    assert tree(first_round) == before
    assert commands.git("diff", "--cached") == staged


def test_the_same_annotator_twice_needs_supersedes(first_round: Path, capsys: pytest.CaptureFixture) -> None:
    answer_first_round()
    rows = _rows(Path("filled.csv"))[:1]
    rows[0]["label"] = "b" if rows[0]["label"] != "b" else "c"
    _write(Path("second.csv"), rows)
    assert al("labels", "add", "second.csv") == 1
    assert "has answered this query already" in capsys.readouterr().err
    rows[0]["supersedes"] = "b01--ann"
    _write(Path("second.csv"), rows)
    assert al("labels", "add", "second.csv") == 0
    turn()
    assert labeled()[rows[0]["sample_id"]] == rows[0]["label"]
    assert len(pq.read_table(layout.VOTES)) == 12, "the superseded vote does not count"


def test_a_sample_twice_in_one_file(first_round: Path, capsys: pytest.CaptureFixture) -> None:
    """Two different answers are refused, naming the file; the same row twice is one answer."""
    rows = _rows(fill(export(), Path("filled.csv"), truth))
    other = {**rows[0], "label": "b" if rows[0]["label"] != "b" else "c"}
    _write(Path("twice.csv"), [*rows, other])
    assert al("labels", "add", "twice.csv") == 1
    said = capsys.readouterr().err
    assert "this file answers the query twice" in said
    assert "answered this query already" not in said
    _write(Path("twice.csv"), [*rows, rows[0]])
    assert al("labels", "add", "twice.csv") == 0
    turn()
    assert len(labeled()) == 12


def test_a_correction_offered_twice_is_filed_once(first_round: Path, capsys: pytest.CaptureFixture) -> None:
    answer_first_round()
    row = _rows(Path("filled.csv"))[0]
    new = "b" if row["label"] != "b" else "c"
    _write(Path("fix.csv"), [{**row, "label": new, "supersedes": "b01--ann"}])
    assert al("labels", "add", "fix.csv") == 0
    assert al("labels", "add", "fix.csv") == 0
    assert "1 answers were filed before" in capsys.readouterr().out
    _write(Path("old.csv"), [row])
    assert al("labels", "add", "old.csv") == 1, "the old answer does not stand any more"


def test_correcting_a_refused_correction_leaves_one_vote(first_round: Path) -> None:
    """b02 is quarantined, b03 corrects b02: b01, which b02 meant to replace, does not stand again."""
    answer_first_round()
    row = _rows(Path("filled.csv"))[0]
    _write(Path("bad.csv"), [{**row, "label": "z", "supersedes": "b01--ann"}])
    assert al("labels", "add", "bad.csv", "--quarantine") == 0
    new = "b" if row["label"] != "b" else "c"
    _write(Path("good.csv"), [{**row, "label": new, "supersedes": "b02--ann"}])
    assert al("labels", "add", "good.csv") == 0
    turn()
    votes = [v for v in pq.read_table(layout.VOTES).to_pylist() if v["sample_id"] == row["sample_id"]]
    assert [v["label"] for v in votes] == [new]


def test_an_annotator_asked_again_has_one_vote(first_round: Path) -> None:
    """A skipped sample is released, asked and answered again in round 2: one vote, the latest."""
    rows = _rows(fill(export(), Path("filled.csv"), truth, "oracle"))
    again = rows[0]["sample_id"]
    rows[0] |= {"status": "skipped", "label": ""}
    _write(Path("one.csv"), rows)
    assert al("labels", "add", "one.csv") == 0
    turn()
    assert al("query", "release", "r0001-nonsense") == 1
    assert al("query", "release", rows[0]["query_id"]) == 0
    Path(layout.PARAMS).write_text(Path(layout.PARAMS).read_text().replace("  n: 12", "  n: 90"))
    assert stage("select_query") == 0
    assert al("oracle") == 0
    late = {**rows[0], "status": "", "label": "a" if truth(again) != "a" else "b"}
    late["supersedes"] = "b01--oracle"
    _write(Path("late.csv"), [late])
    assert al("labels", "add", "late.csv") == 0
    turn_merge()
    votes = [v for v in pq.read_table(layout.VOTES).to_pylist() if v["sample_id"] == again]
    assert [(v["round"], v["label"]) for v in votes] == [(2, truth(again))]


def turn_merge() -> None:
    assert stage("merge_labels") == 0


def test_what_an_interrupted_staging_left_is_staged_by_running_again(first_round: Path) -> None:
    """A held index.lock fails `git add`; the next `al labels add` stages what was filed."""
    filled = fill(export(), Path("filled.csv"), truth)
    Path(".git/index.lock").touch()
    assert al("labels", "add", str(filled)) == 1
    Path(".git/index.lock").unlink()
    assert al("labels", "add", str(filled)) == 0
    staged = commands.git("diff", "--cached", "--name-only").splitlines()
    assert str(filed(1, "b01--ann")) in staged
    assert str(manifest_of(filed(1, "b01--ann"))) in staged


def test_exporting_into_no_folder_changes_nothing(first_round: Path, capsys: pytest.CaptureFixture) -> None:
    before = tree(first_round)
    assert al("query", "export", "nowhere/x.csv") == 1
    assert "is not a folder" in capsys.readouterr().err
    assert tree(first_round) == before


def test_a_failed_move_to_dvc_leaves_git_as_it_was(first_round: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_first_round()
    commit(first_round, "Round 1")
    whole = commands.dvc

    def failing(*arguments: str, **options: str) -> str:
        if arguments[0] == "add":
            raise CampaignError("dvc add failed: Unable to acquire lock")
        return whole(*arguments, **options)

    monkeypatch.setattr(commands, "dvc", failing)
    assert al("labels", "store", "dvc") == 1
    assert commands.git("status", "--porcelain", "data", ".gitignore") == ""
    monkeypatch.setattr(commands, "dvc", whole)
    assert al("labels", "store", "dvc") == 0


def test_a_killed_move_to_dvc_is_finished_by_running_it_again(first_round: Path) -> None:
    """What SIGKILL leaves behind: labels out of the index, the ignore line written, no pointer."""
    answer_first_round()
    commit(first_round, "Round 1")
    commands.git("rm", "-r", "--quiet", "--cached", "--", layout.LABELS)
    with Path(".gitignore").open("a") as ignore:
        ignore.write("/data/labels\n")
    assert al("labels", "store", "dvc") == 0
    commit(first_round, "Labels under DVC")
    assert Path(layout.LABELS_DVC).is_file()
    assert stage("merge_labels") == 0


@pytest.fixture
def below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An answered round of a campaign in a folder of its Git repository, committed, as the current folder."""
    commands.git("init", "--quiet", cwd=tmp_path)
    folder = tmp_path / "team" / "campaign"
    folder.mkdir(parents=True)
    commands.dvc("init", "--subdir", "--quiet", cwd=folder)
    template.write(folder, "sub", CLASSES)
    monkeypatch.chdir(folder)
    chained_campaign.build(folder, 1, 6)
    Path(layout.DVC_LOCK).unlink()  # of no `dvc repro`: DVC would miss its stages
    commit(folder, "Round 1")
    return folder


def test_a_killed_move_to_dvc_is_finished_in_a_subfolder(below: Path) -> None:
    """Git tells its paths from the repository's root, the campaign has its own."""
    commands.git("rm", "-r", "--quiet", "--cached", "--", layout.LABELS)
    with Path(".gitignore").open("a") as ignore:
        ignore.write("/data/labels\n")
    assert al("labels", "store", "dvc") == 0
    assert layout.LABELS_DVC in commands.git("ls-files").splitlines()


def test_moving_an_uncommitted_round_is_refused_in_a_subfolder(below: Path, capsys: pytest.CaptureFixture) -> None:
    chained_campaign.answer(2, ("ann",))
    assert al("labels", "store", "dvc") == 1
    assert "not committed" in capsys.readouterr().err
    commands.git("rm", "-r", "--quiet", "--cached", "--", layout.LABELS)
    with Path(".gitignore").open("a") as ignore:
        ignore.write("/data/labels\n")
    assert al("labels", "store", "dvc") == 1, "nor where a killed move has made Git ignore them"


def test_nobody_files_labels_while_they_move(first_round: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_first_round()
    commit(first_round, "Round 1")
    whole, held = commands.git, []

    def watched(*words: str, **options: str) -> str:
        if words[0] in ("rm", "add"):
            with (
                open(Path(layout.PRIVATE, "locks", "labels.lock"), "w") as second,
                pytest.raises(BlockingIOError),
            ):
                fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held.append(words[0])
        return whole(*words, **options)

    monkeypatch.setattr(commands, "git", watched)
    assert al("labels", "store", "dvc") == 0
    assert held == ["rm", "add"]
    assert al("labels", "store", "git") == 0
    assert held == ["rm", "add", "add", "rm"]


@pytest.mark.dvc
def test_a_move_killed_before_git_was_told_is_staged_by_running_it_again(first_round: Path) -> None:
    """To DVC after `dvc add`, and back after the pointer went."""
    answer_first_round()
    commit(first_round, "Labels")
    assert al("labels", "store", "dvc") == 0
    commands.git("reset", "--quiet", "--", layout.LABELS_DVC, ".gitignore")
    assert al("labels", "store", "dvc") == 0
    assert layout.LABELS_DVC in commands.git("diff", "--cached", "--name-only")
    commit(first_round, "Under DVC")
    assert al("labels", "store", "git") == 0
    commands.git("reset", "--quiet", "--", layout.LABELS_DVC)
    assert al("labels", "store", "git") == 0
    assert f"D\t{layout.LABELS_DVC}" in commands.git("diff", "--cached", "--name-status", "--no-renames")


def test_quarantine_files_the_batch_whole(first_round: Path) -> None:
    """Bad rows are filed, set aside by merge with their reasons, and never trained on."""
    rows = _rows(fill(export(), Path("filled.csv"), truth))
    rows[0]["label"] = "z"
    _write(Path("bad.csv"), rows)
    assert al("labels", "add", "bad.csv", "--quarantine") == 0
    turn()
    assert len(labeled()) == 11
    aside = pq.read_table(layout.QUARANTINE).to_pylist()
    assert [row["label"] for row in aside] == ["z"]
    assert aside[0]["rules"] == ["label_allowed"]
    report = json.loads(Path(layout.VALIDATION).read_text())
    assert report["refused"] == 1


def test_answers_without_any_query_are_refused(campaign: Path, capsys: pytest.CaptureFixture) -> None:
    """Filed, even with --quarantine, they would be a round without a query, which nothing reads."""
    Path("x.csv").write_text("query_id,sample_id,annotator,status,label\nr0001-abc,s-001,ann,,a\n")
    assert al("labels", "add", "x.csv", "--quarantine") == 1
    assert "no query was handed out yet" in capsys.readouterr().err
    turn()
    assert al("query", "export", "out.csv") == 0


def test_a_critical_rule_on_the_whole_refuses_the_batch(first_round: Path, capsys: pytest.CaptureFixture) -> None:
    suite = json.loads(Path(layout.SUITE).read_text())
    for rule in suite["expectations"]:
        if rule["meta"]["rule"] == "few_skipped":
            rule["severity"] = "critical"
    Path(layout.SUITE).write_text(json.dumps(suite))
    rows = [row | {"status": "skipped"} for row in _rows(export())]
    _write(Path("skipped.csv"), rows)
    before = tree(first_round)
    assert al("labels", "add", "skipped.csv", "--annotator", "ann") == 1
    assert "breaks a rule (few_skipped" in capsys.readouterr().err
    assert tree(first_round) == before
    assert al("labels", "add", "skipped.csv", "--annotator", "ann", "--quarantine") == 0
    assert "few_skipped" in capsys.readouterr().err
    assert stage("merge_labels") == 0
    assert json.loads(Path(layout.VALIDATION).read_text())["warnings"] == 1


def merged(*answers: Answer) -> tuple[list[str], list[str]]:
    """Labels and the quarantine's rules where each answer is a batch 1 of a clone of its own."""
    asked = {answer.query_id: answer for answer in answers}
    query = tuple(QueryRow(name, a.sample_id, 1, None, "query", 1, None, "") for name, a in asked.items())
    batches = [(2 if answer.supersedes else 1, answer) for answer in answers]
    files = tuple(AnswerFile(1, file_name(n, "ann", to_csv([answer])), (answer,)) for n, answer in batches)
    rounds = [LabelRound(1, query, files)]
    table = gate_columns(rounds, {"s1"}, ("a", "b"))
    suite = read_suite(Path(ROOT, layout.SUITE).read_bytes(), layout.SUITE)
    found = merge(rounds, table, validate(table, suite), ("a", "b"), registry.load("merge", "majority"), {})
    rules = [rule for row in found.quarantine.to_pylist() for rule in row["rules"]]
    return found.labeled.column("label").to_pylist(), sorted(rules)


@pytest.mark.parametrize("note", ["", "1", "2", "3"])
def test_no_hash_decides_between_labels_of_one_annotator(note: str) -> None:
    """Two clones disagree: neither answer is later, whether a refused correction hides it or two queries part them."""
    one, other = (Answer("r0001-q", "s1", "ann", "labelled", label) for label in "ab")
    assert merged(replace(one, note=note), other) == ([], ["answered_once"] * 2)
    typo = Answer("r0001-q", "s1", "ann", "labelled", "B", "b01--ann")
    assert merged(replace(one, note=note), other, typo) == ([], ["answered_once", "answered_once", "label_allowed"])
    assert merged(replace(one, note=note), replace(other, query_id="r0001-p")) == ([], ["answered_once"] * 2)
    assert merged(replace(one, note=note), replace(one, query_id="r0001-p")) == (["a"], [])


def test_what_another_clone_was_asked_is_not_asked_again(first_round: Path) -> None:
    """Its query for a round that is answered here came with a merge, unanswered."""
    answer_first_round()
    turn()
    mine = {row.sample_id for row in ledger.round_query(1)}
    samples = [f"s-{i:03d}" for i in range(90) if f"s-{i:03d}" not in mine][:70]
    rows = [QueryRow(q, s, 1, None, "query", 1, None, "") for q, s in zip(query_ids(1, samples), samples, strict=True)]
    content = to_jsonl(rows)
    Path(layout.filed_query(1, content_key(content))).write_bytes(content)
    assert stage("select_query") == 0
    asked = {json.loads(line)["sample_id"] for line in Path(layout.QUERY).read_text().splitlines()}
    assert len(asked) == 8
    assert not asked & {*mine, *samples}
    assert al("query", "release", rows[0].query_id) == 0
    assert stage("select_query") == 0
    assert rows[0].sample_id in Path(layout.QUERY).read_text()


@pytest.mark.parametrize("status", ["", "labelled"])
def test_a_stray_blank_is_no_answer(status: str) -> None:
    """Under multilabel it would be the answer "none of the labels"."""
    sheet = read_sheet(f"query_id,sample_id,annotator,status,label\nr0001-q,s1,ann,{status},   \n".encode(), "x")
    assert [answer.label for answer in sheet.answers] == ([""] if status else [])
    assert sheet.blank == (0 if status else 1)


def test_two_annotators_majority_and_disputes(first_round: Path) -> None:
    """Three votes decide; a tie is disputed: no label, still asked, votes kept."""
    out = export()
    first, second = sorted(row["sample_id"] for row in _rows(fill(out, Path("x.csv"), truth)))[:2]
    assert al("labels", "add", str(fill(out, Path("ann.csv"), truth, "ann"))) == 0
    wrong = lambda s: ("a" if truth(s) != "a" else "b") if s in (first, second) else truth(s)  # noqa: E731
    assert al("labels", "add", str(fill(out, Path("bob.csv"), wrong, "bob"))) == 0
    third = [row for row in _rows(fill(out, Path("cy.csv"), truth, "cy")) if row["sample_id"] == first]
    _write(Path("cy.csv"), third)
    assert al("labels", "add", "cy.csv") == 0
    turn()
    assert labeled()[first] == truth(first)
    assert second not in labeled()
    status = {row["sample_id"]: row["status"] for row in pq.read_table(layout.ASKED).to_pylist()}
    assert status[second] == "disputed"
    assert len(pq.read_table(layout.VOTES)) == 25
    agreement = {r["sample_id"]: r["agreement"] for r in pq.read_table(layout.LABELED).to_pylist()}
    assert agreement[first] == pytest.approx(2 / 3)


def test_merging_does_not_depend_on_row_order(first_round: Path) -> None:
    """The same answers, shuffled before filing, merge to the same bytes."""
    out = export()
    filled = fill(out, Path("filled.csv"), truth)
    copy = first_round.parent / "other"
    shutil.copytree(first_round, copy)
    assert al("labels", "add", "filled.csv") == 0
    stage("merge_labels")
    one = Path(layout.LABELED).read_bytes(), Path(layout.VOTES).read_bytes()
    import os

    os.chdir(copy)
    rows = _rows(filled if filled.is_absolute() else first_round / filled)
    random.Random(3).shuffle(rows)
    _write(copy / "shuffled.csv", rows)
    assert al("labels", "add", "shuffled.csv") == 0
    stage("merge_labels")
    assert (Path(layout.LABELED).read_bytes(), Path(layout.VOTES).read_bytes()) == one


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"  \n", "is empty"),
        (b"query_id,sample_id,label\n", "holds no answer"),
        ("query_id,sample_id,label\nr1,s,é\n".encode("latin-1"), "not UTF-8"),
        ("query_id,sample_id,label\nr1,s,x\n".encode("utf-16"), "not UTF-8"),
        (b"query_id,sample_id,label\n\0\0\n", "NUL"),
        (b"id,answer\n1,a\n", "column query_id, sample_id, label is missing"),
        (b"query_id,sample_id,label\nr1,s\n", "2 cells, the header has 3"),
        (b'query_id,sample_id,label\nr1,s,"a\n', "not a CSV file"),
        (b"query_id,sample_id,label,label\nr1,s,a,a\n", "stands twice"),
    ],
)
def test_a_file_that_is_no_batch(content: bytes, words: str, first_round: Path, capsys: pytest.CaptureFixture) -> None:
    Path("odd.csv").write_bytes(content)
    before = tree(first_round)
    assert al("labels", "add", "odd.csv") == 1
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert tree(first_round) == before


def test_a_missing_file_is_one_line(first_round: Path, capsys: pytest.CaptureFixture) -> None:
    assert al("labels", "add", "nowhere.csv") == 1
    assert "is not there" in capsys.readouterr().err


def test_cells_are_text() -> None:
    """00123 stays, NA and null are labels, a semicolon file with a mark is read."""
    sheet = read_sheet("\ufeffquery_id;sample_id;label\r\nr0001-1;00123;NA\r\nr0001-2;1e5;null\r\n".encode(), "x")
    assert [(a.sample_id, a.label) for a in sheet.answers] == [("00123", "NA"), ("1e5", "null")]


def test_formulas_are_neutralised_for_people_and_come_back() -> None:
    """A sample id that a spreadsheet would run is quoted on the way out and restored on the way in."""
    sheet = read_sheet(b'query_id,sample_id,label\nr0001-1,"=1+1",a\n', "x")
    out = for_people(sheet.answers)
    assert b"'=1+1" in out
    assert read_sheet(out, "x").answers[0].sample_id == "=1+1"


def test_canonical_csv_round_trips_line_breaks_and_quotes() -> None:
    sheet = read_sheet(b'query_id,sample_id,label,note\nr0001-1,s,a,"two\nlines, ""quoted"""\n', "x")
    assert read_sheet(to_csv(sheet.answers), "x").answers == sheet.answers


def test_odd_annotator_names_make_safe_distinct_file_names() -> None:
    names = {file_name(1, who, b"") for who in ("a/b", "a_b", "../x", "Żółć", "a b")}
    assert len(names) == 5
    assert all("/" not in name for name in names)


# --- what merging refuses -------------------------------------------------------------------


def spoil_missing_file() -> None:
    filed(1, "b01--ann").unlink()


def spoil_altered() -> None:
    path = filed(1, "b01--ann")
    path.write_bytes(path.read_bytes() + b"\n")


def spoil_unannounced() -> None:
    source = filed(1, "b01--ann")
    shutil.copy(source, source.with_name("b02--ann.csv"))


def spoil_round_gone() -> None:
    shutil.rmtree(Path(layout.LABELS, "round_0001"))


def spoil_gap() -> None:
    for folder in (layout.LABELS, layout.MANIFESTS):
        Path(folder, "round_0001").rename(Path(folder, "round_0003"))


def spoil_name() -> None:
    for folder in (layout.LABELS, layout.MANIFESTS):
        Path(folder, "round_0001").rename(Path(folder, "round_1"))


def spoil_half_filed() -> None:
    Path(layout.LABELS, "round_0002").mkdir()
    shutil.copy(filed(1, "query"), Path(layout.LABELS, "round_0002"))


def spoil_altered_query() -> None:
    path = filed(1, "query")
    path.write_bytes(path.read_bytes().replace(b'"rank": 1,', b'"rank": 9,'))


def spoil_manifest() -> None:
    manifest_of(filed(1, "b01--ann")).write_text("{}")


def spoil_empty_batch() -> None:
    content = to_csv([])
    Path(layout.LABELS, "round_0001/b02--ann.csv").write_bytes(content)
    manifest = {"schema": "manifest/1", "file": "b02--ann.csv", "rows": 0, "sha256": digest(content)}
    Path(layout.MANIFESTS, "round_0001/b02--ann.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_missing_file, "--ann.csv, which data/manifests promises"),
        (spoil_altered, "was altered after it was filed"),
        (spoil_unannounced, "which no manifest names"),
        (spoil_round_gone, "lacks b01-"),
        (spoil_gap, "not contiguous: have 3, missing 1, 2"),
        (spoil_name, "data/labels/round_1 is not named as a label round"),
        (spoil_half_filed, "round_0002 holds query-"),
        (spoil_altered_query, ".jsonl was altered"),
        (spoil_manifest, "is not a manifest"),
        (spoil_empty_batch, "is an empty batch"),
    ],
)
def test_merging_refuses(spoil, words: str, first_round: Path, capsys: pytest.CaptureFixture) -> None:
    """One line and exit code 1; never a model trained on what is left."""
    answer_first_round()
    spoil()
    capsys.readouterr()
    assert stage("merge_labels") == 1
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_stray_files_of_desktops_are_ignored(first_round: Path) -> None:
    answer_first_round()
    Path(layout.LABELS, ".DS_Store").write_bytes(b"x")
    Path(layout.LABELS, "round_0001/.DS_Store").write_bytes(b"x")
    assert stage("merge_labels") == 0


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("folder", [layout.LABELS, layout.MANIFESTS])
def test_an_empty_folder_is_no_round(folder: str, first_round: Path, *, hidden: bool) -> None:
    """What Git leaves behind on a change of branches, or a desktop in a folder that was looked into."""
    answer_first_round()
    Path(folder, "round_0002").mkdir()
    if hidden:
        Path(folder, "round_0002", ".DS_Store").touch()
    assert ledger.round_count() == 1
    assert stage("merge_labels") == 0


@pytest.mark.parametrize("stop_after", [1, 2, 3, 4])
def test_an_interrupted_filing_is_finished_by_running_it_again(
    stop_after: int, first_round: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after any write, `al labels add` ends in the same files when it is run again."""
    filled = fill(export(), Path("filled.csv"), truth)
    done = first_round.parent / "undisturbed"
    shutil.copytree(first_round, done)
    from al_plugin import store

    whole, count = store.write_bytes, 0

    def dying(path: Path, content: bytes) -> None:
        nonlocal count
        count += 1
        if count > stop_after:
            raise KeyboardInterrupt
        whole(path, content)

    monkeypatch.setattr(store, "write_bytes", dying)
    code = al("labels", "add", str(filled))
    assert code == (130 if stop_after < 4 else 0)
    monkeypatch.setattr(store, "write_bytes", whole)
    assert al("labels", "add", str(filled)) == 0
    import os

    os.chdir(done)
    assert al("labels", "add", "filled.csv") == 0
    assert tree(first_round) == tree(done)


# --- the open query --------------------------------------------------------------------------


def test_a_filed_query_is_asked_again_until_withdrawn(first_round: Path) -> None:
    """Filing changes no byte of the query; new settings wait until it is withdrawn."""
    before = Path(layout.QUERY).read_bytes(), Path(layout.SELECT_METRICS).read_bytes()
    export()
    assert stage("select_query") == 0
    assert (Path(layout.QUERY).read_bytes(), Path(layout.SELECT_METRICS).read_bytes()) == before
    Path(layout.PARAMS).write_text(Path(layout.PARAMS).read_text().replace("  n: 12", "  n: 5"))
    stage("select_query")
    assert Path(layout.QUERY).read_bytes() == before[0]
    assert al("query", "withdraw") == 0
    assert ledger.open_query(1) is None
    assert list(Path(layout.QUERIES).glob("*.jsonl")), "nothing is lost"
    stage("select_query")
    assert len(Path(layout.QUERY).read_bytes().splitlines()) == 5


def test_withdrawing_nothing_is_one_line(first_round: Path, capsys: pytest.CaptureFixture) -> None:
    assert al("query", "withdraw") == 1
    assert "no query is open" in capsys.readouterr().err


def test_exporting_never_overwrites(first_round: Path, capsys: pytest.CaptureFixture) -> None:
    Path("mine.csv").write_text("precious")
    assert al("query", "export", "mine.csv") == 1
    assert Path("mine.csv").read_text() == "precious"
    assert "exists already" in capsys.readouterr().err


def test_data_docs_are_written_beside(first_round: Path) -> None:
    """HTML of great-expectations, ignored by Git and no output of any stage."""
    answer_first_round()
    assert al("labels", "docs") == 0
    pages = list(Path(layout.DATA_DOCS).rglob("*.html"))
    assert Path(layout.DATA_DOCS, "index.html") in pages
    assert "label_batch" in Path(layout.DATA_DOCS, "index.html").read_text()
    assert not commands.git("status", "--porcelain", "gx")


def test_late_answers_go_into_the_round_they_name(first_round: Path) -> None:
    """Half of round 1 is answered after round 2 began."""
    rows = _rows(fill(export(), Path("filled.csv"), truth))
    _write(Path("early.csv"), rows[:6])
    assert al("labels", "add", "early.csv") == 0
    turn()
    assert al("oracle") == 0
    turn()
    _write(Path("late.csv"), rows[6:])
    assert al("labels", "add", "late.csv") == 0
    assert filed(1, "b02--ann").is_file()
    turn()
    assert len(labeled()) == 24


# --- labels under DVC ------------------------------------------------------------------------


def test_labels_under_dvc_keep_their_guards(first_round: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A clone without the label files is refused, with or without a new batch dropped in."""
    answer_first_round()
    commit(first_round, "Round 1")
    assert al("labels", "store", "dvc") == 0
    commit(first_round, "Labels under DVC")
    assert str(filed(1, "b01--ann")) not in commands.git("ls-files").splitlines()
    assert stage("merge_labels") == 0
    clone = tmp_path / "clone"
    commands.git("clone", "--quiet", str(first_round), str(clone))
    shutil.copytree(first_round / "data/pool", clone / "data/pool")
    import os

    os.chdir(clone)
    capsys.readouterr()
    assert stage("merge_labels") == 1
    said = capsys.readouterr().err
    assert "lacks b01-" in said
    assert "dvc pull" in said


def test_adding_to_labels_under_dvc_and_back_to_git(first_round: Path) -> None:
    answer_first_round()
    commit(first_round, "Round 1")
    assert al("labels", "store", "dvc") == 0
    commit(first_round, "Labels under DVC")
    pointer = Path(layout.LABELS_DVC).read_text()
    turn()
    assert al("oracle") == 0
    assert Path(layout.LABELS_DVC).read_text() != pointer
    assert "data/labels.dvc" in commands.git("diff", "--cached", "--name-only")
    commit(first_round, "Round 2")
    turn()
    assert len(ledger.read_rounds()) == 2
    assert al("labels", "store", "git") == 0
    assert str(filed(2, "b01--oracle")) in commands.git("ls-files").splitlines()
    assert stage("merge_labels") == 0


def test_moving_uncommitted_labels_is_refused(first_round: Path, capsys: pytest.CaptureFixture) -> None:
    answer_first_round()
    assert al("labels", "store", "dvc") == 1
    assert "not committed" in capsys.readouterr().err


def test_two_branches_of_annotators_merge_without_conflict(first_round: Path) -> None:
    """Each files the same query and an answer of their own; Git merges them by itself."""
    out = export()
    commit(first_round, "Query 1")
    commands.git("checkout", "--quiet", "-b", "ann")
    assert al("labels", "add", str(fill(out, Path("ann.csv"), truth, "ann"))) == 0
    Path("ann.csv").unlink()
    commit(first_round, "ann")
    commands.git("checkout", "--quiet", "-b", "bob", "main")
    assert al("labels", "add", str(fill(out, Path("bob.csv"), truth, "bob"))) == 0
    Path("bob.csv").unlink()
    commit(first_round, "bob")
    commands.git("-c", "user.name=t", "-c", "user.email=t@localhost", "merge", "--quiet", "--no-edit", "ann")
    assert len(ledger.read_rounds()[0].files) == 2
    assert stage("merge_labels") == 0
    assert json.loads(Path(layout.LABEL_METRICS).read_text())["votes"] == 24


def test_gap_in_an_annotators_batches(first_round: Path) -> None:
    answer_first_round()
    batch = filed(1, "b01--ann")
    for path in (batch, manifest_of(batch)):
        path.rename(path.with_name(path.name.replace("b01-", "b02-")))
    path = manifest_of(filed(1, "b02--ann"))
    path.write_text(path.read_text().replace("b01-", "b02-"))
    with pytest.raises(LabelError, match="batches of ann are not contiguous"):
        ledger.read_rounds()


def _rows(path: Path) -> list[dict[str, str]]:
    import csv

    with path.open(newline="", encoding="utf-8") as handle:
        return [dict(row) for row in csv.DictReader(handle)]


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    import csv

    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, names, restval="")
        writer.writeheader()
        writer.writerows(rows)
