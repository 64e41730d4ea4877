"""One named test for each hostile file or text that SECURITY.md speaks of."""

import csv
import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from bombs import BOMBS
from hypothesis import given
from hypothesis import strategies as st
from targets import parquet, part_seeds, picture_seeds

from al_plugin import bounds, campaign, commands, config, documents, history, layout, ledger, past, store
from al_plugin.ci import changes, repository
from al_plugin.ci import round as ci_round
from al_plugin.data import answers, queries
from al_plugin.data.expectations import read_suite
from al_plugin.data.forms.part import Part, Settings
from al_plugin.data.forms.uri import safe_uri
from al_plugin.data.label_round import refuse_gaps
from al_plugin.data.pool import column_of_ids, pool_of
from al_plugin.errors import AlError, CampaignError, DataError, LabelError, ParamsError, StrategyError
from al_plugin.foreign import printable, without_secrets
from al_plugin.parts import embedded, part_of

SECRET = "hunter2-hunter2"


# --- bombs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.__name__)
def test_a_bomb_is_refused_within_bounded_memory(bomb, tmp_path: Path) -> None:
    reader, most = BOMBS[bomb]
    bomb(tmp_path / "bomb")
    child = [sys.executable, Path(__file__).with_name("bombs.py"), reader, tmp_path / "bomb"]
    done = subprocess.run(child, capture_output=True, text=True, check=False, timeout=120)
    said, grown = done.stdout.splitlines()
    assert said.startswith("refused: "), done
    assert int(grown) < most


