"""Continuous integration: batches checked against a base, rounds gated and pushed, workflows run step by step."""

import contextlib
import csv
import html
import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from conftest import CLASSES, IDENTITY, ROOT, al, commit, filed, fill, truth, turn
from hypothesis import given
from hypothesis import strategies as st
from tracking_server import empty_database, make_round, silent_server

from al_plugin import commands, layout, ledger
from al_plugin.ci import gates, workflows
from al_plugin.ci import round as one_round
from al_plugin.ci.check import check
from al_plugin.ci.gates import Reference, budget, quality
from al_plugin.ci.report import markdown, verdict
from al_plugin.ci.words import cell, sentence
from al_plugin.config import read_params
from al_plugin.data.answers import digest, read_sheet, to_csv
from al_plugin.data.queries import QueryRow
from al_plugin.errors import CampaignError, ParamsError, TrackingError
from al_plugin.foreign import printable
from al_plugin.settings import Gate
from al_plugin.tracking import tell
from al_plugin.tracking.promote import Champion, champion, promote

# --- words: what people wrote is shown, never interpreted ----------------------------------------

NASTY = [
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07text",
    "\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\",
    "\x9b2Jgone",
    "one\r\n::add-mask::two",
    "##[command]x ##vso[task]y",
    "a\u202egnp.exe",
    "<img src=x onerror=alert(1)>",
    "](javascript:x) ![](https://example.org/x.png)",
    "`` ` ``` | a | b |",
    "@everyone #1 !2 GH-3 https://example.org www.example.org a@b.org",
    "\n/close\n# Heading\n- item",
    "&lt;b&gt; &#60;",
    "\udcff\udcfe",
]


@pytest.mark.parametrize("text", NASTY)
def test_nasty_text_is_harmless(text: str) -> None:
    shown = printable(text)
    assert "\x1b" not in shown
    assert shown.isprintable()
    assert "##[" not in shown
    assert "##vso" not in shown
    assert "\n" not in cell(text) + sentence(text)
    assert not set(cell(text).removeprefix("<code>").removesuffix("</code>")) & set("<>`|@*[]()!\\:\"'")
    for shown in (cell(text), sentence(text)):
        assert not re.search(r"www\.|:/|\b_|_\b", shown, flags=re.IGNORECASE)
    assert not set(sentence(text)) & set("<>`|@*[]!\\\"'")


