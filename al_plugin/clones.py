"""A temporary clone of the campaign at a past commit, and the data it needs from the DVC cache or remote."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from al_plugin import commands, dvc_config, history
from al_plugin.documents import read_yaml
from al_plugin.errors import CampaignError

_CACHE = "replayed"


@contextmanager
def clone_at(commit: str) -> Iterator[Path]:
    """A temporary clone at ``commit`` with a DVC cache of its own, always empty.

    It knows the DVC remotes that this repository has today, and this repository's cache as one more.
    """
    root = Path.cwd()
    scratch = Path(tempfile.mkdtemp(prefix="al-replay-"))
    try:
        folder = scratch / "clone"
        top = commands.require_git()
        commands.git("clone", "--quiet", "--no-checkout", "--shared", str(top), str(folder), cwd=scratch)
        commands.git("checkout", "--quiet", "--detach", commit, cwd=folder)
        campaign = folder / root.relative_to(top)
        shutil.rmtree(campaign / ".dvc" / "cache", ignore_errors=True)
        known = dvc_config.remotes(dvc_config.read(Path(".dvc")))
        known = dvc_config.with_remote(known, _CACHE, str(history.cache_folder().parent.parent.resolve()))
        # Its own cache also where the repository shares one: what lies there would be checked out, not computed.
        own = {"cache": {"dir": str(own_cache(campaign).parent.parent)}}
        dvc_config.write(campaign / ".dvc" / "config.local", known | own)
        yield campaign
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def own_cache(campaign: Path) -> Path:
    """Where a clone keeps files by MD5."""
    return campaign / ".dvc" / "cache" / "files" / "md5"


def pull(folder: Path, *targets: str) -> None:
    """Bring files of a past commit into its clone, from this machine's DVC cache or else the DVC remote.

    CampaignError that says which are in neither; without targets every file that DVC tracks there.
    """
    trouble = _bring(folder, *targets)
    lacking = [target for target in targets if not Path(folder, target.removesuffix(".dvc")).exists()]
    if trouble and (lacking or not targets):
        raise nowhere(", ".join(target.removesuffix(".dvc") for target in lacking) or "files of that round", trouble)


def fetch(folder: Path, *targets: str) -> str:
    """Fill a clone's cache from the DVC remote; "" or DVC's words where something is lacking there."""
    return _tried(folder, "fetch", *targets)


def _bring(folder: Path, *targets: str) -> str:
    return _tried(folder, "pull", "--remote", _CACHE, *targets) and _tried(folder, "pull", *targets)


def _tried(folder: Path, *arguments: str) -> str:
    try:
        commands.dvc(*arguments, cwd=folder)
    except CampaignError as error:
        return str(error)
    return ""


def nowhere(what: str, trouble: str) -> CampaignError:
    """The error that ``what`` can be had from nowhere."""
    default = remote()
    if default is None:
        return CampaignError(
            f"{what} is not in this machine's DVC cache, and no DVC remote is configured",
            change="dvc remote add -d NAME URL, after a dvc push from a machine that has it",
        )
    return CampaignError(
        f"{what} is neither in this machine's DVC cache nor in the DVC remote {default}{trouble and f' ({trouble})'}",
        change="run dvc push on a machine that has it",
    )


def remote() -> str | None:
    """Name of this repository's default DVC remote, or None."""
    return dvc_config.read(Path(".dvc")).get("core", {}).get("remote")


def pull_sources(folder: Path, lock: Mapping[str, Any]) -> None:
    """Bring what the stages of ``lock`` read from and DVC tracks; CampaignError where it can be had from nowhere.

    Other data under data/ that DVC tracks there (targets, say) come along where they can be had.
    """
    read = {entry["path"] for stage in lock["stages"].values() for entry in stage.get("deps", [])}
    tracked = {path: _outputs(folder, path) for path in sorted(folder.glob("data/**/*.dvc"))}
    tracked |= {folder / f"{path}.dvc": {path} for path in sorted(read) if (folder / f"{path}.dvc").is_file()}
    needed = {path.relative_to(folder).as_posix() for path, outputs in tracked.items() if outputs & read}
    others = {path.relative_to(folder).as_posix() for path in tracked} - needed
    if needed:
        pull(folder, *sorted(needed))
    if others:
        _bring(folder, *sorted(others))


def _outputs(folder: Path, path: Path) -> set[str]:
    content = read_yaml(path.read_bytes(), str(path.relative_to(folder))) or {}
    where = path.parent.relative_to(folder)
    return {(where / entry["path"]).as_posix() for entry in content.get("outs", []) if "path" in entry}