def test_a_footer_that_lies_aborts_nothing(tmp_path: Path) -> None:
    child = [sys.executable, Path(__file__).with_name("footers.py")]
    done = subprocess.run(child, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


def test_an_archive_that_unpacks_to_too_much_is_no_estimator(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("skops")
    from sklearn.naive_bayes import GaussianNB

    from al_plugin.models.stored import restored

    monkeypatch.setattr(bounds, "_LEAST", 1 << 20)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", bytes(20 << 20))
    with pytest.raises(StrategyError, match="unpacks to 20,971,520 bytes"):
        restored(buffer.getvalue(), "sklearn.naive_bayes:GaussianNB", GaussianNB())


def test_a_card_of_any_size_allocates_nothing() -> None:
    from targets import CARD, weights

    from al_plugin.models.restore import model_signals

    card = {**CARD, "network": {**CARD["network"], "hidden": 10**9, "shape": [10**5]}}
    with pytest.raises(AlError, match="do not make a model"):
        model_signals(card, weights(), np.zeros((1, 2), np.float32))


def test_nested_aliases_are_not_unfolded() -> None:
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    laughs += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    started = time.process_time()
    for text in (laughs, f"{laughs}campaign: {{name: *a11}}\n", "a: &a [*a]\n", "a: &a {b: *a}\n"):
        with pytest.raises(ParamsError, match="unfolds to"):
            config.read_params(text.encode())
        with pytest.raises(ParamsError, match="unfolds to"):
            documents.read_dvc(text.encode(), layout.DVC_YAML)
    assert time.process_time() - started < 5
    assert documents.read_yaml(b"a: &a [1]\nb: *a\n", "x") == {"a": [1], "b": [1]}


def test_a_round_of_any_number_is_a_gap() -> None:
    with pytest.raises(LabelError, match="missing 3, 4"):
        refuse_gaps([1, 2, 999_999_999])
    with pytest.raises(LabelError, match="missing 1, 2"):
        refuse_gaps([3])
    refuse_gaps([])
    refuse_gaps([1, 2, 3])


def test_agreement_takes_linear_time() -> None:
    from al_plugin.data.label_round import AnswerFile
    from al_plugin.rounds.gate import columns

    many = tuple(answers.Answer("r0001-a", "s", f"a{i}", "labelled", "ab"[i % 2]) for i in range(50_000))
    started = time.process_time()
    table = columns([AnswerFile(1, "b01--x.csv", many)], (), {}, set(), ("a", "b"))
    assert time.process_time() - started < 10  # seconds; pairs of answers took a quarter of an hour
    assert table["agrees"][0] == 24_999 / 49_999


# --- no execution --------------------------------------------------------------------------------


class Runs:
    def __reduce__(self) -> tuple:
        return Path.touch, (Path("pwned"),)


def test_pickles_are_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickled = pickle.dumps(Runs())
    np.save("objects.npy", np.array([Runs()], dtype=object), allow_pickle=True)
    Path("pickle.npy").write_bytes(pickled)
    np.savez("archive.npz", x=np.zeros(3))
    Path("archive.npz").rename("archive.npy")
    for name in ("objects.npy", "pickle.npy", "archive.npy"):
        with pytest.raises(DataError, match=r"not a readable \.npy file"):
            store.read_array(name, "write it again")
    with pytest.raises(DataError, match="not a safetensors file"):
        store.tensors_of(pickled, "weights", "train again")
    assert not Path("pwned").exists()


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path [pwned]]",
        "!!python/name:os.system",
        "!!python/object/new:os.system ['touch pwned']",
        "!!int x",
        "2001-99-99",
        "!!bool maybe",
        "9" * 5000,
        "? [a]\n: b",
        "[" * 3000,
        "*nobody",
        '"\\0"',
        '"\\ud800"',
    ],
)
def test_yaml_tags_and_broken_words_are_one_line(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = f'campaign:\n  classes: ["a", "b"]\n  name: {value}\n'.encode()
    for read in (config.read_params, config.read_campaign):
        with pytest.raises(ParamsError) as found:
            read(content)
        assert str(found.value).isprintable()
    assert os.listdir(".") == []


def test_an_image_that_starts_a_program_is_refused_before_any_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow hands EPS to Ghostscript, and lets 179 million pixels pass."""
    import al_plugin.models.encoders as encoders

    class Fake:
        wants = "image"

    monkeypatch.setattr(encoders, "encoder", lambda name, threads: Fake())
    monkeypatch.setattr("al_plugin.cache.encoded", lambda made, samples: np.zeros((len(samples), 2)))
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(pwned) (w) file\n"
    ids = pa.array(["s-1"])
    with pytest.raises(DataError, match="sample s-1 is no image of PNG"):
        embedded(Part(pa.table({"sample_id": ids, "image": pa.array([eps])}), "pool part x"), "timm:x", 1)
    png = picture_seeds()[0]
    assert (
        embedded(Part(pa.table({"sample_id": ids, "image": pa.array([png])}), "pool part x"), "timm:x", 1) is not None
    )


# --- paths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri", ["../x.png", "/etc/passwd", "a/../../x", "file:///x", "C:\\x", "C:/x", "a\0b", "..", "", "."]
)
def test_uris_that_leave_the_folder_are_refused(uri: str) -> None:
    with pytest.raises(DataError, match="not a relative path"):
        safe_uri(uri)


def test_links_out_of_the_folder_are_refused_but_those_of_dvc(tmp_path: Path) -> None:
    folder, outside = tmp_path / "pool", tmp_path / "secret.png"
    cached = tmp_path / "cache/files/md5/ab" / ("0" * 30)
    for path in (outside, cached, folder / "own.png"):
        store.write_bytes(path, path.name.encode())
    (folder / "link.png").symlink_to(outside)
    (folder / "linked").symlink_to(tmp_path)
    (folder / "cached.png").symlink_to(cached)
    part = part_of(folder, "p", pa.table({"sample_id": ["a"]}), "pool part p", "x")
    assert part.read("own.png") == b"own.png"
    assert part.read("cached.png") == b"0" * 30
    for uri in ("link.png", "linked/secret.png"):
        with pytest.raises(DataError, match="a link out of"):
            part.read(uri)


def test_hashes_lead_nowhere_but_into_the_cache(tmp_path: Path) -> None:
    with pytest.raises(CampaignError, match="no hash of DVC's"):
        past._link(tmp_path, "../../etc/passwd", tmp_path / "x", "data/pool")


# --- text ----------------------------------------------------------------------------------------

ESCAPES = [
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\r",
    "\n::error::x",
    "\u202egnp",
    "\x00",
    "\u2028",
    "\x1b]8;;http://x\x1b\\",
]


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("kind", [AlError, DataError, LabelError, ParamsError])
def test_an_error_is_one_printable_line_whatever_it_quotes(escape: str, kind: type[AlError]) -> None:
    error = kind(f"sample a{escape}b is bad", change=f"mend {escape}")
    for text in (str(error), error.found, error.change):
        assert text.isprintable()
    assert "::error::" not in str(error) or not str(error).startswith("::")


@given(st.text(max_size=200))
def test_printable_is_printable(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)
    printable(text).encode()


def test_no_command_to_a_ci_runner_is_left() -> None:
    """Found by the guided fuzzer: of three marks two were left together."""
    for marks in range(2, 9):
        assert "##" not in printable(f"{'#' * marks}[command]x")


def test_a_long_quotation_is_cut() -> None:
    assert len(str(DataError("x" * 10**7, change="y" * 10**7))) < 4100


@pytest.mark.parametrize("bad", ["a\nb", "a\x1b[2Jb", "a\0", "a\u202eb", "\u2028"])
def test_ids_with_controls_are_refused(bad: str) -> None:
    with pytest.raises(DataError, match="control character"):
        column_of_ids(pa.table({"sample_id": ["fine", bad]}), "pool part x")


def test_ids_that_look_alike_are_different_ids() -> None:
    ids = column_of_ids(pa.table({"sample_id": ["cat", "c\u0430t", "cat\u200b", "caf\u00e9", "cafe\u0301"]}), "x")
    assert len(set(ids)) == 5


def test_labels_that_look_alike_are_refused(first_round: Path, capsys: pytest.CaptureFixture) -> None:
    """And so are escapes in labels, ids and names, told without them; nothing is filed."""
    from conftest import al, tree

    assert al("query", "export", "q.csv") == 0
    before = tree(first_round)
    rows = list(csv.DictReader(io.StringIO(Path("q.csv").read_text())))
    nasty = ["\u0430", "a\u202e", "\x1b[2Ja", "a\n::error::x", "=a", "a\u200b", "A"]
    lines = [
        [row["query_id"], f"{row['sample_id']}\x1b[2J", "who\x1b]0;t\x07\n::warning::x", word]
        for row, word in zip(rows, nasty, strict=False)
    ]
    buffer = io.StringIO()
    csv.writer(buffer).writerows([["query_id", "sample_id", "annotator", "label"], *lines])
    Path("bad\x1b[2J.csv").write_text(buffer.getvalue())
    capsys.readouterr()
    assert al("labels", "add", "bad\x1b[2J.csv") == 1
    said = capsys.readouterr()
    for line in (said.out + said.err).splitlines():
        assert line.isprintable()
        assert not line.startswith("::")
    assert said.err.count("not among") + said.err.count("classes") >= len(nasty)
    Path("bad\x1b[2J.csv").unlink()
    assert tree(first_round) == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'query_id,sample_id,label\nr0001-a,s,"' + b"x" * 10_000_000 + b'"\n', "field larger"),
        (b"query_id,sample_id,label\nr0001-a,s\0,a\n", "NUL"),
        (b"query_id,sample_id,label\nr0001-a,\xff\xfe,a\n", "not UTF-8"),
        ("query_id,sample_id,label\nr0001-a,s,a\n".encode("utf-16"), "not UTF-8"),
        (b"\x1f\x8b\x08\x00" + bytes(50), "UTF-8"),
        (b"PK\x03\x04" + bytes(50), "NUL"),
    ],
)
def test_label_files_that_are_none(content: bytes, words: str) -> None:
    with pytest.raises(LabelError, match=words):
        answers.read_sheet(content, "x.csv")


def test_a_mark_and_mixed_line_ends_are_understood() -> None:
    sheet = answers.read_sheet(b"\xef\xbb\xbfquery_id,sample_id,label\r\nr0001-a,s,a\nr0001-b,t,b\r\n", "x.csv")
    assert [answer.label for answer in sheet.answers] == ["a", "b"]


@pytest.mark.parametrize(
    "values",
    [
        {"rank": 10**400}, {"rank": True}, {"rank": "1"}, {"rank": -1}, {"rank": 1e3}, {"score": float("nan")}, {"score": float("inf")},
        {"score": 1e300}, {"sample_id": None}, {"sample_id": ["s"]}, {"query_id": 5}, {"annotators": None}, {"propensity": "x"},
    ],
)  # fmt: skip
def test_query_rows_of_other_types_are_refused(values: dict) -> None:
    row = json.loads(queries.to_jsonl([queries.QueryRow("r0001-a", "s", 1, 0.5, "query", 1, None, "")]))
    with pytest.raises(LabelError, match="line 1 is not a query row"):
        queries.from_jsonl(json.dumps(row | values).encode(), "query.jsonl")


@pytest.mark.parametrize(
    "line", [b"[" * 100_000, b"\xff", b'{"query_id": "\\ud800"}', b"1" * 5000, b"{}", b"[]", b"null"]
)
def test_deep_and_broken_json_is_one_line(line: bytes, tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="not a query row"):
        queries.from_jsonl(line, "query.jsonl")
    with pytest.raises(LabelError, match="not an expectation suite"):
        read_suite(line, "suite")
    (tmp_path / "x.json").write_bytes(b"[" + line)
    with pytest.raises(DataError, match="is not JSON"):
        store.read_json(tmp_path / "x.json", "write it again")


def test_a_mark_that_breaks_lines_stays_within_a_query_row() -> None:
    row = queries.QueryRow("r0001-a", "s\u2028t\x85", 1, None, "query", 1, None, "\x0b")
    assert queries.from_jsonl(queries.to_jsonl([row]), "x") == (row,)


def test_query_ids_of_any_length_name_no_round() -> None:
    for query_id in ("r" + "9" * 5000 + "-a", "r\u0663-a", "r-a", "r1", "x1-a"):
        with pytest.raises(LabelError):
            queries.round_of(query_id)


@pytest.mark.parametrize(
    "columns",
    [
        {"sample_id": [1, 2]},
        {"sample_id": ["a", "b"], "features": [[1.0], [float("nan")]]},
        {"sample_id": ["a", "b"], "features": [[1.0], [float("inf")]]},
        {"sample_id": ["a", "b"], "features": [[1.0], []]},
        {"sample_id": ["a", "a"], "features": [[1.0], [2.0]]},
        {"sample_id": ["a", "b"], "n": [2**60, 1]},
        {"sample_id": ["a", "b"], "n": [{"x": [1]}, None]},
        {"sample_id": ["a", "b"], "text": [" ", "\t"]},
    ],
)
def test_pool_parts_of_impossible_values(columns: dict) -> None:
    with pytest.raises(DataError):
        pool_of({"p": Part(pa.table(columns), "pool part p")}, Settings())


def test_a_parquet_file_of_broken_text_is_refused() -> None:
    broken = pa.StringArray.from_buffers(
        1, pa.py_buffer(np.array([0, 2], np.int32).tobytes()), pa.py_buffer(b"\xff\xfe")
    )
    content = parquet(pa.table({"sample_id": broken}), write_statistics=False)
    with pytest.raises(DataError, match="not a readable parquet file"):
        store.table_of(content, "part", "write it again")
    for seed in part_seeds():
        for end in (0, 4, len(seed) // 2, len(seed) - 1):
            with pytest.raises(DataError):
                store.table_of(seed[:end], "part", "write it again")


# --- what people open ----------------------------------------------------------------------------

FORMULAS = [
    "=cmd|' /C calc'!A0",
    "+1",
    "-1",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\uff1d1",
    "\uff0b1",
    "\uff0d1",
    "\uff201",
]


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_cell_or_head_of_a_sheet_is_a_formula(formula: str) -> None:
    row = answers.Answer("r0001-a", formula, formula, "labelled", "a", note=formula)
    content = answers.for_people([row], [{formula: formula}])
    cells = [cell for line in csv.reader(io.StringIO(content.decode(), newline="")) for cell in line]
    assert not [cell for cell in cells if cell.startswith(tuple("=+-@\t\r\n＝＋－＠"))]
    (back,) = answers.read_sheet(content, "x.csv").answers
    assert (back.sample_id, back.annotator, back.note) == (formula.strip(), formula.strip(), formula) or formula[
        0
    ].isspace()


def test_a_pool_column_cannot_pass_for_an_answer_s(first_round: Path) -> None:
    """A column `supersedes` of the pool would come back with the sheet and replace other people's answers."""
    from conftest import al

    for path in sorted(Path(layout.POOL).glob("*.parquet")):
        table = store.read_table(path, "")
        for name in ("supersedes", "origin", "lead_time_s", "created_at", "status", "label"):
            table = table.append_column(name, pa.array(["b01--ann"] * table.num_rows))
        store.write_table(path, table)
    assert al("query", "export", "q.csv") == 0
    assert Path("q.csv").read_text().splitlines()[0] == "query_id,sample_id,annotator,status,label,note"
    assert set(answers.COLUMNS) <= set(campaign.HIDDEN)


# --- git, dvc, shell -----------------------------------------------------------------------------


def test_names_that_look_like_options_are_names(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, ...]] = []
    monkeypatch.setattr(commands, "git", lambda *words, **_: said.append(words) or "--jobs=9.dvc\0data/pool.dvc\0")
    monkeypatch.setattr(commands, "dvc", lambda *words, **_: said.append(words) or "")
    monkeypatch.setattr(commands, "dvc_aloud", lambda *words, **_: said.append(words))
    monkeypatch.setattr(ledger, "read_rounds", list)
    repository.push("--receive-pack=touch pwned", "main")
    ci_round._reproduce(0, lambda text: None, has_remote=True)
    for words in said:
        options = words[: words.index("--")] if "--" in words else words
        assert not [word for word in options if word.startswith(("--receive", "--jobs"))], words
    with pytest.raises(CampaignError, match="no commit in common"):
        changes.merge_base("--output=pwned")
    for name in ("-x", "--upload-pack=x", "a b", "$(touch pwned)", "a;b", "../x", ""):
        with pytest.raises(ParamsError):
            config.read_campaign(json.dumps({"campaign": {"name": name, "classes": ["a", "b"]}}).encode())


