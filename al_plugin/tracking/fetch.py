"""From an MD5 of DVC's back to the content, without importing dvc."""

import json
import shutil
import tempfile
from pathlib import Path

from al_plugin import commands, layout
from al_plugin.errors import CampaignError
from al_plugin.tracking.digests import file_md5, folder_md5, locked


def fetch(path: str, md5: str, repo: str = "", root: str | Path | None = None) -> Path:
    """The content of ``path`` with DVC's ``md5``, in ``.al/cache/datasets`` of the campaign.

    From DVC's cache; else by `dvc get` of the commit whose dvc.lock has this MD5; else CampaignError.
    """
    campaign = _campaign(repo) if root is None else Path(root)
    kept = campaign / layout.PRIVATE / "cache" / "datasets" / md5 / Path(path).name
    if kept.exists():
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".writing-") as scratch:
        made = Path(scratch, kept.name)
        if not _from_cache(campaign, md5, made):
            _from_history(campaign, path, md5, made)
        made.replace(kept)
    return kept


def _campaign(repo: str) -> Path:
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / ".dvc").is_dir():
            return folder
    where = f"in a clone of {repo}" if repo else "in the campaign it belongs to"
    raise CampaignError(f"{here} is not in a DVC repository", change=f"load the dataset {where}, or name its folder")


def _from_cache(campaign: Path, md5: str, target: Path) -> bool:
    """Copy an object of DVC's cache to ``target``; False if the cache does not have it whole."""
    cache = Path(campaign, commands.dvc("cache", "dir", cwd=campaign), "files", "md5")
    if not md5.endswith(".dir"):
        return _copy(cache, md5, target)
    listing = _object(cache, md5)
    if not listing.is_file():
        return False
    target.mkdir()
    for entry in json.loads(listing.read_bytes()):
        file = target / entry["relpath"]
        if not file.resolve().is_relative_to(target.resolve()):
            raise CampaignError(f"DVC's cache object {md5} names a path outside its folder: {entry['relpath']}")
        file.parent.mkdir(parents=True, exist_ok=True)
        if not _copy(cache, entry["md5"], file):
            shutil.rmtree(target)
            return False
    return True


def _copy(cache: Path, md5: str, target: Path) -> bool:
    held = _object(cache, md5)
    if not held.is_file() or file_md5(held) != md5:
        return False
    shutil.copyfile(held, target)  # not its mode: the cache is read-only
    return True


def _object(cache: Path, md5: str) -> Path:
    return cache / md5[:2] / md5[2:]


def _from_history(campaign: Path, path: str, md5: str, target: Path) -> None:
    """`dvc get` from the newest commit that pins ``md5``, which asks the remote where the cache has it not."""
    commits = commands.git("log", "--format=%H", f"-S{md5}", "--", layout.DVC_LOCK, f"{path}.dvc", cwd=campaign)
    for commit in commits.split():
        content = commands.git_bytes("show", f"{commit}:./{layout.DVC_LOCK}", cwd=campaign)
        entry = None if content is None else locked(content).get(path)
        if entry is not None and entry.md5 == md5:
            # With today's configuration: the remote may have been set up after that commit.
            places = ("--out", str(target), "--config", ".dvc/config")
            commands.dvc("get", ".", path, "--rev", commit, *places, cwd=campaign)
            found = folder_md5(target) if target.is_dir() else file_md5(target)
            if found == md5:
                return
    raise CampaignError(
        f"{path} with MD5 {md5} is neither in DVC's cache nor pinned by a {layout.DVC_LOCK} in this history",
        change="run dvc fetch --all-commits, or git fetch the branch that has it",
    )
