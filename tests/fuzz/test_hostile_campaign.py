"""A whole campaign of hostile texts, with secrets planted: what it prints, writes and tells MLflow."""

import csv
import io
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from conftest import commit

from al_plugin import commands, layout, store, template

pytestmark = pytest.mark.dvc

SECRETS = {
    "MLFLOW_TRACKING_URI": "http://me:hunter2-in-uri@127.0.0.1:9",
    "MLFLOW_TRACKING_TOKEN": "hunter2-in-token",
    "AWS_SECRET_ACCESS_KEY": "hunter2-in-key",
}
CLASSES = ("<script>alert(1)</script>", "=cmd|' /C calc'!A0", "a|b `c` **d** ![x](http://h/x.png)")
NASTY = "\x1b[2J\x1b]0;t\x07\u202e</p><script>alert(1)</script><img src=x onerror=alert(1)>\n::error::x"
WHO = "<svg onload=alert(1)>\x1b]0;t\x07\u202e\n::warning::x | `y` @everyone"


def start(root: Path) -> None:
    root.mkdir()
    commands.git("init", "--quiet", "--initial-branch=main", cwd=root)
    commands.git("remote", "add", "origin", "http://me:hunter2-in-git@127.0.0.1:9/x.git", cwd=root)
    commands.dvc("init", "--quiet", cwd=root)
    commands.dvc("remote", "add", "--local", "kept", "https://me:hunter2-in-dvc@127.0.0.1:9/x", cwd=root)
    template.write(root, "toy", CLASSES)
    params = root / layout.PARAMS
    params.write_text(params.read_text().replace("  n: 50", "  n: 8").replace("epochs: 30", "epochs: 3"))
    for folder, prefix, size in ((layout.POOL, "s", 40), (layout.EVAL, "e", 20)):
        ids = [f"{prefix}-{i:02d}<img src=x onerror=alert(1)>" for i in range(size)]
        columns = {"sample_id": ids, "text": [f"{['goal', 'bank', 'atom'][i % 3]} {NASTY}" for i in range(size)]}
        columns |= {"label": [CLASSES[i % 3] for i in range(size)]} if prefix == "e" else {"=more": [NASTY] * size}
        store.write_table(root / folder / "part-00000.parquet", pa.table(columns))
    commands.dvc("add", "--quiet", layout.POOL, layout.EVAL, cwd=root)
    commit(root, "Start")


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The campaign after two rounds, and what every command printed."""
    root = tmp_path_factory.mktemp("hostile") / "campaign"
    start(root)
    said: dict[str, str] = {}

    def run(name: str, *words: str, fails: bool = False, without: str = "") -> None:
        env = {key: value for key, value in commands.environment(SECRETS).items() if key != without}
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=root, env=env, capture_output=True, text=True, check=False
        )
        said[name] = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, said[name]

    def al(*words: str, fails: bool = False, without: str = "") -> None:
        run(" ".join(words), "al_plugin.cli.main", *words, fails=fails, without=without)

    run("repro", "dvc", "repro")
    commit(root, "Round 0")
    al("query", "export", "q.csv")
    rows = list(csv.reader(io.StringIO((root / "q.csv").read_text(), newline="")))
    label, who, note = (rows[0].index(name) for name in ("label", "annotator", "note"))
    for row in rows[1:]:
        row[label], row[who], row[note] = CLASSES[int(row[1][2:4]) % 3], WHO, NASTY
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    (root / "q.csv").write_text(text.getvalue())
    al("labels", "add", "q.csv")
    bad = f'{text.getvalue().splitlines()[0]}\nr0001-zz,"s{NASTY}","{WHO}",,"{NASTY}","",""\n'
    (root / "bad.csv").write_text(bad)
    al("labels", "add", "bad.csv", fails=True)
    commit(root, "Labels")
    al("ci", "check", "--base", "HEAD~1", "--report", "reports/check.md", "--comment", "reports/comment.md")
    run("repro again", "dvc", "repro")
    commit(root, "Round 1")
    for words in (
        ("status",),
        ("verdict",),
        ("doctor",),
        ("report",),
        ("recommend",),
        ("diff", "0", "1"),
        ("replay", "1"),
    ):
        al(*words)
    al("track", fails=True)
    run("track here", "al_plugin.cli.main", "track", without="MLFLOW_TRACKING_URI")
    return root, said


def test_no_secret_is_printed_or_written(campaign: tuple[Path, dict[str, str]]) -> None:
    root, said = campaign
    assert not [name for name, text in said.items() if "hunter2" in text]
    kept = {root / ".git/config", root / ".dvc/config.local"}  # where the user put them
    files = [path for path in root.rglob("*") if path.is_file() and path not in kept]
    assert not [path for path in files if b"hunter2" in path.read_bytes()]
    assert (root / "mlflow.db").is_file()
    assert "127.0.0.1:9" in said["track"]


def test_every_line_is_printable_and_none_is_a_command_to_ci(campaign: tuple[Path, dict[str, str]]) -> None:
    for name, text in campaign[1].items():
        for line in text.splitlines():
            assert not line.startswith("::"), (name, line)
            if name not in ("repro", "repro again"):  # DVC's own colours
                assert line.replace("\t", " ").isprintable(), (name, line)
            assert "\u202e" not in line
            assert "]0;t" not in line


def test_the_report_runs_nothing(campaign: tuple[Path, dict[str, str]]) -> None:
    (page,) = (campaign[0] / "reports").glob("*.html")
    text = page.read_text()
    assert "Content-Security-Policy" in text
    assert "default-src &#x27;none&#x27;" in text
    assert not re.search(r"<(script|svg onload|img src=x)", text)
    assert not set(text) & set("\x1b\x07\u202e")
    assert "&lt;svg onload=alert(1)&gt;" in text


def test_markdown_of_ci_holds_no_markup_of_people(campaign: tuple[Path, dict[str, str]]) -> None:
    for name in ("check.md", "comment.md"):
        text = (campaign[0] / "reports" / name).read_text()
        assert not set(re.findall(r"<(\w+)", text)) - {"code"}
        assert "@everyone" not in text
        assert not [line for line in text.splitlines() if line.startswith("::")]


def test_notes_in_mlflow_hold_no_text_of_people(campaign: tuple[Path, dict[str, str]]) -> None:
    with sqlite3.connect(campaign[0] / "mlflow.db") as database:
        notes = [row[0] for row in database.execute("select value from tags where key = 'mlflow.note.content'")]
    assert notes
    assert not [note for note in notes if "<" in note.replace("&ensp;", "") or "\x1b" in note or "alert" in note]


def test_nothing_ran(campaign: tuple[Path, dict[str, str]]) -> None:
    assert os.listdir(campaign[0].parent) == ["campaign"]