@pytest.mark.parametrize("name", ["-x.csv", "$(touch pwned).csv", "; touch pwned;.csv", "a\nb.csv", "--help"])
def test_file_names_reach_no_shell(name: str, first_round: Path, capsys: pytest.CaptureFixture) -> None:
    from conftest import al, fill, truth

    assert al("query", "export", "q.csv") == 0
    fill(Path("q.csv"), Path(name), truth, annotator="$(touch pwned)")
    assert al("labels", "add", f"./{name}") == 0, capsys.readouterr()
    assert not Path("pwned").exists()
    names = [path.name for path in Path(layout.LABELS, "round_0001").iterdir()]
    form = r"b01-[0-9a-f]{6}--__touch_pwned_-[0-9a-f]{6}\.csv|query-[0-9a-f]{6}\.jsonl"
    assert len(names) == 2
    assert all(re.fullmatch(form, name) for name in names)


# --- secrets -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        f"fatal: unable to access 'https://me:{SECRET}@example.org/x.git/': no",
        f"https://{SECRET}@example.org",
        f"postgresql://u:a@{SECRET}@host/db",
        f"GET https://h/x?sig={SECRET}&a=1&access_token={SECRET};password={SECRET}",
        f"403: bad token {SECRET} in header",
    ],
)
def test_passwords_are_in_no_error(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", SECRET)
    assert SECRET not in str(CampaignError(text, change=text))
    monkeypatch.delenv("MLFLOW_TRACKING_TOKEN")
    assert SECRET not in without_secrets(
        text.replace("403: bad token", "https://h/?token=").replace("token= ", "token=")
    )


def test_git_s_complaint_about_a_remote_has_no_password(campaign: Path) -> None:
    url = f"http://me:{SECRET}@127.0.0.1:9/x.git"
    commands.git("remote", "add", "origin", url)
    for ask in (lambda: repository.push("origin", "main"), lambda: commands.git("fetch", url)):
        with pytest.raises(CampaignError) as found:
            ask()
        assert SECRET not in str(found.value)
    assert history.past_rounds() == {}


# --- what the stages wrote, changed by a foreign hand --------------------------------------------


@pytest.mark.parametrize(
    "content", [b"{}", b'{"round": 0}', b"[]", b"null", b'{"round": 0, "eval": [1], "labels": "x"}']
)
@pytest.mark.parametrize("path", [layout.TRAIN_METRICS, layout.LABEL_METRICS, layout.CARD, layout.SELECT_METRICS])
def test_a_changed_output_is_one_line(path: str, content: bytes, root: Path, capsys: pytest.CaptureFixture) -> None:
    from conftest import al

    before = Path(path).read_bytes()
    Path(path).write_bytes(content)
    try:
        for command in ("report", "status"):
            capsys.readouterr()
            code = al(command)
            said = capsys.readouterr().err
            assert code == 0 or (len(said.splitlines()) == 1 and said.strip().isprintable())
    finally:
        Path(path).write_bytes(before)


@pytest.fixture(scope="module")
def root(seedling: Path, tmp_path_factory: pytest.TempPathFactory):
    """A campaign whose round 0 has run, with a dvc.lock that knows what its stages wrote."""
    from conftest import turn

    folder = tmp_path_factory.mktemp("changed") / "campaign"
    shutil.copytree(seedling, folder)
    before = Path.cwd()
    os.chdir(folder)
    try:
        turn()
        paths = (layout.TRAIN_METRICS, layout.LABEL_METRICS, layout.CARD, layout.SELECT_METRICS)
        outs = "".join(f"    - path: {path}\n      md5: {history.digest_of(Path(path))}\n" for path in paths)
        Path(layout.DVC_LOCK).write_text(f"schema: '2.0'\nstages:\n  train:\n    cmd: x\n    outs:\n{outs}")
        yield folder
    finally:
        os.chdir(before)


def test_a_bug_keeps_its_traceback(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from conftest import al

    assert history.altered() == []
    monkeypatch.setattr("al_plugin.report.make", lambda *_, **__: {}["bug"])
    with pytest.raises(KeyError, match="bug"):
        al("report")


def test_data_docs_show_text_and_run_nothing(first_round: Path) -> None:
    from conftest import al, fill, truth

    assert al("query", "export", "q.csv") == 0
    fill(
        Path("q.csv"),
        Path("in.csv"),
        lambda i: truth(i) if i[-1] != "1" else "<script>alert(1)</script>",
        annotator="<img src=x onerror=alert(2)>",
    )
    assert al("labels", "add", "in.csv", "--quarantine") == 0
    assert al("labels", "docs") == 0
    pages = [path.read_text() for path in Path(layout.DATA_DOCS).rglob("*.html")]
    assert pages
    assert not [page for page in pages if "<script>alert(1)" in page or "<img src=x" in page]


# --- connections, and this list ------------------------------------------------------------------


def test_stages_and_report_open_no_connection(campaign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    from conftest import al, turn

    asked: list[object] = []

    def refuse(_: object, address: object) -> None:
        asked.append(address)
        raise OSError("no connection")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    turn()
    for command in ("report", "status", "doctor"):
        assert al(command) == 0
    assert not [address for address in asked if not isinstance(address, str)]  # a str is a socket in the file system


def test_telemetry_is_off_unless_it_is_turned_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in commands._QUIET:
        monkeypatch.delenv(name, raising=False)
    assert commands._QUIET.items() <= commands.environment().items()
    monkeypatch.setenv("DVC_NO_ANALYTICS", "")
    assert commands.environment()["DVC_NO_ANALYTICS"] == ""


def test_every_test_that_security_md_names_is_there() -> None:
    tests = Path(__file__).parents[1]
    there = {
        name
        for path in tests.rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    named = set(re.findall(r"\btest_\w+", (tests.parent / "SECURITY.md").read_text()))
    assert len(named) > 30
    assert not named - there
