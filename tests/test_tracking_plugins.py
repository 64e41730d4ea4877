"""What MLflow loads from al_plugin: context tags for any run, and datasets that come from DVC."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
import tracking_server as rounds

from al_plugin import commands, layout, store
from al_plugin.errors import CampaignError
from al_plugin.tracking import digests, session
from al_plugin.tracking.context import CampaignContext, campaign_root
from al_plugin.tracking.source import DVCDatasetSource

IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@localhost")


LOCK = """schema: '2.0'
stages:
  merge-labels:
    cmd: exec python pipelines/merge_labels.py
    outs:
    - path: merged/labeled.parquet
      hash: md5
      md5: 11111111111111111111111111111111
      size: 9
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "zoo"
    rounds.make_round(folder, 2, 21)
    (folder / layout.DVC_LOCK).write_text(LOCK)
    monkeypatch.chdir(folder)
    for name in ("DVC_STAGE", "DVC_EXP_NAME", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    return folder


def test_any_run_in_a_campaign_is_tagged(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain start_run in a folder below the campaign's root, as a user's own script does it."""
    shutil.copy(rounds.empty_database(), root / "mlflow.db")
    monkeypatch.setenv("DVC_STAGE", "mine")
    monkeypatch.setenv("DVC_EXP_NAME", "exp-1")
    monkeypatch.chdir(root / "data")
    with session.quiet():
        mlflow.set_tracking_uri(f"sqlite:///{root / 'mlflow.db'}")
        with mlflow.start_run() as run:
            pass
        tags = mlflow.get_run(run.info.run_id).data.tags
        mlflow.set_tracking_uri(None)
    expected = {
        "al.campaign": "zoo",
        "al.round": "2",
        "dvc.lock_md5": digests.file_md5(root / layout.DVC_LOCK),
        "dvc.labels": "1" * 32,
        "dvc.stage": "mine",
        "dvc.exp_name": "exp-1",
    }
    assert {name: value for name, value in tags.items() if name in expected} == expected
    assert "dvc.model" not in tags  # not in this dvc.lock


def test_outside_a_campaign_there_is_no_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not CampaignContext().in_context()
    assert CampaignContext().tags() == {}
    (tmp_path / layout.DVC_YAML).write_text("stages: {}\n")
    (tmp_path / layout.PARAMS).write_text("train: {lr: 1}\nnot_a_campaign: {}\n")
    assert campaign_root(tmp_path) is None


@pytest.mark.parametrize("params", ["campaign: [", "campaign: 7\n", "campaign: {classes: [a]}\n", "campaign:\n"])
def test_a_broken_campaign_breaks_no_run(root: Path, params: str) -> None:
    (root / layout.PARAMS).write_text(params)
    assert CampaignContext().in_context()
    assert "al.campaign" not in CampaignContext().tags()


def test_importing_mlflow_imports_little_of_al_plugin(tmp_path: Path) -> None:
    """Whoever imports mlflow beside al_plugin pays for a few small modules, and sees no warning."""
    code = "import sys, mlflow, mlflow.data; print(*sorted(m for m in sys.modules if m.startswith('al_plugin')))"
    done = rounds.run_python(f"import warnings; warnings.simplefilter('error'); {code}", tmp_path)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {
        "al_plugin",
        "al_plugin.errors",
        "al_plugin.foreign",
        "al_plugin.layout",
        "al_plugin.tracking",
        "al_plugin.tracking.context",
        "al_plugin.tracking.silence",
        "al_plugin.tracking.source",
    }


# Datasets


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DVC repository with two commits that pin different labels and scores; copy it, do not write to it."""
    root = tmp_path_factory.mktemp("seed") / "repo"
    root.mkdir()
    commands.git("init", "--quiet", "--initial-branch=main", cwd=root)
    commands.dvc("init", "--quiet", cwd=root)
    (root / ".gitignore").write_text("/merged\n/scores\n/data\n/.al\n")
    stage = {
        "cmd": f"{sys.executable} make.py",
        "deps": ["make.py"],
        "outs": [layout.LABELED, layout.SCORES],
    }
    (root / layout.DVC_YAML).write_text(json.dumps({"stages": {"make": stage}}))
    for version in ("one", "two"):
        (root / "make.py").write_text(
            "from pathlib import Path\n"
            "for name in ('merged/labeled.parquet', 'scores/part.parquet', 'scores/part/a-b.npy', 'scores/part/a/b.npy'):\n"
            "    Path(name).parent.mkdir(parents=True, exist_ok=True)\n"
            f"    Path(name).write_text(name + '{version}')\n"
        )
        commands.dvc("repro", "--quiet", cwd=root)
        commands.git("add", "--all", cwd=root)
        commands.git(*IDENTITY, "commit", "--quiet", "-m", version, cwd=root)
    return root


@pytest.fixture
def repo(seed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "repo"
    shutil.copytree(seed, root, symlinks=True)
    monkeypatch.chdir(root)
    return root


def pinned(root: Path, path: str, commit: str = "HEAD") -> str:
    content = commands.git_bytes("show", f"{commit}:dvc.lock", cwd=root)
    return digests.locked(content or b"")[path].md5


def test_our_hashes_are_those_of_dvc(repo: Path) -> None:
    """Of a file, and of a folder with names that sort differently as paths and as text."""
    assert digests.file_md5(repo / layout.LABELED) == pinned(repo, layout.LABELED)
    assert digests.folder_md5(repo / layout.SCORES) == pinned(repo, layout.SCORES)


def test_a_past_file_is_loaded_from_the_cache(repo: Path) -> None:
    source = DVCDatasetSource(layout.LABELED, pinned(repo, layout.LABELED, "HEAD~1"))
    path = Path(source.load())
    assert path.read_text() == "merged/labeled.parquetone"
    assert path.name == "labeled.parquet"
    assert path.is_relative_to(repo / ".al" / "cache")
    assert (repo / layout.LABELED).read_text() == "merged/labeled.parquettwo"
    path.write_text("mine")  # a copy, so that the cache stays whole
    assert commands.dvc("status", cwd=repo).startswith("Data and pipelines are up to date")
    assert source.load() == str(path)


def test_a_past_folder_is_loaded_as_a_folder(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    md5 = pinned(repo, layout.SCORES, "HEAD~1")
    monkeypatch.chdir(repo / "merged")  # anywhere in the repository
    folder = Path(DVCDatasetSource(layout.SCORES, md5).load())
    assert digests.folder_md5(folder) == md5
    assert (folder / "part" / "a" / "b.npy").read_text() == "scores/part/a/b.npyone"


def test_a_moved_cache_is_found(repo: Path, tmp_path: Path) -> None:
    commands.dvc("config", "cache.dir", str(tmp_path / "elsewhere"), cwd=repo)
    shutil.move(repo / ".dvc" / "cache", tmp_path / "elsewhere")
    assert Path(DVCDatasetSource(layout.LABELED, pinned(repo, layout.LABELED)).load()).is_file()


def test_what_the_cache_lost_comes_from_a_commit_and_the_remote(repo: Path, tmp_path: Path) -> None:
    """Also by way of a remote that was set up after that commit; it is kept where .dvcignore forbids DVC to look."""
    (repo / ".dvcignore").write_text("/.al\n")
    (tmp_path / "remote").mkdir()
    md5 = pinned(repo, layout.SCORES, "HEAD~1")
    commands.dvc("remote", "add", "--default", "--quiet", "store", str(tmp_path / "remote"), cwd=repo)
    shutil.move(repo / ".dvc" / "cache" / "files", tmp_path / "remote" / "files")
    folder = Path(DVCDatasetSource(layout.SCORES, md5).load())
    assert digests.folder_md5(folder) == md5


def test_damaged_cache_objects_are_not_taken(repo: Path) -> None:
    md5 = pinned(repo, layout.LABELED, "HEAD~1")
    held = repo / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
    held.chmod(0o644)
    held.write_text("damaged")
    with pytest.raises(CampaignError):
        DVCDatasetSource(layout.LABELED, md5).load()
    assert not list((repo / ".al").rglob("labeled.parquet"))


def test_unknown_content_is_named(repo: Path) -> None:
    with pytest.raises(CampaignError, match=r"merged/labeled.parquet with MD5 f{32} is neither in DVC's cache nor"):
        DVCDatasetSource(layout.LABELED, "f" * 32).load()


def test_outside_a_repository_the_hint_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = DVCDatasetSource(layout.LABELED, "f" * 32, "https://git.example/zoo.git")
    with pytest.raises(CampaignError, match=r"load the dataset in a clone of https://git.example/zoo.git"):
        source.load()


def test_a_folder_listing_cannot_write_outside(repo: Path) -> None:
    listing = json.dumps([{"md5": "f" * 32, "relpath": "../../escaped"}]).encode()
    md5 = "e" * 32 + ".dir"
    store.write_bytes(repo / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:], listing)
    with pytest.raises(CampaignError, match="outside its folder"):
        DVCDatasetSource(layout.SCORES, md5).load()


def test_mlflow_knows_the_source() -> None:
    """From what a run stores back to something that loads, and from a plain description."""
    source = DVCDatasetSource("scores", "a" * 32 + ".dir", "https://git.example/zoo.git")
    back = mlflow.data.dataset_source_registry.get_dataset_source_from_json(source.to_json(), "dvc")
    assert isinstance(back, DVCDatasetSource)
    assert back.to_dict() == source.to_dict()
    found = mlflow.data.dataset_source_registry.resolve_dataset_source({"path": "scores", "md5": "a" * 32})
    assert isinstance(found, DVCDatasetSource)


def test_the_address_of_the_repository_has_no_password_and_is_no_path(tmp_path: Path) -> None:
    from al_plugin.tracking.record import repository

    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    assert repository(tmp_path) == ""
    for given, shown in (
        ("https://me:secret@git.example/zoo.git", "https://git.example/zoo.git"),
        ("git@git.example:zoo.git", "git@git.example:zoo.git"),
        ("/home/me/zoo", ""),
        ("../zoo", ""),
        ("file:///home/me/zoo", ""),
    ):
        subprocess.run(["git", "config", "remote.origin.url", given], cwd=tmp_path, check=True)
        assert repository(tmp_path) == shown
