"""Campaigns that earlier versions left behind open, verify and replay; what this version writes says its form."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import IDENTITY, ROOT, al, commit, stage
from golden_campaign.kept import DOTTED, platform

from al_plugin import (
    __version__,
    campaign,
    commands,
    config,
    history,
    layout,
    ledger,
    schemas,
    store,
    template,
    upgrade,
)
from al_plugin.cli.main import COMMANDS
from al_plugin.config import read_yaml
from al_plugin.errors import DataError

HOME = ROOT / "tests" / "golden_campaign"
VERSIONS = sorted(path.parent.name for path in HOME.glob("*/platform.json"))
MERGED = (layout.LABELED, layout.VOTES, layout.ASKED, layout.QUARANTINE)


@pytest.fixture(params=VERSIONS)
def golden(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A release's campaign as a repository, as the current folder; moved to this version where it is older."""
    root = opened(request.param, tmp_path / "golden")
    monkeypatch.chdir(root)
    if request.param != __version__:
        assert stage("merge_labels") == 1, "an older campaign is not computed unasked"
        assert al("upgrade") == 0
        commit(root, "Upgrade")
    return HOME / request.param


def opened(version: str, root: Path) -> Path:
    shutil.copytree(HOME / version, root)
    for name in DOTTED:
        (root / name).rename(root / f".{name}")
    (root / "platform.json").unlink()
    commands.git("init", "--quiet", "--initial-branch=main", cwd=root)
    (root / ".dvc").mkdir()
    commit(root, "As released")
    return root


def lacking(kept: Path) -> dict[str, str]:
    """What of the platform that made it is another here."""
    made, here = json.loads((kept / "platform.json").read_text()), platform()
    return {name: f"{made[name]}, here {here.get(name)}" for name in made if made[name] != here.get(name)}


def same_bytes(kept: Path, *paths: str) -> None:
    """Outputs have the hash that the release's dvc.lock pins; elsewhere the test ends here, and says so."""
    other = lacking(kept)
    if other:
        pytest.skip(f"content compared, bytes not: made with {other}")
    pinned = history.hashes(read_yaml((kept / layout.DVC_LOCK).read_bytes(), layout.DVC_LOCK))
    for path in paths:
        found = Path(path)
        digest = history.folder_hash(history.digests_of(found)) if found.is_dir() else history.digest_of(found)
        assert digest == pinned[path], path


def test_this_version_has_a_campaign() -> None:
    assert __version__ in VERSIONS, "python tests/golden_campaign/make.py"


def test_it_opens_and_every_file_is_as_filed(golden: Path, capsys: pytest.CaptureFixture) -> None:
    rounds = ledger.read_rounds()
    assert [(len(one.query), len(one.files)) for one in rounds] == [(6, 1), (6, 1)]
    assert al("status") == 0
    assert "labels    12 from 12 votes" in capsys.readouterr().out
    if "verify" in COMMANDS:
        assert al("verify") == 0


def test_its_labels_merge_as_they_did(golden: Path) -> None:
    shutil.rmtree("merged")
    Path(layout.LABEL_METRICS).unlink()
    assert stage("merge_labels") == 0
    for path in MERGED:
        assert pq.read_table(path).equals(pq.read_table(golden / path)), path
    found, kept = (json.loads((root / layout.LABEL_METRICS).read_text()) for root in (Path(), golden))
    assert {name: found[name] for name in kept} == kept
    same_bytes(golden, *MERGED, layout.LABEL_METRICS, layout.VALIDATION)


def test_its_query_is_selected_again_from_the_scores_kept(golden: Path) -> None:
    Path(layout.QUERY).unlink()
    assert stage("select_query") == 0
    asked, kept = ([json.loads(line) for line in (r / layout.QUERY).read_text().splitlines()] for r in (Path(), golden))
    assert len(asked) == 6
    assert [row["query_id"] for row in asked] == [row["query_id"] for row in kept]
    same_bytes(golden, layout.QUERY, layout.SELECT_METRICS)


def test_its_round_is_computed_again(golden: Path) -> None:
    """Train and score from the labels: the same bytes on the same platform, else the same within rounding."""
    shutil.rmtree(layout.SCORES)
    for name in ("train", "score", "select_query"):
        assert stage(name) == 0
    found, kept = (pq.read_table(root / layout.SCORES / "part-00000.parquet") for root in (Path(), golden))
    assert found.column("predicted").equals(kept.column("predicted"))
    np.testing.assert_allclose(found.column("confidence"), kept.column("confidence"), rtol=1e-3)
    same_bytes(
        golden, layout.WEIGHTS, layout.CARD, layout.FORGETTING, layout.POOL_DYNAMICS, layout.SCORES, layout.QUERY
    )


