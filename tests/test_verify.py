"""`al verify`: a whole chain holds, and each way to break it is named."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import chained_campaign
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import CLASSES, al, commit

from al_plugin import commands, history, layout, ledger, store
from al_plugin.data.answers import digest
from al_plugin.data.pool import sample_table
from al_plugin.data.queries import from_jsonl, query_ids, to_jsonl


def filed(number: int, kind: str = "b01-*--ann") -> tuple[str, str]:
    """A file of a label round and its manifest."""
    (path,) = Path(layout.LABELS, layout.round_folder(number)).glob(f"{kind}.*")
    return path.as_posix(), Path(layout.MANIFESTS, path.parent.name, f"{path.stem}.json").as_posix()


def handed_out(number: int) -> str:
    (path,) = ledger.filed_queries(number)
    return path.as_posix()


@pytest.fixture(scope="module")
def whole(seedling: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two answered rounds; copy it, do not write to it."""
    root = tmp_path_factory.mktemp("whole") / "campaign"
    shutil.copytree(seedling, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        chained_campaign.build(root, 2, 6, ("ann", "bob"))
    return root


@pytest.fixture
def chain(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "campaign"
    shutil.copytree(whole, root)
    monkeypatch.chdir(root)
    history.cache_folder.cache_clear()
    return root


def broken(capsys: pytest.CaptureFixture) -> dict[str, str]:
    """What breaks, by name of the check; the exit code agrees."""
    capsys.readouterr()
    code = al("verify", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "verify/1"
    assert found["holds"] == (code == 0)
    return {check["name"]: f"{check['text']}; {check['change']}" for check in found["checks"] if not check["holds"]}


def rewrite(path: str, old: str, new: str) -> None:
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new, 1))


def forge(csv: str, manifest: str) -> None:
    """Make the manifest agree with an altered file."""
    document = json.loads(Path(manifest).read_bytes())
    store.write_json(manifest, document | {"sha256": digest(Path(csv).read_bytes())})


def test_a_whole_chain_holds(chain: Path, capsys: pytest.CaptureFixture) -> None:
    assert broken(capsys) == {}
    assert al("verify") == 0
    said = capsys.readouterr().out
    assert said.count("ok") == 7
    assert "2 rounds, 4 batches" in said


def test_an_altered_batch(chain: Path, capsys: pytest.CaptureFixture) -> None:
    """In the working tree: its manifest says other bytes, and so does HEAD."""
    csv, _ = filed(1)
    rewrite(csv, '"a"', '"b"')
    found = broken(capsys)
    assert set(found) == {"label files", "altered labels"}
    assert f"{Path(csv).name} was altered" in found["label files"]
    assert (
        f"{csv} was altered in the working tree; put it back with git checkout HEAD -- {csv}" in found["altered labels"]
    )


def test_an_altered_batch_whose_manifest_was_forged_along(chain: Path, capsys: pytest.CaptureFixture) -> None:
    """Committed: present files agree, history does not. A round computed on it does not make it right."""
    csv, manifest = filed(1)
    rewrite(csv, '"a"', '"b"')
    forge(csv, manifest)
    commit(chain, "Tidy")
    head = commands.git("rev-parse", "--short=9", "HEAD")
    found = broken(capsys)
    assert set(found) == {"altered labels", "answers"}
    assert f"{csv} was altered by commit {head} after round 1" in found["altered labels"]
    chained_campaign.pin()
    commit(chain, "Round 2 again")
    commands.git("checkout", "--quiet", "HEAD~2", "--", csv, manifest)
    chained_campaign.pin()
    commit(chain, "Put back")
    assert set(broken(capsys)) == {"altered labels"}, "a round was computed on the altered file"


def test_a_change_that_was_put_back_before_any_round_is_none(chain: Path, capsys: pytest.CaptureFixture) -> None:
    csv, _ = filed(1)
    rewrite(csv, '"a"', '"b"')
    commit(chain, "By accident")
    commands.git("checkout", "--quiet", "HEAD~1", "--", csv)
    commit(chain, "Put back")
    assert broken(capsys) == {}


def test_a_batch_mended_before_it_was_merged(chain: Path, capsys: pytest.CaptureFixture) -> None:
    """What no round has seen may still change."""
    chained_campaign.answer(3, ("ann",))
    commit(chain, "Label round 3")
    csv, manifest = filed(3)
    rewrite(csv, '"a"', '"b"')
    forge(csv, manifest)
    commit(chain, "A slip of the pen")
    assert broken(capsys) == {}


def test_a_deleted_batch(chain: Path, capsys: pytest.CaptureFixture) -> None:
    """With its manifest, so that what is left agrees with itself."""
    csv, manifest = filed(1)
    for path in (csv, manifest):
        commands.git("rm", "--quiet", "--", path)
    assert "was deleted in the working tree" in broken(capsys)["deleted labels"]
    commit(chain, "Clean up")
    found = broken(capsys)
    assert set(found) == {"deleted labels", "answers"}
    assert f"{csv} was deleted by commit" in found["deleted labels"]


def test_a_deleted_round(chain: Path, capsys: pytest.CaptureFixture) -> None:
    for folder in (layout.LABELS, layout.MANIFESTS):
        commands.git("rm", "-r", "--quiet", "--", f"{folder}/round_0001")
    commit(chain, "Clean up")
    found = broken(capsys)
    assert "not contiguous: have 2, missing 1" in found["label files"]
    assert "round_0001" in found["deleted labels"]


def test_labels_under_dvc_are_not_deleted(chain: Path, capsys: pytest.CaptureFixture) -> None:
    """Git loses the files, the manifests still promise every byte."""
    _, manifest = filed(1)
    commands.git("rm", "-r", "--quiet", "--cached", "--", layout.LABELS)
    md5 = history.folder_hash(history.digests_of(Path(layout.LABELS)))
    Path(layout.LABELS_DVC).write_text(f"outs:\n- md5: {md5}\n  path: labels\n")
    Path(".gitignore").write_text(Path(".gitignore").read_text() + f"/{layout.LABELS}\n")
    commit(chain, "Labels under DVC")
    assert broken(capsys) == {}
    commands.git("rm", "--quiet", "--", manifest)
    commit(chain, "Tidy")
    assert f"{Path(manifest).name} was deleted" in broken(capsys)["deleted labels"]


def test_a_lock_for_other_labels(chain: Path, capsys: pytest.CaptureFixture) -> None:
    """The manifests are those that dvc.lock pins, the label files are not: altered and committed in one go."""
    csv, _ = filed(1)
    rewrite(csv, '"a"', '"b"')
    lock = Path(layout.DVC_LOCK)
    lock.write_text(lock.read_text() + "\n")
    commit(chain, "Round 2 again")
    found = broken(capsys)
    assert "dvc.lock of round 2" in found["dvc.lock"]
    assert "pins other label files" in found["dvc.lock"]


def test_a_vote_that_no_batch_gave(chain: Path, capsys: pytest.CaptureFixture) -> None:
    votes = pq.read_table(layout.VOTES).to_pylist()
    votes[0]["label"] = next(name for name in CLASSES if name != votes[0]["label"])
    chained_campaign.merge(votes)
    found = broken(capsys)
    assert set(found) == {"answers"}
    assert f"a vote of 'ann' on '{votes[0]['sample_id']}'" in found["answers"]


@pytest.mark.parametrize("counts", [True, False])
def test_an_answer_to_what_was_never_asked(chain: Path, capsys: pytest.CaptureFixture, *, counts: bool) -> None:
    """It may lie in quarantine; it must not count."""
    chained_campaign.answer(3, ("ann",))
    csv, manifest = filed(3)
    name = query_ids(1, ["s-000", "s-001"])[0]
    first = Path(csv).read_text().splitlines()[1].split(",")
    rewrite(csv, first[0], f'"{name}"')
    forge(csv, manifest)
    votes = pq.read_table(layout.VOTES).to_pylist()
    stray = {"query_id": name, "sample_id": first[1].strip('"'), "annotator": "ann", "label": first[4].strip('"')}
    if counts:
        votes.append(stray | {"round": 3, "file": f"round_0003/{Path(csv).name}"})
    chained_campaign.merge(votes)
    found = broken(capsys)
    if counts:
        assert "counts, but round 3 asked no such query" in found["answers"]
    else:
        assert found == {}
        al("verify")
        assert "1 name none and do not count" in capsys.readouterr().out


def test_a_query_with_other_samples(chain: Path, capsys: pytest.CaptureFixture) -> None:
    """Its ids hash its samples."""
    query, manifest = filed(2, "query-*")
    rewrite(query, '"s-006"', '"s-050"')
    forge(query, manifest)
    found = broken(capsys)
    assert "6 of its ids are not those of its samples" in found["queries"]


def test_a_query_whose_random_share_was_made_up(chain: Path, capsys: pytest.CaptureFixture) -> None:
    """The same samples, told as drawn by chance: not what dvc.lock of the round before pins."""
    query, manifest = filed(2, "query-*")
    rewrite(query, '"kind": "query"', '"kind": "random"')
    forge(query, manifest)
    found = broken(capsys)
    assert "is not the query that round 1 selected" in found["queries"]


def test_a_query_altered_while_handed_out(chain: Path, capsys: pytest.CaptureFixture) -> None:
    ledger.file_query()
    commit(chain, "Query 3 is open")
    assert broken(capsys) == {}
    path = handed_out(3)
    rows = from_jsonl(Path(path).read_bytes(), path)
    Path(path).write_bytes(to_jsonl([replace(rows[0], kind="random", propensity=0.1), *rows[1:]]))
    commit(chain, "Tidy")
    assert f"{path} was altered by commit" in broken(capsys)["queries"]


def test_a_query_deleted_while_handed_out(chain: Path, capsys: pytest.CaptureFixture) -> None:
    ledger.file_query()
    commit(chain, "Query 3 is open")
    Path(handed_out(3)).unlink()
    commit(chain, "Tidy")
    assert "was deleted by commit" in broken(capsys)["queries"]


def test_a_query_withdrawn_and_filed_anew(chain: Path, capsys: pytest.CaptureFixture) -> None:
    """In one commit, and then answered."""
    ledger.file_query()
    commit(chain, "Query 3 is open")
    ledger.withdraw_query()
    chained_campaign.select(2, ["s-040", "s-041"])
    chained_campaign.pin()
    ledger.file_query()
    commit(chain, "Another query 3")
    assert broken(capsys) == {}
    chained_campaign.answer(3, ("ann",))
    commit(chain, "Label round 3")
    assert broken(capsys) == {}


def test_an_answered_query_that_was_not_handed_out(chain: Path, capsys: pytest.CaptureFixture) -> None:
    """Filed as one, taken into the label round as another; both with right ids."""
    ledger.file_query()
    commit(chain, "Query 3 is open")
    Path(handed_out(3)).unlink()
    chained_campaign.select(2, ["s-040", "s-041"])
    chained_campaign.answer(3, ("ann",))
    commit(chain, "Label round 3")
    found = broken(capsys)
    assert "was deleted by commit" in found["queries"] or "not the query that was handed out" in found["queries"]


def test_an_evaluation_sample_that_was_asked(chain: Path, capsys: pytest.CaptureFixture) -> None:
    table = pq.read_table(Path(layout.EVAL, "part-00000.parquet"))
    ids = table.column("sample_id").to_pylist()
    changed = table.set_column(0, "sample_id", pa.array(["s-003", *ids[1:]]))
    store.write_table(Path(layout.EVAL, "part-00000.parquet"), changed)
    assert "evaluation sample 's-003' was asked in round 1" in broken(capsys)["evaluation set"]


def test_a_copy_of_an_evaluation_sample_that_was_asked(chain: Path, capsys: pytest.CaptureFixture) -> None:
    """Under another id, with the same features."""
    pool = pq.read_table(Path(layout.POOL, "part-00000.parquet"))
    features = np.array([pool.column("features")[at].as_py() for at in (4, 30)])
    assert pool.column("sample_id")[4].as_py() == "s-004"
    part = sample_table(["e-900", "e-901"], features, ["a", "b"])
    store.write_table(Path(layout.EVAL, "part-00001.parquet"), part)
    assert "'s-004', asked in round 1, is a copy of an evaluation sample" in broken(capsys)["evaluation set"]


def test_without_data_nothing_is_called_right(chain: Path, capsys: pytest.CaptureFixture) -> None:
    shutil.rmtree(layout.EVAL)
    found = broken(capsys)
    assert "could not be checked" in found["evaluation set"]


def test_a_campaign_without_history_or_rounds(campaign: Path, capsys: pytest.CaptureFixture) -> None:
    assert broken(capsys) == {}


def test_damaged_votes_are_one_line(chain: Path, capsys: pytest.CaptureFixture) -> None:
    Path(layout.VOTES).write_bytes(b"PAR1 no")
    assert "merged/votes.parquet is not readable" in broken(capsys)["answers"]
    store.write_table(layout.VOTES, pa.table({"query_id": ["x"]}))
    assert "has columns" in broken(capsys)["answers"]


@pytest.mark.parametrize("value", ["5", "null", '["s-006"]'])
def test_an_id_that_is_no_text_is_one_line(chain: Path, capsys: pytest.CaptureFixture, value: str) -> None:
    query, manifest = filed(2, "query-*")
    rewrite(query, '"s-006"', value)
    forge(query, manifest)
    assert "is not a query row (sample_id is" in broken(capsys)["label files"]


def test_a_filed_query_cut_off_is_told_beside_the_other_checks(chain: Path, capsys: pytest.CaptureFixture) -> None:
    ledger.file_query()
    path = Path(handed_out(3))
    path.write_bytes(path.read_bytes()[:-30])
    found = broken(capsys)
    assert set(found) == {"queries", "evaluation set"}
    assert f"{path} line" in found["queries"]
    assert "git checkout" in found["queries"]


def test_an_evaluation_set_cut_off_is_told_beside_the_other_checks(chain: Path, capsys: pytest.CaptureFixture) -> None:
    path = Path(layout.EVAL, "part-00000.parquet")
    path.write_bytes(path.read_bytes()[:-10])
    found = broken(capsys)
    assert set(found) == {"evaluation set"}
    assert f"{path} is not a readable parquet file" in found["evaluation set"]


@pytest.mark.parametrize(
    "text",
    [
        "schema: '2.0'\n<<<<<<< HEAD\nstages: {}\n=======\nstages: {}\n>>>>>>> other\n",
        "schema: '2.0'\nstages: {}\nstages: {}\n",
        "schema: '2.0'\nstages:\n  merge-labels:\n    cmd: 'exec py",
        "- a\n",
        "stages: {merge-labels: {deps: [data/labels]}, train: {}, score: {}, select: {}}\n",
        "stages: {merge-labels: {deps: }, train: {}, score: {}, select: {}}\n",
    ],
    ids=["conflict", "key twice", "cut off", "list", "paths alone", "null"],
)
def test_a_commit_with_a_broken_lock_holds_no_round(text: str, chain: Path, capsys: pytest.CaptureFixture) -> None:
    """The next commit mended it: nothing that reads history stops at the one before."""
    lock = Path(layout.DVC_LOCK)
    whole = lock.read_bytes()
    lock.write_text(text)
    commit(chain, "A broken dvc.lock")
    lock.write_bytes(whole)
    commit(chain, "Mended")
    assert broken(capsys) == {}
    assert list(history.past_rounds()) == [0, 1, 2]
    assert al("status") == 0


def test_a_pointer_to_the_labels_that_is_no_pointer_is_one_line(chain: Path, capsys: pytest.CaptureFixture) -> None:
    Path(layout.LABELS_DVC).write_text("- a\n")
    chained_campaign.pin()
    commit(chain, "Odd")
    lock = Path(layout.DVC_LOCK)
    lock.write_text(f"# once more\n{lock.read_text()}")
    commit(chain, "Round 2 again")
    assert "pins other label files" in broken(capsys)["dvc.lock"]


def test_names_of_files_do_not_reach_the_terminal_raw(chain: Path, capsys: pytest.CaptureFixture) -> None:
    csv, _ = filed(1)
    Path(csv).rename(csv.replace("ann", "\x1b[31mann"))
    assert al("verify") == 1
    assert "\x1b" not in capsys.readouterr().out
