"""Replay: what is kept, fresh clones without a cache, and naming the first input that differs."""

import json
import shutil
from pathlib import Path

import campaigns
import past_campaign
import pytest
import yaml
from conftest import al, commit

from al_plugin import causes, clones, commands, dvc_config, history, layout, progress, store
from al_plugin.errors import CampaignError

# --- the configuration of DVC -------------------------------------------------------------------


def test_a_cache_elsewhere_is_found_beside_a_remote(campaign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git cannot read a config that names a remote; the cache of its own folder was looked at instead."""
    commands.dvc("config", "cache.dir", "../../shared")
    commands.dvc("remote", "add", "-d", "store", "../store")
    assert commands.git_bytes("config", "-f", ".dvc/config", "--get", "cache.dir") is None
    history.cache_folder.cache_clear()
    assert history.cache_folder() == (campaign / "../../shared/files/md5").resolve()
    commands.dvc("config", "--local", "cache.dir", str(campaign / "mine"))
    history.cache_folder.cache_clear()
    assert history.cache_folder() == campaign / "mine/files/md5"
    assert dvc_config.read(Path(".dvc"))["'remote \"store\"'"]["url"] == str((campaign / "../store").resolve())
    assert clones.remote() == "store"
    written = dvc_config.remotes(dvc_config.read(Path(".dvc")))
    dvc_config.write(Path(".dvc/config.local"), written)
    assert dvc_config.read(Path(".dvc")).items() >= written.items()


def test_a_damaged_configuration_is_one_line(campaign: Path) -> None:
    Path(".dvc/config").write_text("core]\nremote\n")
    with pytest.raises(CampaignError, match=r"^\.dvc/config cannot be read .*; mend it"):
        dvc_config.read(Path(".dvc"))


# --- what is kept -------------------------------------------------------------------------------


@pytest.fixture
def past(campaign: Path) -> Path:
    """Two answered rounds whose outputs lie in the cache; nothing was computed."""
    past_campaign.build(campaign, past_campaign.Past(rounds=2))
    history.cache_folder.cache_clear()
    return campaign


def cached(number: int, path: str) -> Path:
    digest = history.past_rounds()[number].outputs()[path]
    return history.cache_folder() / digest[:2] / digest[2:]


def test_all_that_is_kept_is_hashed(past: Path, capsys: pytest.CaptureFixture) -> None:
    assert al("replay", "--all", "--from-cache") == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[2] for line in said] == ["7 outputs identical to what is kept"] * 3


@pytest.mark.parametrize("inner", [False, True])
def test_a_damaged_file_is_named(past: Path, capsys: pytest.CaptureFixture, *, inner: bool) -> None:
    """In an output, or in a folder that is one."""
    path = cached(1, layout.SCORES) if inner else cached(1, layout.VOTES)
    if inner:
        digest = json.loads(path.read_bytes())[0]["md5"]
        path = history.cache_folder() / digest[:2] / digest[2:]
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert al("replay", "--all", "--from-cache") == 1
    said = capsys.readouterr().out
    stage, name = ("score", f"{layout.SCORES}/part-00000.parquet") if inner else ("merge-labels", layout.VOTES)
    assert f"{stage} differs in {name}" in said
    assert "has other content" in said
    assert said.count("outputs identical") == 2


def test_what_is_nowhere_is_named(past: Path, capsys: pytest.CaptureFixture) -> None:
    cached(2, layout.LABELED).unlink()
    assert al("replay", "2", "--from-cache") == 1
    said = capsys.readouterr().out
    assert f"could not be compared: {layout.LABELED} is not in this machine's DVC cache" in said
    assert "no DVC remote is configured" in said


@pytest.mark.parametrize("damaged", [b"", b'{"lab', b"[]", b"{}"])
def test_a_round_whose_measure_is_damaged_is_no_point_of_the_curve(damaged: bytes, past: Path) -> None:
    cached(1, layout.TRAIN_METRICS).write_bytes(damaged)
    assert [point.round for point in progress.learning_curve()] == [0, 2]
    assert al("status") == 0


# --- what differs -------------------------------------------------------------------------------


@pytest.fixture
def pinned(campaign: Path) -> history.PastRound:
    """A round whose dvc.lock pins the inputs that lie here."""

    def entry(path: str) -> dict:
        where = Path(path)
        folder = where.is_dir() and history.folder_hash(history.digests_of(where))
        return {"path": path, "md5": folder or history.digest_of(where)}

    folder = Path(layout.LABELS, "round_0001")
    for name in ("b01--ann.csv", "query.jsonl"):
        store.write_bytes(folder / name, name.encode())
    params = yaml.safe_load(Path(layout.PARAMS).read_text())
    deps = ("pipelines/train.py", layout.POOL, layout.EVAL, layout.LABELS, layout.QUERIES)
    stage = {
        "deps": [entry(path) for path in deps],
        "params": {layout.PARAMS: {"campaign.seed": params["campaign"]["seed"], "train": params["train"]}},
        "outs": [],
    }
    commit(campaign, "Round 1")
    lock = {"stages": {name: stage if name == "train" else {"outs": []} for name in history.STAGES}}
    return history.PastRound(1, commands.git("rev-parse", "HEAD"), lock)


def told(pinned: history.PastRound) -> list[str]:
    return list(causes.differing_inputs(pinned, Path(), ("train",)))


def test_nothing_differs(pinned: history.PastRound) -> None:
    assert told(pinned) == []


def test_code_is_named_before_parameters_labels_and_data(pinned: history.PastRound) -> None:
    Path("pipelines/train.py").write_text("pass\n")
    text = Path(layout.PARAMS).read_text().replace("epochs: 8", "epochs: 9").replace("seed: 0", "seed: 4")
    Path(layout.PARAMS).write_text(text.replace("clip_norm: 0.0", "clip_norms: 0.0"))
    Path(layout.LABELS, "round_0001", "b01--ann.csv").write_text("other")
    Path(layout.QUERIES, "round_0002.jsonl").write_text("{}\n")
    assert told(pinned) == [
        "code pipelines/train.py",
        "parameter campaign.seed: 4, pinned 0",
        "parameter train.epochs: 9, pinned 8",
        "parameter train.clip_norm: not set, pinned 0.0",
        "parameter train.clip_norms: 0.0, pinned not set",
        "label batch data/labels/round_0001/b01--ann.csv",
        "query data/queries/round_0002.jsonl, which is new",
    ]


def test_a_missing_and_a_new_file_are_told_as_that(pinned: history.PastRound) -> None:
    Path(layout.LABELS, "round_0001", "b01--ann.csv").unlink()
    Path("pipelines/train.py").unlink()
    assert told(pinned) == [
        "code pipelines/train.py, which is not there",
        "label batch data/labels/round_0001/b01--ann.csv, which is not there",
    ]


@pytest.mark.parametrize("known", [False, True])
def test_a_file_of_the_pool_is_named_where_the_cache_knows_what_was_pinned(
    pinned: history.PastRound, *, known: bool
) -> None:
    if known:
        files = history.digests_of(Path(layout.POOL))
        content = json.dumps([{"md5": digest, "relpath": name} for name, digest in sorted(files.items())]).encode()
        digest = history.folder_hash(files)
        store.write_bytes(history.cache_folder() / digest[:2] / digest[2:], content)
    Path(layout.POOL, "part-00001.parquet").write_bytes(b"other")
    name = f"data {layout.POOL}/part-00001.parquet" if known else f"data {layout.POOL}, in a file that is not known"
    assert told(pinned)[0].startswith(name)


# --- real rounds --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One answered round by `dvc repro`, its cache shared by configuration, all of it in a remote; copy neither."""
    root = campaigns.start(tmp_path_factory.mktemp("replay") / "campaign", "vectors")
    commands.dvc("config", "cache.dir", str(root.parent / "shared"), cwd=root)
    commands.dvc("add", "--quiet", layout.POOL, layout.EVAL, cwd=root)
    campaigns.turn(root)
    campaigns.answer(root)
    campaigns.turn(root)
    shutil.copytree(root.parent / "shared", root.parent / "store")
    commands.dvc("remote", "add", "-d", "store", "../store", cwd=root)
    commit(root, "A remote")
    return root


@pytest.fixture
def fresh(answered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with an empty cache and a copy of the remote."""
    root = tmp_path / "clone"
    commands.git("clone", "--quiet", str(answered), str(root))
    shutil.copytree(answered.parent / "store", tmp_path / "store")
    monkeypatch.chdir(root)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    sections = dvc_config.read(Path(".dvc"))
    sections["cache"]["dir"] = str(tmp_path / "empty")
    sections["'remote \"store\"'"]["url"] = str(tmp_path / "store")
    dvc_config.write(Path(".dvc/config"), sections)
    commit(root, "Here")
    history.cache_folder.cache_clear()
    return root


@pytest.mark.dvc
def test_a_fresh_clone_replays_from_the_remote(fresh: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Kept and recomputed; without the remote both say so."""
    assert al("replay", "1", "--from-cache") == 0
    assert "19 outputs identical to what is kept" in capsys.readouterr().out
    assert al("replay", "1") == 0
    assert "19 outputs identical" in capsys.readouterr().out
    assert not (tmp_path / "empty").exists(), "replaying writes nothing into the user's cache"
    damaged = history.past_rounds()[1].outputs()[layout.CARD]
    file = tmp_path / "store/files/md5" / damaged[:2] / damaged[2:]
    file.chmod(0o644)
    file.write_bytes(b"{}")
    assert al("replay", "1", "--from-cache") == 1, "DVC takes no damaged file from a folder"
    assert f"could not be compared: {layout.CARD} is neither" in capsys.readouterr().out
    (tmp_path / "store").rename(tmp_path / "away")
    assert al("replay", "1", "--from-cache") == 1
    assert "is neither in this machine's DVC cache nor in the DVC remote store" in capsys.readouterr().out
    assert al("replay", "1") == 1
    said = capsys.readouterr().out
    assert "could not be rebuilt: data/eval, data/pool is neither" in said
    assert "run dvc push on a machine that has it" in said


@pytest.mark.dvc
def test_what_differs_is_recomputed_though_a_shared_cache_has_it(
    answered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """dvc.lock pins the weights of another model that is cached: DVC alone would check them out and compute nothing.

    The environment that was recorded is another too, and is named after the parameter.
    """
    root = tmp_path / "campaign"
    shutil.copytree(answered, root, symlinks=True)
    monkeypatch.chdir(root)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    history.cache_folder.cache_clear()
    rounds = history.past_rounds()
    own, other = (rounds[number].outputs()[layout.WEIGHTS] for number in (1, 0))
    lock = Path(layout.DVC_LOCK)
    lock.write_text(lock.read_text().replace(own, other))
    line = Path(layout.environment_of(1))
    line.write_text(line.read_text().replace(own, other))
    key = json.loads(line.read_text())["environment"]
    recorded = Path(layout.ENVIRONMENTS, f"{key}.json")
    document = json.loads(recorded.read_text())
    document["distributions"]["torch"] = "1.0"
    recorded.write_text(json.dumps(document))
    commit(root, "Tamper")
    assert al("replay", "1") == 1
    said = capsys.readouterr().out
    assert f"train differs in {layout.WEIGHTS}" in said
    assert "first input that differs: library torch: " in said
    assert "recorded 1.0" in said
    campaigns.change(root, weight_decay="0.2")
    lock.write_text(lock.read_text().replace(other, own) + "\n")
    commit(root, "Another setting than was computed with")
    assert al("replay", "1") == 1
    said = capsys.readouterr().out
    assert "train differs in " in said
    assert "first input that differs: parameter train.weight_decay: 0.2, pinned 0.01" in said
