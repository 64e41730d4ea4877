"""Where label rounds live: in Git (default), or under DVC when they outgrow it."""

from pathlib import Path

from al_plugin import commands, layout, ledger, store
from al_plugin.errors import CampaignError


def to_dvc() -> None:
    """Put data/labels under DVC; manifests stay in Git, so that a clone without them is refused.

    The files themselves never move. Where it fails Git's index is put back; where it is killed, running
    it again finishes.
    """
    commands.require_git()
    commands.require_dvc()
    ledger.read_rounds()
    _refuse_uncommitted()
    commands.git("rm", "-r", "--quiet", "--cached", "--ignore-unmatch", "--", layout.LABELS)
    try:
        ignore(layout.LABELS, present=True)
        commands.dvc("add", layout.LABELS)  # refuses what Git tracks
    except BaseException:
        ignore(layout.LABELS, present=False)
        commands.git("reset", "--quiet", "--", layout.LABELS)
        raise
    commands.git("add", "--", layout.LABELS_DVC, ".gitignore")


def to_git() -> None:
    """Bring data/labels back into Git. Safe to stop and to run again."""
    commands.require_git()
    ledger.read_rounds()
    ignore(layout.LABELS, present=False)
    commands.git("add", "--", layout.LABELS, ".gitignore")
    Path(layout.LABELS_DVC).unlink(missing_ok=True)
    commands.git("rm", "--quiet", "--cached", "--ignore-unmatch", "--", layout.LABELS_DVC)


def ignore(folder: str, *, present: bool) -> None:
    """Hold, or do not hold, the line that keeps a folder out of Git (and DVC from writing its own)."""
    own = f"/{folder}"
    path = Path(".gitignore")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    kept = [line for line in lines if line != own]
    store.write_bytes(path, ("\n".join([*kept, own] if present else kept) + "\n").encode())


def _refuse_uncommitted() -> None:
    """Changes must be committed first; labels that are gone from the index alone were never lost."""
    changed = commands.git("status", "--porcelain", "--", layout.LABELS, layout.MANIFESTS).splitlines()
    # "D " with the file still there, or "??": what a killed move of labels leaves behind.
    left = [line for line in changed if not (line.startswith("D ") and Path(line[3:].strip('"')).exists())]
    committed = set(commands.git("ls-tree", "-r", "--name-only", "HEAD", "--", layout.LABELS).splitlines())
    left = [line for line in left if not (line.startswith("?? ") and _all_committed(line[3:].strip('"'), committed))]
    if left:
        raise CampaignError(
            f"{layout.LABELS} has changes that are not committed", change="commit them before moving the rounds"
        )


def _all_committed(path: str, committed: set[str]) -> bool:
    files = [path] if Path(path).is_file() else [str(file) for file in Path(path).rglob("*") if file.is_file()]
    return all(file in committed for file in files)