def test_escape_sequences_leave_their_text_only() -> None:
    assert printable("\x1b[31mred\x1b[0m and \x1b]0;title\x07text") == "red and text"
    assert printable("\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\") == "link"
    assert printable("a\r\n b\u2028c") == "a b c"
    assert printable("x" * 100, 10) == "xxxxxxxxx…"
    assert printable("ół猫") == "ół猫"


@given(st.text(max_size=60))
def test_a_cell_reads_as_the_plain_text(text: str) -> None:
    assert html.unescape(cell(text)).removeprefix("<code>").removesuffix("</code>") == printable(text, 80)
    assert re.fullmatch(r"(<code>([A-Za-z0-9 ./_-]|&#\d+;|[^\x00-\x7f])*</code>)?", cell(text))
    printable(text).encode()


def test_markdown_shows_no_element_of_anyone_else() -> None:
    """A table of nasty cells, rendered: only the table and code, and every cell in its column."""
    renderer = pytest.importorskip("markdown_it").MarkdownIt("commonmark", {"html": True, "linkify": False})
    renderer.enable("table")
    rows = "\n".join(f"| {cell(text)} | {sentence(text)} | end |" for text in NASTY)
    page = renderer.render(f"| a | b | c |\n| --- | --- | --- |\n{rows}\n")
    assert set(re.findall(r"</?([a-z0-9]+)", page)) == {"table", "thead", "tbody", "tr", "th", "td", "code"}
    assert page.count("<td>end</td>") == len(NASTY)
    assert page.count("<td>") == 3 * len(NASTY)


# --- the check of a branch -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def asked(seedling: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign with one answered round and an open query, all committed; copy it."""
    root = tmp_path_factory.mktemp("asked") / "campaign"
    shutil.copytree(seedling, root)
    before = Path.cwd()
    os.chdir(root)
    try:
        turn()
        assert al("query", "export", "out.csv") == 0
        assert al("labels", "add", str(fill(Path("out.csv"), Path("filled.csv"), truth))) == 0
        turn()
        assert al("query", "export", "next.csv") == 0
        for name in ("out.csv", "filled.csv"):
            Path(name).unlink()
        Path(".git/info/exclude").write_text("next.csv\n")
        commit(root, "Round 1")
    finally:
        os.chdir(before)
    return root


@pytest.fixture
def branch(asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh copy on a branch of its own, as the current folder."""
    root = tmp_path / "campaign"
    shutil.copytree(asked, root)
    monkeypatch.chdir(root)
    for name in (
        "DVC_STAGE",
        "MLFLOW_TRACKING_URI",
        *(f"GIT_{r}_{k}" for r in ("AUTHOR", "COMMITTER") for k in ("NAME", "EMAIL")),
    ):
        monkeypatch.delenv(name, raising=False)
    commands.git("checkout", "--quiet", "-b", "labels")
    return root


def answer(label_of=truth, who: str = "ann", *words: str) -> None:
    assert al("labels", "add", str(fill(Path("next.csv"), Path(".git/filled.csv"), label_of, who)), *words) == 0


def refile(path: Path, content: bytes) -> None:
    """Put other content under a filed name, with a manifest that fits it."""
    manifest = Path(layout.MANIFESTS, path.parent.name, f"{path.stem}.json")
    path.write_bytes(content)
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"sha256": digest(content)}))


def first() -> Path:
    return filed(1, "b01--ann")


def said_of(capsys: pytest.CaptureFixture, *words: str) -> tuple[int, str]:
    capsys.readouterr()
    code = al("ci", "check", "--base", "main", *words)
    return code, capsys.readouterr().err


def test_a_good_batch_is_in_order(branch: Path, capsys: pytest.CaptureFixture) -> None:
    answer()
    answer(lambda s: "a" if s.endswith("1") else truth(s), "bob")
    commit(branch, "Answers")
    code, errors = said_of(capsys, "--report", "report.md", "--comment", "comment.md")
    assert (code, errors) == (0, "")
    text = Path("report.md").read_text()
    assert "Label batches: in order" in text
    assert "2 new label batches, 24 answers, all in order" in text
    assert Path("comment.md").read_text() == text
    found = check("main")
    assert [(b.answers, b.labelled, b.refused, b.annotators) for b in found.batches] == [
        (12, 12, 0, ("ann",)),
        (12, 12, 0, ("bob",)),
    ]
    ids = [row["sample_id"] for row in csv.DictReader(io.StringIO(Path("next.csv").read_text()))]
    agree = sum(not s.endswith("1") or truth(s) == "a" for s in ids) / 12
    assert found.agreement == pytest.approx(agree)
    assert sum(found.per_class.values()) == 24


def test_nothing_new_is_in_order(branch: Path, capsys: pytest.CaptureFixture) -> None:
    assert said_of(capsys) == (0, "")
    assert verdict(check("main")) == "no new label batch"


def test_what_is_not_committed_yet_is_checked_too(branch: Path) -> None:
    answer()
    assert len(check().batches) == 1


def test_bad_rows_are_refused_with_reason_and_remedy(branch: Path, capsys: pytest.CaptureFixture) -> None:
    """One line each; nothing that stands in a cell is interpreted. The quarantine is a decision of the command."""
    label = "<b>@team</b> \x1b[31m| x"
    answer(lambda s: label if truth(s) == "a" else truth(s), "eve", "--quarantine")
    commit(branch, "Answers")
    capsys.readouterr()
    code, errors = said_of(capsys, "--report", "report.md")
    bad = sum(truth(r["sample_id"]) == "a" for r in csv.DictReader(io.StringIO(Path("next.csv").read_text())))
    assert code == 1
    assert len(errors.splitlines()) == bad > 0
    assert all("--eve.csv row" in line and "; " not in line.split(": ")[0] for line in errors.splitlines())
    assert "\x1b" not in errors
    text = Path("report.md").read_text()
    assert "not in order" in text
    assert f"{bad} answers refused" in text
    assert "<b>" not in text
    assert "@team" not in text
    assert "&#60;b&#62;&#64;team" in text
    code, errors = said_of(capsys, "--quarantine")
    assert code == 0
    assert len(errors.splitlines()) == bad, "told all the same"


def test_editing_a_filed_answer_is_found_though_its_manifest_fits(branch: Path, capsys: pytest.CaptureFixture) -> None:
    path = first()
    answers = read_sheet(path.read_bytes(), "x").answers
    other = next(c for c in CLASSES if c != answers[0].label)
    refile(path, to_csv([replace(answers[0], label=other), *answers[1:]]))
    commit(branch, "Rewrite history")
    ledger.read_rounds()  # the manifests alone do not see it
    code, errors = said_of(capsys)
    assert code == 1
    assert f"{path} was edited after it was filed" in errors
    assert "file a correction that supersedes it" in errors
    assert len(errors.splitlines()) == 2  # the file and its manifest


def test_deleting_a_filed_answer_is_found(branch: Path, capsys: pytest.CaptureFixture) -> None:
    answer()  # so that the round before is not the last
    path = first()
    shutil.rmtree(path.parent)
    shutil.rmtree(Path(layout.MANIFESTS, "round_0001"))
    commit(branch, "Gap")
    code, errors = said_of(capsys)
    assert code == 1
    assert f"{path} was deleted" in errors
    assert "label rounds are not contiguous" in errors


def test_a_batch_without_manifest_and_an_altered_one_are_both_told(branch: Path, capsys: pytest.CaptureFixture) -> None:
    answer()
    Path(layout.LABELS, "round_0001/b01--bob.csv").write_bytes(first().read_bytes())
    path = filed(2, "b01--ann")
    path.write_bytes(path.read_bytes() + b"\n")
    commit(branch, "Two faults")
    code, errors = said_of(capsys)
    assert code == 1
    assert "b01--bob.csv, which no manifest names" in errors
    assert f"{path.name} was altered after it was filed" in errors


def test_a_folder_within_a_round_is_told(branch: Path, capsys: pytest.CaptureFixture) -> None:
    answer()
    Path(layout.LABELS, "round_0001", "more").mkdir()
    Path(layout.LABELS, "round_0001", "more", "b01--x.csv").write_text("x")
    commit(branch, "Folder")
    code, errors = said_of(capsys)
    assert code == 1
    assert "round_0001/more: Is a directory" in errors


def test_a_gap_in_the_rounds_is_found(branch: Path, capsys: pytest.CaptureFixture) -> None:
    answer()
    for folder in (layout.LABELS, layout.MANIFESTS):
        Path(folder, "round_0002").rename(Path(folder, "round_0004"))
    commit(branch, "Gap")
    code, errors = said_of(capsys)
    assert code == 1
    assert "not contiguous: have 1, 4, missing 2, 3" in errors


@pytest.mark.parametrize("how", ["edit", "delete", "answer another"])
def test_the_query_that_was_handed_out_stays(how: str, branch: Path, capsys: pytest.CaptureFixture) -> None:
    (path,) = ledger.filed_queries(2)
    lines = path.read_text().splitlines(keepends=True)
    if how == "answer another":
        answer()
        query = filed(2, "query")
        refile(query, "".join(lines[:-1]).encode())
    elif how == "edit":
        path.write_text("".join(lines[:-1]))
    else:
        path.unlink()
    commit(branch, "Another query")
    code, errors = said_of(capsys)
    assert code == 1
    assert ("was deleted" if how == "delete" else "not the one that was handed out") in errors


def test_no_code_of_the_branch_runs_in_place_of_dvc(branch: Path, capsys: pytest.CaptureFixture) -> None:
    """`python -m dvc` would take a dvc.py of the current folder."""
    answer()
    shutil.rmtree(layout.POOL)
    Path("data/pool.dvc").write_text(f"outs:\n- md5: {'0' * 32}.dir\n  hash: md5\n  path: pool\n")
    Path("dvc.py").write_text("from pathlib import Path\nPath('it-ran').touch()\n")
    commit(branch, "A pool that is not here, and a dvc.py")
    said_of(capsys)
    assert not Path("it-ran").exists()


def test_a_second_manifest_cannot_promise_other_bytes(branch: Path, capsys: pytest.CaptureFixture) -> None:
    path = first()
    altered = path.read_bytes().replace(b",a,", b",b,", 1)
    path.write_bytes(altered)
    second = {"file": path.name, "sha256": digest(altered), "content": "answers/1"}
    Path(layout.MANIFESTS, "round_0001", "zz.json").write_text(json.dumps(second))
    commit(branch, "Another promise")
    assert f"is the manifest of '{path.name}'" in said_of(capsys)[1]
    assert al("verify") == 1


def test_a_batch_is_judged_whatever_its_manifest_is_called(branch: Path, capsys: pytest.CaptureFixture) -> None:
    answer(lambda s: "NO SUCH CLASS", "eve", "--quarantine")
    manifest = Path(layout.MANIFESTS, "round_0002", f"{filed(2, 'b01--eve').stem}.json")
    manifest.rename(manifest.with_name("a.json"))
    commit(branch, "Unseen")
    code, errors = said_of(capsys)
    assert code == 1
    assert "a.json is the manifest of" in errors


def test_a_forged_query_is_not_excused_by_a_note(branch: Path, capsys: pytest.CaptureFixture) -> None:
    """The digest of the true one, under another key of the manifest."""
    (path,) = ledger.filed_queries(2)
    answer()
    query = filed(2, "query")
    refile(query, b"".join(query.read_bytes().splitlines(keepends=True)[:-1]))
    manifest = Path(layout.MANIFESTS, "round_0002", f"{query.stem}.json")
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"note": digest(path.read_bytes())}))
    commit(branch, "Another query")
    assert "not the one that was handed out" in said_of(capsys)[1]


def test_withdrawing_a_query_is_in_order(branch: Path, capsys: pytest.CaptureFixture) -> None:
    assert al("query", "withdraw") == 0
    commit(branch, "Withdraw")
    capsys.readouterr()
    assert said_of(capsys) == (0, "")


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_link_among_the_labels_is_not_followed(
    what: str, branch: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "b01--x.csv").write_text("query_id,sample_id,label\nhidden,hidden,hidden\n")
    target = Path(layout.LABELS, "round_0001/b01--x.csv" if what == "file" else "round_0002")
    target.symlink_to(secret / "b01--x.csv" if what == "file" else secret)
    commit(branch, "Link")
    code, errors = said_of(capsys)
    assert code == 1
    assert f"{target} is a link or a device" in errors
    assert "hidden" not in errors


@pytest.mark.parametrize("what", ["data", layout.LABELS, layout.MANIFESTS, layout.QUERIES])
def test_a_folder_of_labels_that_is_a_link_is_not_followed(
    what: str, branch: Path, capsys: pytest.CaptureFixture
) -> None:
    answer(lambda _: "no class", "eve", "--quarantine")
    Path(what).rename("elsewhere")
    Path(what).symlink_to(Path("elsewhere").resolve())
    commit(branch, "Link")
    code, errors = said_of(capsys)
    assert code == 1
    assert errors.splitlines()[0].startswith(f"al ci check: {what} is a link or a device")
    assert "no class" not in errors


def test_another_name_of_a_round_is_told_and_does_not_count(branch: Path, capsys: pytest.CaptureFixture) -> None:
    before = ledger.round_count()
    Path(layout.MANIFESTS, "round_1").mkdir()
    Path(layout.MANIFESTS, "round_1", "x.json").write_text("{}")
    commit(branch, "Another name")
    code, errors = said_of(capsys)
    assert code == 1
    assert "data/manifests/round_1 is not named as a label round" in errors
    assert ledger.round_count() == before == len(ledger.round_numbers())


def test_a_branch_cannot_weaken_its_own_expectations(branch: Path, capsys: pytest.CaptureFixture) -> None:
    answer(lambda _: "no class", "eve", "--quarantine")
    suite = json.loads(Path(layout.SUITE).read_text())
    for expectation in suite["expectations"]:
        expectation["severity"] = "warning"
    Path(layout.SUITE).write_text(json.dumps(suite))
    commit(branch, "All is well")
    code, errors = said_of(capsys)
    assert code == 1
    assert len(errors.splitlines()) == 12
    assert any(layout.SUITE in note for note in check("main").notes)


def test_no_code_of_the_branch_runs(branch: Path, capsys: pytest.CaptureFixture) -> None:
    Path("evil.py").write_text(
        "from pathlib import Path\nPath('ran').touch()\ndef score(log_probs): return log_probs\n"
    )
    params = Path(layout.PARAMS).read_text()
    Path(layout.PARAMS).write_text(params.replace("score:\n  strategy: null", 'score:\n  strategy: "evil:score"'))
    answer_before = Path(layout.PARAMS).read_text()
    Path(layout.PARAMS).write_text(params)
    answer()
    Path(layout.PARAMS).write_text(answer_before)
    commit(branch, "Evil")
    capsys.readouterr()
    assert said_of(capsys)[0] == 0
    assert not Path("ran").exists()


def test_without_the_pool_samples_are_looked_up_in_the_queries(branch: Path, capsys: pytest.CaptureFixture) -> None:
    answer()
    commit(branch, "Answers")
    shutil.rmtree(layout.POOL)
    capsys.readouterr()
    assert said_of(capsys) == (0, "")
    assert any("pool is not at hand" in note for note in check("main").notes)


def test_labels_may_move_under_dvc_but_not_change_on_the_way(branch: Path, capsys: pytest.CaptureFixture) -> None:
    """Git shows every file as deleted; the manifests hold them."""
    commands.git("rm", "-r", "--quiet", "--cached", layout.LABELS)
    Path(layout.LABELS_DVC).write_text("outs:\n- path: labels\n")
    with Path(".gitignore").open("a") as ignored:
        ignored.write("/data/labels\n")
    commit(branch, "Move")
    assert said_of(capsys)[0] == 0
    first().write_bytes(first().read_bytes().replace(b'"a"', b'"b"'))
    code, errors = said_of(capsys)
    assert code == 1
    assert "was altered" in errors


def test_label_rounds_under_dvc_that_are_not_here(branch: Path, capsys: pytest.CaptureFixture) -> None:
    """One problem, the missing files: the manifest says where the query went."""
    answer()
    commands.git("rm", "-r", "--quiet", "--cached", layout.LABELS)
    Path(layout.LABELS_DVC).write_text("outs:\n- path: labels\n")
    shutil.rmtree(Path(layout.LABELS, "round_0002"))
    commit(branch, "Answers elsewhere")
    code, errors = said_of(capsys)
    assert code == 1
    assert len(errors.splitlines()) == 1
    assert "round_0002 lacks" in errors


def test_a_base_that_is_not_there(branch: Path, capsys: pytest.CaptureFixture) -> None:
    for base in ("nowhere", "--output=x"):
        assert al("ci", "check", f"--base={base}") == 1
        assert "fetch the whole history" in capsys.readouterr().err


def test_a_long_report_fits_into_a_comment(branch: Path) -> None:
    answer()
    found = check("main")
    many = replace(found, problems=tuple(f"<{'&' * 390}>{i}" for i in range(500)))
    text = markdown(many, 400)
    assert len(text) < 60_200
    assert "prints all of it" in text
    assert "... and 100 more" in markdown(replace(found, problems=("x",) * 150), 50)


# --- gates ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "value", "reference", "allowed", "passes", "worse"),
    [
        ("accuracy", 0.92, 0.93, 0.01, True, True),  # the difference is 0.010000000000000009
        ("accuracy", 0.91, 0.93, 0.01, False, True),
        ("accuracy", 0.94, 0.93, 0.0, True, False),
        ("accuracy", 0.5, 0.93, None, True, True),
        ("nll", 0.5, 0.4, 0.05, False, True),  # less is better
        ("nll", 0.3, 0.4, 0.0, True, False),
        ("accuracy", None, 0.93, 0.0, True, False),
        ("accuracy", 0.1, None, 0.0, True, False),
    ],
)
def test_quality(
    metric: str, value: float | None, reference: float | None, allowed: float | None, passes: bool, worse: bool
) -> None:
    against = None if reference is None else Reference(reference, "the champion")
    found = quality(Gate(metric, allowed), value, against)
    assert (found.passes, found.worse) == (passes, worse)


def query_of(n: int, annotators: int = 1) -> list[QueryRow]:
    return [QueryRow(f"r0002-{i}", f"s{i}", i, None, "query", annotators, None, "") for i in range(n)]


def test_budget_counts_what_the_next_query_asks_for() -> None:
    assert budget(Gate(budget=60), 50, query_of(10), is_open=False).passes
    assert not budget(Gate(budget=60), 51, query_of(10), is_open=False).passes
    assert not budget(Gate(budget=60), 50, query_of(10, annotators=2), is_open=False).passes
    assert budget(Gate(budget=60), 51, query_of(10), is_open=True).passes, "people are at it already"
    assert budget(Gate(), 10**9, query_of(10), is_open=False).passes


def test_gate_settings_are_checked(branch: Path) -> None:
    text = Path(layout.PARAMS).read_text()
    params = read_params(text.encode())
    assert params.gate == Gate("accuracy", None, None)
    assert read_params(text.split("gate:")[0].encode()).gate == Gate(), "campaigns of before have no section"
    chosen = text.replace("max_drop: null", "max_drop: 0").replace("budget: null", "budget: 500")
    assert read_params(chosen.encode()).gate == Gate("accuracy", 0.0, 500)
    for bad in ("max_drop: -1", "max_drop: yes", "budget: 1.5", "budget: 0", "metric: acuracy", "budgt: 5"):
        with pytest.raises(ParamsError):
            read_params(f"{text.split('gate:')[0]}gate:\n  {bad}\n".encode())


# --- a round, with DVC played by the test --------------------------------------------------------


@pytest.fixture
def hub(branch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The campaign on main with a remote; DVC's commands are noted, not run. The query of round 2 is withdrawn."""
    commands.git("checkout", "--quiet", "main")
    assert al("query", "withdraw") == 0
    commit(branch, "Withdraw")
    commands.git("init", "--quiet", "--bare", str(tmp_path / "hub.git"))
    commands.git("remote", "add", "origin", str(tmp_path / "hub.git"))
    commands.git("push", "--quiet", "origin", "main")
    done: list[str] = []

    def dvc(*words: str, cwd: str = ".") -> str:
        done.append(f"dvc {words[0]}")
        return "store\tsomewhere" if words[0] == "remote" else ""

    def aloud(*words: str, held: object = ()) -> None:
        done.append("dvc repro")
        lock = Path(layout.DVC_LOCK)
        lock.write_text(f"# {len(list(Path(layout.QUERIES).glob('round_*')))} open\nstages: {{}}\n")

    git = commands.git

    def watched(*words: str, **options: object) -> str:
        if words[0] in ("commit", "push"):
            done.append(f"git {words[0]}")
        return git(*words, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(commands, "dvc", dvc)
    monkeypatch.setattr(commands, "dvc_aloud", aloud)
    monkeypatch.setattr(commands, "git", watched)
    monkeypatch.setattr(gates.promote, "champion", lambda _: (None, ""))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "bot")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "bot@ci")
    done.clear()
    return done


def pushed(root: Path = Path()) -> str:
    return commands.git("ls-remote", "origin", "refs/heads/main", cwd=root).split()[0]


def test_data_are_pushed_before_git_and_the_query_is_opened(hub: list[str], capsys: pytest.CaptureFixture) -> None:
    assert al("ci", "round", "--push", "--out", "out") == 0
    order = [step for step in hub if step != "dvc remote"]
    assert order == ["dvc repro", "dvc repro", "dvc push", "git commit", "git push"]
    assert pushed() == commands.git("rev-parse", "HEAD")
    assert commands.git("log", "-1", "--format=%an <%ae> %cn <%ce>") == "bot <bot@ci> bot <bot@ci>"
    assert commands.git("log", "-1", "--format=%s") == "Round 1: 12 labels, query 2 opened"
    assert set(commands.git("show", "--name-only", "--format=", "HEAD").split()) == {
        layout.DVC_LOCK,
        # Handed out once more: its file was there, the mark is gone.
        f"{layout.WITHDRAWN}/{ledger.filed_queries(2)[0].stem}.txt",
    }
    assert Path("out/round_0002.csv").read_text().count("\n") == 13
    assert "query 2 is open" in Path("out/summary.md").read_text()
    said = capsys.readouterr().out
    assert "gate.budget passes: 12 answers, no limit" in said


def test_running_again_changes_nothing(hub: list[str]) -> None:
    assert al("ci", "round", "--push", "--out", "out") == 0
    head = commands.git("rev-parse", "HEAD")
    Path("out/round_0002.csv").write_text("somebody fills it in")
    assert al("ci", "round", "--push", "--out", "out") == 0
    assert commands.git("rev-parse", "HEAD") == head == pushed()
    assert Path("out/round_0002.csv").read_text() == "somebody fills it in"


@pytest.mark.parametrize("at", ["dvc repro", "dvc push", "git commit", "git push"])
def test_killed_anywhere_and_run_again(at: str, hub: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """After the step, the process is gone; the next run ends in the same commit."""

    def dying(step: Callable) -> Callable:
        def call(*words: str, **options: object) -> object:
            found = step(*words, **options)
            if hub and hub[-1] == at and at.split()[1] == words[0]:
                raise KeyboardInterrupt
            return found

        return call

    with monkeypatch.context() as killed:
        for name in ("dvc", "dvc_aloud", "git"):
            killed.setattr(commands, name, dying(getattr(commands, name)))
        assert al("ci", "round", "--push") == 130
    assert al("ci", "round", "--push") == 0
    assert pushed() == commands.git("rev-parse", "HEAD")
    assert commands.git("log", "--format=%s", "-2").splitlines() == ["Round 1: 12 labels, query 2 opened", "Withdraw"]
    assert commands.git("status", "--porcelain", "--untracked-files=no") == ""


def gate(**values: object) -> None:
    text = Path(layout.PARAMS).read_text()
    for key, value in values.items():
        text = text.replace(f"  {key}: null", f"  {key}: {value}")
    Path(layout.PARAMS).write_text(text)
    commit(Path(), "Gate")


def test_a_model_that_got_worse_is_committed_but_asks_nobody(
    hub: list[str], capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 1 after the commit: the round is a fact, and its labels are paid for."""
    gate(max_drop=0.01)
    best = Champion("3", 0, {"accuracy": 1.5}, None)
    monkeypatch.setattr(gates.promote, "champion", lambda _: (best, ""))
    monkeypatch.setattr(one_round.promote, "promote", lambda _: pytest.fail("promoted"))
    assert al("ci", "round", "--push", "--promote") == 1
    said = capsys.readouterr()
    assert len(said.err.splitlines()) == 1
    assert "round 1 is complete, but gate.max_drop fails" in said.err
    assert "of the champion, round 0: worse by" in said.err
    assert "not promoted" in said.out
    assert not ledger.filed_queries(2)
    assert pushed() == commands.git("rev-parse", "HEAD")
    assert commands.git("log", "-1", "--format=%s") == "Round 1: 12 labels"


def test_a_spent_budget_asks_nobody(hub: list[str], capsys: pytest.CaptureFixture) -> None:
    gate(budget=20)
    assert al("ci", "round", "--push") == 1
    assert "12 answers and 12 more of the next query, 20 are allowed" in capsys.readouterr().err
    assert not ledger.filed_queries(2)
    assert pushed() == commands.git("rev-parse", "HEAD")


def test_nobody_is_made_up(hub: list[str], capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GIT_AUTHOR_NAME")
    monkeypatch.delenv("GIT_AUTHOR_EMAIL")
    assert al("ci", "round", "--push") == 1
    assert "nobody is named to commit as" in capsys.readouterr().err
    assert hub == [], "before anything runs"
    assert al("ci", "round", "--push", "--author", "Ann") == 1
    assert al("ci", "round", "--push", "--author", "Ann Lee <ann@example.org>") == 0
    assert commands.git("log", "-1", "--format=%an <%ae> %cn") == "Ann Lee <ann@example.org> Ann Lee"


def test_uncommitted_settings_are_no_round(hub: list[str], capsys: pytest.CaptureFixture) -> None:
    with Path(layout.PARAMS).open("a") as params:
        params.write("# changed\n")
    assert al("ci", "round", "--commit") == 1
    assert "params.yaml is not committed" in capsys.readouterr().err
    assert "dvc repro" not in hub


def test_a_branch_that_moved_on_is_left_to_the_next_run(
    hub: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    other = tmp_path / "other"
    commands.git("clone", "--quiet", "--branch", "main", str(tmp_path / "hub.git"), str(other))
    (other / "README.md").write_text("news")
    commit(other, "News")
    commands.git("push", "--quiet", "origin", "main", cwd=other)
    assert al("ci", "round", "--push") == 1
    assert "origin/main moved on while the round ran" in capsys.readouterr().err
    assert pushed() == commands.git("rev-parse", "HEAD", cwd=other)


def test_without_a_remote_nothing_is_pushed(
    hub: list[str], capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "dvc", lambda *_, **__: "")
    assert al("ci", "round", "--push") == 1
    assert "no DVC remote" in capsys.readouterr().err
    assert al("ci", "round", "--commit") == 0


def test_two_rounds_never_run_at_once(hub: list[str]) -> None:
    """The lock is handed to DVC, so that it holds while a DVC lives that lost its caller."""
    import fcntl

    with one_round._alone() as held:
        os.fstat(held)
        with open(Path(layout.PRIVATE, "locks", "ci.lock")) as second, pytest.raises(BlockingIOError):
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_best_round_in_git_stands_in_for_a_champion(monkeypatch: pytest.MonkeyPatch, branch: Path) -> None:
    """Only rounds measured on the same evaluation set compare."""
    from al_plugin import history

    def past(number: int, evaluation: str) -> history.PastRound:
        deps = [{"path": layout.EVAL, "md5": evaluation}]
        return history.PastRound(number, "c" * 40, {"stages": {"train": {"deps": deps}}})

    values = {0: None, 1: 0.7, 2: 0.9, 3: 0.8, 4: 0.99}
    rounds = {n: past(n, "old" if n == 4 else "same") for n in values}
    monkeypatch.setattr(history, "past_rounds", lambda: rounds)
    monkeypatch.setattr(
        history,
        "read_output",
        lambda one, _: json.dumps({"eval": {"accuracy": values[one.number], "nll": values[one.number]}}),
    )
    monkeypatch.setattr(gates.promote, "evaluated_on", lambda: "same")
    params = read_params(Path(layout.PARAMS).read_bytes())
    notes: list[str] = []
    monkeypatch.setattr(gates.promote, "champion", lambda _: (None, "MLflow is away"))
    assert gates.reference(params, notes) == Reference(0.9, "round 2, the best in Git")
    assert "MLflow is away" in notes[0]
    monkeypatch.setattr(gates.promote, "champion", lambda _: (Champion("1", 7, {"accuracy": 0.5}, "old"), ""))
    assert gates.reference(params, notes) == Reference(0.9, "round 2, the best in Git")
    monkeypatch.setattr(gates.promote, "champion", lambda _: (Champion("1", 7, {"accuracy": 0.5}, "same"), ""))
    assert gates.reference(params, notes) == Reference(0.5, "the champion, round 7")
    monkeypatch.setattr(gates.promote, "champion", lambda _: (None, ""))
    by_nll = replace(params, gate=Gate("nll"))
    assert gates.reference(by_nll, notes) == Reference(0.7, "round 1, the best in Git")


@pytest.mark.parametrize("damaged", [b"", b'{"eval', b"[]", b'{"eval": [1]}'])
def test_a_past_round_whose_measure_is_damaged_is_passed_over(damaged: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    from al_plugin import history

    whole = b'{"eval": {"accuracy": 0.7}}'
    lock: dict = {"stages": {}}
    rounds = {number: history.PastRound(number, "c" * 40, lock) for number in (0, 1)}
    monkeypatch.setattr(history, "past_rounds", lambda: rounds)
    monkeypatch.setattr(history, "read_output", lambda one, _: whole if one.number == 0 else damaged)
    monkeypatch.setattr(gates.promote, "evaluated_on", lambda: None)
    monkeypatch.setattr(gates.promote, "champion", lambda _: (None, ""))
    monkeypatch.setattr(commands, "dvc", lambda *_: "")
    params = read_params((ROOT / layout.PARAMS).read_bytes())
    assert gates.reference(params, []) == Reference(0.7, "round 0, the best in Git")


# --- champions -----------------------------------------------------------------------------------


@pytest.fixture
def store_of_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an empty tracking database, as the current one."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_database(), tmp_path / "mlflow.db")
    return tmp_path


def test_a_challenger_becomes_champion(store_of_rounds: Path) -> None:
    params = make_round(Path(), 1, 6)
    assert champion(params) == (None, "")
    assert promote(params).status == "not", "MLflow was not told of it"
    tell(params)
    done = promote(params)
    assert done.status == "promoted"
    assert done.message == "round 1, version 1 of zoo, is the champion now"
    assert promote(params).status == "already"
    found, _ = champion(params)
    assert found is not None
    assert (found.version, found.round) == ("1", 1)
    assert found.metrics["accuracy"] == json.loads(Path(layout.TRAIN_METRICS).read_text())["eval"]["accuracy"]
    assert found.evaluated_on is not None
    assert found.evaluated_on.endswith(".dir")
    params = make_round(Path(), 2, 9)
    tell(params)
    assert promote(params).message.endswith("is the champion now instead of round 1, version 1")
    params = make_round(Path(), 1, 6)
    assert promote(params).message == "round 2 is the challenger, not round 1"


def test_a_dead_server_promotes_nobody(store_of_rounds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with silent_server() as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.replace("http://", "http://me:secret@"))
        params = make_round(Path(), 1, 6)
        found, trouble = champion(params)
        assert found is None
        assert "no answer within" in trouble
        assert "secret" not in trouble
        done = promote(params)
        assert done.status == "unreachable"
        assert "secret" not in done.message
        with pytest.raises(TrackingError):
            champion(replace(params, tracking=replace(params.tracking, required=True)))


# --- workflows -----------------------------------------------------------------------------------

ACTIONS = {
    "actions/checkout@v6": {"ref", "fetch-depth", "persist-credentials"},
    "actions/setup-python@v6": {"python-version", "cache", "cache-dependency-path"},
    "actions/cache@v5": {"path", "key", "restore-keys"},
    "actions/upload-artifact@v6": {"name", "path", "if-no-files-found"},
    "actions/download-artifact@v7": {"name", "path"},
}
JOB_KEYS = {
    *("if", "needs", "runs-on", "timeout-minutes", "permissions", "environment", "concurrency", "defaults", "steps"),
}


def github(folder: str = ".") -> dict:
    document = yaml.safe_load(workflows.text("github", Path(folder)))
    document["on"] = document.pop(True)  # YAML 1.1 reads `on` as a boolean
    return document


def gitlab(folder: str = ".") -> dict:
    return yaml.safe_load(workflows.text("gitlab", Path(folder)))


@pytest.mark.parametrize("folder", [".", "team/campaign"])
def test_the_github_workflow_has_known_keys_and_few_rights(folder: str) -> None:
    document = github(folder)
    assert set(document) == {"name", "on", "permissions", "env", "jobs"}
    assert set(document["on"]) == {"pull_request", "push", "workflow_dispatch"}, "never pull_request_target"
    assert document["permissions"] == {}
    rights = {name: job["permissions"] for name, job in document["jobs"].items()}
    assert rights == {
        "check": {"contents": "read"},
        "comment": {"pull-requests": "write"},
        "round": {"contents": "write"},
    }
    for job in document["jobs"].values():
        assert set(job) <= JOB_KEYS
        assert "timeout-minutes" in job
        for step in job["steps"]:
            assert set(step) <= {"name", "uses", "with", "run", "env", "if"}
            assert ("uses" in step) != ("run" in step)
            if "uses" in step:
                assert set(step.get("with", {})) <= ACTIONS[step["uses"]]
            # Expressions are put into a script before bash reads it: a way in for a title or a branch name.
            assert "${{" not in step.get("run", "")
    assert document["jobs"]["round"]["concurrency"] == {"group": "al-round", "cancel-in-progress": False}
    assert "default_branch" in document["jobs"]["round"]["if"]
    assert all("secrets." not in json.dumps(document["jobs"][name]) for name in ("check", "comment"))
    assert not any("al ci" in step.get("run", "") for step in document["jobs"]["comment"]["steps"])
    assert not any("checkout" in step.get("uses", "") for step in document["jobs"]["comment"]["steps"])
    prefix = "" if folder == "." else f"{folder}/"
    uploads = [s for j in document["jobs"].values() for s in j["steps"] if "upload" in s.get("uses", "")]
    assert [s["with"]["path"] for s in uploads] == [f"{prefix}al-report/", f"{prefix}al-query/"]
    assert document["jobs"]["round"]["defaults"]["run"]["working-directory"] == folder


@pytest.mark.parametrize("folder", [".", "team/campaign"])
def test_the_gitlab_pipeline_has_known_keys(folder: str) -> None:
    document = gitlab(folder)
    assert set(document) == {".al", "al-check", "al-round"}
    keys = {
        *("image", "variables", "before_script", "extends", "stage", "timeout", "interruptible", "rules", "cache"),
        *("script", "artifacts", "resource_group", "environment"),
    }
    for job in document.values():
        assert set(job) <= keys
    assert document["al-round"]["resource_group"] == "al-round"
    assert document["al-round"]["environment"] == {"name": "active-learning", "action": "access"}
    assert document[".al"]["before_script"][0] == f'cd "$CI_PROJECT_DIR/{folder}"'
    assert not any("TOKEN}" in line or "$AL_PUSH_TOKEN@" in line for line in document["al-round"]["script"])


def test_init_writes_workflows_and_overwrites_none(branch: Path, capsys: pytest.CaptureFixture) -> None:
    assert al("ci", "init", "github") == 0
    assert al("ci", "init", "gitlab") == 0
    assert Path(".gitlab-ci.yml").read_text() == "include:\n  - local: .gitlab/active-learning.yml\n"
    for kind, path in (("github", ".github/workflows/active-learning.yml"), ("gitlab", ".gitlab/active-learning.yml")):
        Path(path).write_text("mine")
        assert al("ci", "init", kind) == 1
        assert "exists already" in capsys.readouterr().err
        assert Path(path).read_text() == "mine"
    Path(".gitlab/active-learning.yml").unlink()
    Path(".gitlab-ci.yml").write_text("stages: [mine]\n")
    assert al("ci", "init", "gitlab") == 0
    assert "add to its `include:`" in capsys.readouterr().out
    assert Path(".gitlab-ci.yml").read_text() == "stages: [mine]\n"


def test_al_init_with_ci(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """In a folder of a repository, the workflow goes to the repository's root; one in the way stops everything."""
    commands.git("init", "--quiet", cwd=tmp_path)
    folder = tmp_path / "team" / "campaign"
    (folder / ".dvc").mkdir(parents=True)
    monkeypatch.chdir(folder)
    path = tmp_path / ".github/workflows/active-learning.yml"
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    assert al("init", "--classes", "a,b", "--name", "x", "--ci", "github") == 1
    assert list(folder.iterdir()) == [folder / ".dvc"]
    path.unlink()
    assert al("init", "--classes", "a,b", "--name", "x", "--ci", "github") == 0
    assert "wrote .github/workflows/active-learning.yml" in capsys.readouterr().out
    assert 'working-directory: "team/campaign"' in path.read_text()
    with pytest.raises(CampaignError, match="rename it"):
        workflows.text("github", Path('a"b'))


# --- the workflows, step by step on clean machines -----------------------------------------------

ALWAYS = "${{ !cancelled() }}"


class Machine:
    """A runner without anything: a home, a folder to work in, and the programs of this environment."""

    def __init__(self, folder: Path, hub: Path, revision: str) -> None:
        self.home, self.work, self.artifacts = folder / "home", folder / "work", folder / "artifacts"
        for path in (self.home, self.artifacts, folder / "bin"):
            path.mkdir(parents=True)
        self._program(folder, "al", f'exec "{Path(os.sys.executable)}" -m al_plugin.cli.main "$@"')
        self._program(folder, "gh", f'printf "%s " "$@" > "{folder}/gh"; cp "${{@: -1}}" "{folder}/comment"')
        self.folder = folder
        self.env = {
            "PATH": f"{folder / 'bin'}:{Path(os.sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(self.home),
            "PYTHONPATH": str(ROOT),
            "PIP_NO_INDEX": "1",  # what the workflow installs is here already, so nothing is fetched
            "PIP_NO_DEPS": "1",
            "DVC_SITE_CACHE_DIR": str(self.home / "dvc"),
            "CI": "true",
            "OMP_NUM_THREADS": "1",
        }
        commands.git("clone", "--quiet", str(hub), str(self.work), cwd=folder)
        commands.git("checkout", "--quiet", revision, cwd=self.work)

    def _program(self, folder: Path, name: str, line: str) -> None:
        (folder / "bin" / name).write_text(f"#!/bin/bash\n{line}\n")
        (folder / "bin" / name).chmod(0o755)

    def bash(self, script: str, env: Mapping[str, str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
        return subprocess.run(
            words, cwd=cwd or self.work, env={**self.env, **env}, capture_output=True, text=True, check=False
        )

    def github(self, job: dict, shared: Mapping[str, str], known: Mapping[str, str]) -> tuple[bool, str]:
        """Run a job's steps in order, as GitHub would; whether it succeeded, and everything it said."""
        ok, said = True, ""
        summary = {"GITHUB_STEP_SUMMARY": str(self.folder / "step_summary.md")}
        for step in job["steps"]:
            assert step.get("if") in (None, ALWAYS)
            if not ok and step.get("if") != ALWAYS:
                continue
            if "run" in step:
                values = {**shared, **step.get("env", {})}
                env = {key: expression(value, known) for key, value in values.items()} | summary
                done = self.bash(step["run"], env)
                said += done.stdout + done.stderr
                ok = ok and done.returncode == 0
            elif "upload-artifact" in step["uses"]:
                path = self.work / step["with"]["path"]
                if path.exists():
                    shutil.copytree(path, self.artifacts / step["with"]["name"])
        return ok, said


def expression(text: str, known: Mapping[str, str]) -> str:
    """GitHub's expressions that the workflow uses; one that is not known here is an error."""
    return re.sub(r"\$\{\{\s*(.+?)\s*\}\}", lambda found: known[found[1]], text)


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with both workflows, its hub, and a DVC remote as a folder; nothing was run yet."""
    from campaigns import start

    folder = tmp_path_factory.mktemp("team")
    root = start(folder / "first", "vectors")
    commands.dvc("remote", "add", "--default", "store", str(folder / "store"), cwd=root)
    for kind in workflows.KINDS:
        workflows.write(kind, root)
    text = (root / layout.PARAMS).read_text()
    (root / layout.PARAMS).write_text(text.replace("max_drop: null", "max_drop: 0.2"))
    commands.git("rm", "-r", "--quiet", "--cached", "--ignore-unmatch", layout.POOL, layout.EVAL, cwd=root)
    commands.dvc("add", layout.POOL, layout.EVAL, cwd=root)
    commands.dvc("push", cwd=root)
    commit(root, "Start")
    commands.git("clone", "--quiet", "--bare", str(root), str(folder / "hub.git"))
    commands.git("config", "receive.advertisePushOptions", "true", cwd=folder / "hub.git")
    return folder


@pytest.fixture
def known(team: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name in ("DVC_STAGE", "DVC_ROOT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    secrets = dict.fromkeys(
        (
            f"secrets.{n}"
            for n in (
                "AWS_ACCESS_KEY_ID",
                "AWS_SECRET_ACCESS_KEY",
                "MLFLOW_TRACKING_USERNAME",
                "MLFLOW_TRACKING_PASSWORD",
            )
        ),
        "",
    )
    return {**secrets, "secrets.MLFLOW_TRACKING_URI": f"sqlite:///{team}/mlflow/mlflow.db"}


def person(team: Path, name: str, sheet: Path, label_of=truth) -> None:
    """Someone with a clone of their own files a batch on a branch and pushes it."""
    work = team / "people" / name
    commands.git("clone", "--quiet", str(team / "hub.git"), str(work), cwd=team)
    commands.git("checkout", "--quiet", "-b", name, cwd=work)
    shutil.copytree(team / "first" / layout.POOL, work / layout.POOL)
    filled = fill(sheet, team / f"{name}.csv", label_of, name)
    with contextlib.chdir(work):
        assert al("labels", "add", str(filled), "--quarantine") == 0
    commit(work, f"Answers of {name}")
    commands.git("push", "--quiet", "origin", name, cwd=work)


def merged(team: Path, name: str) -> str:
    """The merge of a branch into main, as GitHub makes it for a pull request."""
    work = team / "people" / name
    commands.git("fetch", "--quiet", "origin", cwd=work)
    commands.git("checkout", "--quiet", "--detach", "origin/main", cwd=work)
    commands.git(*IDENTITY, "merge", "--quiet", "--no-ff", "--no-edit", name, cwd=work)
    commands.git("push", "--quiet", "--force", "origin", f"HEAD:refs/heads/pull-{name}", cwd=work)
    return commands.git("rev-parse", "HEAD", cwd=work)


def head(team: Path) -> str:
    return commands.git("rev-parse", "main", cwd=team / "hub.git")


@pytest.mark.dvc
def test_a_campaign_on_github_and_on_gitlab(team: Path, known: dict[str, str], tmp_path: Path) -> None:
    """Every `run:` of the workflows on clean machines: round 0, a good and a bad batch, the rounds after the merge."""
    document = github()
    jobs, shared = document["jobs"], document["env"]
    hub = team / "hub.git"

    # Round 0: nobody has answered, a query is opened.
    machine = Machine(tmp_path / "round0", hub, "main")
    ok, said = machine.github(jobs["round"], shared, known)
    assert ok, said
    assert "query 1 is open" in (machine.folder / "step_summary.md").read_text()
    sheet = machine.artifacts / "al-query" / "round_0001.csv"
    assert len(sheet.read_text().splitlines()) == 13
    tip = head(team)
    log = commands.git("log", "-1", "--format=%an|%s", tip, cwd=hub)
    assert log == "github-actions[bot]|Round 0: 0 labels, query 1 opened"
    assert not list(machine.home.rglob("mlflow.db"))

    # Two pull requests; the check of the bad one fails and says why.
    person(team, "ann", sheet)
    person(team, "eve", sheet, lambda s: "<script>" if truth(s) == "a" else truth(s))
    for name, good in (("ann", True), ("eve", False)):
        machine = Machine(tmp_path / f"check-{name}", hub, merged(team, name))
        base = {"github.event.pull_request.base.sha": tip}
        ok, said = machine.github(jobs["check"], shared, base)
        assert ok is good, said
        report = (machine.artifacts / "al-report" / "report.md").read_text()
        assert (machine.folder / "step_summary.md").read_text() == report
        assert ("not in order" in report) is not good
        assert "<script>" not in report
        if not good:
            assert "--eve.csv row" in said
            shutil.copytree(machine.artifacts / "al-report", machine.work / "al-report", dirs_exist_ok=True)
            numbers = {"github.token": "t", "github.repository": "team/toy", "github.event.pull_request.number": "7"}
            ok, said = machine.github(jobs["comment"], {}, numbers)
            assert ok, said
            assert (machine.folder / "gh").read_text().startswith("pr comment 7 --edit-last")
            assert "refused" in (machine.folder / "comment").read_text()

    # After the merge: round 1, promoted, the next query opened; then nothing is left to do.
    commands.git("push", "--quiet", "origin", f"{merged(team, 'ann')}:refs/heads/main", cwd=team / "people/ann")
    machine = Machine(tmp_path / "round1", hub, "main")
    ok, said = machine.github(jobs["round"], shared, known)
    assert ok, said
    assert "is the champion now" in said
    assert "query 2 is open" in said
    tip = head(team)
    assert commands.git("log", "-1", "--format=%s", tip, cwd=hub) == "Round 1: 12 labels, query 2 opened"
    changed = commands.git("show", "--name-only", "--format=", tip, cwd=hub).split()
    assert set(changed) == {
        layout.DVC_LOCK,
        layout.environment_of(1),
        *(path for path in changed if path.startswith((f"{layout.QUERIES}/round_0002-", f"{layout.ENVIRONMENTS}/"))),
    }
    assert len(changed) == 4
    again = Machine(tmp_path / "again", hub, "main")
    ok, said = again.github(jobs["round"], shared, known)
    assert ok, said
    assert "Running stage" not in said
    assert head(team) == tip

    # GitLab: late answers of bob to the first query, checked, merged, and the round killed once.
    person(team, "bob", sheet)
    machine = Machine(tmp_path / "gitlab-check", hub, merged(team, "bob"))
    ok, said = on_gitlab(machine, "al-check", {"CI_MERGE_REQUEST_DIFF_BASE_SHA": tip})
    assert ok, said
    assert "Agreement with other annotators: 100" in (machine.work / "al-report/report.md").read_text()
    commands.git("push", "--quiet", "origin", f"{merged(team, 'bob')}:refs/heads/main", cwd=team / "people/bob")
    machine = Machine(tmp_path / "gitlab-round", hub, "--detach")
    variables = {
        "CI_COMMIT_BRANCH": "main",
        "CI_PROJECT_URL": str(hub).removesuffix(".git"),
        "CI_PROJECT_NAME": "toy",
        "CI_SERVER_HOST": "gitlab.example",
        "AL_PUSH_TOKEN": "secret",
        "MLFLOW_TRACKING_URI": known["secrets.MLFLOW_TRACKING_URI"],
    }
    kill_in_the_middle(machine, variables)
    ok, said = on_gitlab(machine, "al-round", variables)
    assert ok, said
    tip = head(team)
    log = commands.git("log", "-1", "--format=%an|%ae|%s", tip, cwd=hub)
    assert log == "toy pipeline|noreply@gitlab.example|Round 1: 12 labels, query 2 opened"
    assert "secret" not in (machine.work / ".git/config").read_text()
    asks = "printf 'protocol=https\\nhost=gitlab.example\\n\\n' | git credential fill"
    assert "password=secret" in machine.bash(asks, variables).stdout
    clone = Machine(tmp_path / "clone", hub, "main")
    assert clone.bash("python -m dvc pull --quiet", {}).returncode == 0
    metrics = json.loads((clone.work / layout.LABEL_METRICS).read_text())
    assert (metrics["votes"], metrics["annotators"]) == (24, 2)


def on_gitlab(machine: Machine, name: str, given: Mapping[str, str]) -> tuple[bool, str]:
    """Run a job's before_script and script in one shell, as GitLab would."""
    document = gitlab()
    job, base = document[name], document[".al"]
    variables = {**base["variables"], **job.get("variables", {})}
    given = {**given, "CI_PROJECT_DIR": str(machine.work)}
    env = {key: re.sub(r"\$(\w+)", lambda found: given[found[1]], str(value)) for key, value in variables.items()}
    done = machine.bash("\n".join([*base["before_script"], *job["script"]]), {**env, **given})
    return done.returncode == 0, done.stdout + done.stderr


def kill_in_the_middle(machine: Machine, variables: Mapping[str, str]) -> None:
    """`al ci round` alone is killed while its first stage runs; DVC goes on, and the next run waits for it."""
    commands.git("checkout", "--quiet", "-B", "main", "origin/main", cwd=machine.work)
    names = {f"GIT_AUTHOR_{key}": "x@y" for key in ("NAME", "EMAIL")}
    process = subprocess.Popen(
        ["al", "ci", "round", "--push"],
        cwd=machine.work,
        env={**machine.env, **variables, **names},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    for line in process.stdout or ():
        if "Running stage" in line:
            break
    process.kill()
    process.wait()