@pytest.mark.dvc
def test_it_replays_through_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    root = opened(__version__, tmp_path / "golden")
    monkeypatch.chdir(root)
    shutil.rmtree(".dvc")
    commands.dvc("init", "--quiet")
    commands.git("add", ".dvc")
    commands.git("add", "--force", layout.POOL, layout.EVAL)
    commands.git(*IDENTITY, "commit", "--quiet", "--amend", "--no-edit")
    history.cache_folder.cache_clear()
    assert list(history.past_rounds()) == [2]
    same = not lacking(HOME / __version__)
    assert al("replay", "2") == (0 if same else 1)
    said = capsys.readouterr().out
    assert ("19 outputs identical" if same else "differs in") in said
    if not same:
        pytest.skip(f"bytes not compared: made with {lacking(HOME / __version__)}")


# --- moving a campaign to another version ------------------------------------------------------


@pytest.fixture
def older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A campaign of this version under a package that calls itself a later one."""
    root = opened(__version__, tmp_path / "golden")
    monkeypatch.chdir(root)
    for module in (config, upgrade, template):
        monkeypatch.setattr(module, "__version__", "9.10.0")
    return root


def test_an_older_campaign_is_moved_by_one_command(older: Path, capsys: pytest.CaptureFixture) -> None:
    labels = Path(layout.LABELED).read_bytes()
    assert stage("merge_labels") == 1
    said = capsys.readouterr().err
    assert f"asks for al-plugin {__version__}, found 9.10.0" in said
    assert "al upgrade" in said
    assert said.count("\n") == 1
    Path("pipelines/train.py").write_text("# of an earlier version\n")
    commit(older, "Scripts of before")
    assert al("upgrade") == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["wrote pipelines/train.py", f"wrote {layout.PARAMS}"]
    assert Path("pipelines/train.py").read_text() == (ROOT / "pipelines/train.py").read_text()
    assert stage("merge_labels") == 0
    assert Path(layout.LABELED).read_bytes() == labels
    assert al("upgrade") == 0
    assert "nothing to do" in capsys.readouterr().out


def test_what_is_not_committed_is_not_overwritten(older: Path, capsys: pytest.CaptureFixture) -> None:
    Path("pipelines/train.py").write_text("# mine\n")
    assert al("upgrade") == 1
    assert "pipelines/train.py has changes that are not committed" in capsys.readouterr().err
    assert Path("pipelines/train.py").read_text() == "# mine\n"


def test_a_campaign_is_never_moved_back(older: Path, capsys: pytest.CaptureFixture) -> None:
    path = Path(layout.PARAMS)
    path.write_text(path.read_text().replace(f'"{__version__}"', '"9.11.0"'))
    for attempt in (lambda: stage("merge_labels"), lambda: al("upgrade")):
        assert attempt() == 1
        said = capsys.readouterr().err
        assert "pip install al-plugin==9.11.0" in said
        assert "al upgrade" not in said.partition(": ")[2]


def test_a_renamed_key_gives_its_new_name(older: Path, capsys: pytest.CaptureFixture, monkeypatch) -> None:
    monkeypatch.setitem(config.RENAMED, "train.rounds_of_training", "train.epochs")
    path = Path(layout.PARAMS)
    path.write_text(path.read_text().replace("  epochs:", "  rounds_of_training:"))
    commit(older, "Old name")
    assert al("status") == 1
    said = capsys.readouterr().err
    assert "has the key 'rounds_of_training', which is train.epochs now; al upgrade renames it" in said
    assert al("upgrade") == 0
    assert "  epochs: 5\n" in path.read_text()
    assert al("status") == 0


# --- the form of every artefact ----------------------------------------------------------------


def newer_json(path: str) -> None:
    value = json.loads(Path(path).read_text())
    Path(path).write_text(json.dumps(value | {"schema": f"{value['schema'].partition('/')[0]}/2"}))


def newer_table(path: str) -> None:
    table = pq.read_table(path)
    name = table.schema.metadata[b"al.schema"].partition(b"/")[0]
    pq.write_table(table.replace_schema_metadata({"al.schema": name + b"/2"}), path)


def newer_lines(path: str) -> None:
    text = Path(path).read_text()
    assert '"query/1"' in text
    Path(path).write_text(text.replace('"query/1"', '"query/2"'))


def first(pattern: str) -> str:
    return str(min(Path().glob(pattern)))


NEWER = {
    "a manifest": ("merge_labels", lambda: newer_json(first("data/manifests/round_0001/b01*.json")), "manifest/2"),
    "the query of a round": ("status", lambda: newer_lines(first("data/queries/round_0002*.jsonl")), "query/2"),
    "metrics": ("select_query", lambda: newer_json(layout.LABEL_METRICS), "label_metrics/2"),
    "merged labels": ("select_query", lambda: newer_table(layout.ASKED), "asked/2"),
    "scores": ("select_query", lambda: newer_table(f"{layout.SCORES}/part-00000.parquet"), "scores/2"),
    "the pool": ("train", lambda: newer_table(f"{layout.POOL}/part-00000.parquet"), "pool/2"),
    "copies": ("select_query", lambda: newer_json(layout.EVAL_COPIES), "eval_copies/2"),
}


@pytest.mark.parametrize("what", NEWER)
def test_a_newer_form_is_refused_in_one_line(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(opened(__version__, tmp_path / "golden"))
    name, spoil, said = NEWER[what]
    if name == "status":  # a query that is handed out now
        ledger_round = Path(layout.MANIFESTS, "round_0002")
        shutil.rmtree(ledger_round)
        shutil.rmtree(Path(layout.LABELS, "round_0002"))
        name = "select_query"
        metrics = json.loads(Path(layout.LABEL_METRICS).read_text())
        Path(layout.LABEL_METRICS).write_text(json.dumps(metrics | {"round": 1}))
    spoil()
    assert stage(name) == 1
    error = capsys.readouterr().err
    assert (
        f"was written by a newer al_plugin ({said}), this one reads up to {said.replace('/2', '/1')}; upgrade" in error
    )
    assert error.count("\n") == 1


def test_weights_and_cards_of_a_newer_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.numpy import save

    monkeypatch.chdir(tmp_path)
    store.write_bytes(layout.WEIGHTS, save({"a": np.zeros(1)}, {"al.schema": "weights/2"}))
    store.write_json(layout.CARD, {"schema": "card/2"})
    for read in (campaign.read_weights, campaign.read_card):
        with pytest.raises(DataError, match="written by a newer al_plugin"):
            read()
    store.write_bytes(layout.WEIGHTS, save({"a": np.zeros(1)}))
    assert list(campaign.read_weights()) == ["a"], "what says nothing is of the first form"


def test_every_output_says_its_form(golden: Path) -> None:
    """All of JSON, parquet and safetensors; CSV and npy have no place for it, what lies beside them says it."""
    for name in ("merge_labels", "train", "score", "select_query"):
        assert stage(name) == 0
    outs = history.hashes({"stages": {k: {"outs": v["outs"]} for k, v in lock(golden).items()}})
    silent = []
    for path in (p for out in outs for p in ([Path(out)] if Path(out).is_file() else sorted(Path(out).rglob("*")))):
        if path.suffix == ".json":
            said = json.loads(path.read_text()).get("schema")
        elif path.suffix == ".parquet":
            said = (pq.read_schema(path).metadata or {}).get(b"al.schema", b"").decode()
        elif path.suffix == ".jsonl":
            said = json.loads(path.read_text().splitlines()[0])["schema"]
        elif path.suffix == ".safetensors":
            said = header(path.read_bytes())["__metadata__"]["al.schema"]
        else:
            assert path.suffix in (".csv", ".npy", "")
            continue
        if not said or said != schemas.schema(said.partition("/")[0]):
            silent.append(str(path))
    assert silent == []


def header(content: bytes) -> dict:
    return json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])


def lock(kept: Path) -> dict:
    return read_yaml((kept / layout.DVC_LOCK).read_bytes(), layout.DVC_LOCK)["stages"]


@pytest.mark.parametrize("said", [None, "", 7, "card", "card/", "card/x", "card/²", "other/9", "card/1", "card/0"])
def test_only_a_newer_form_is_refused(said: object) -> None:
    schemas.refuse_newer(said, "x")
    for newer in ("card/2", "card/" + "9" * 5000):
        with pytest.raises(DataError):
            schemas.refuse_newer(newer, "x")
