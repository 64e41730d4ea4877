"""Where label rounds live: in Git (default), or under DVC when they outgrow it."""

from pathlib import Path

from al_plugin import commands, layout, ledger, store, waiting
from al_plugin.errors import CampaignError


def to_dvc() -> None:
    """Put data/labels under DVC; manifests stay in Git, so that a clone without them is refused.

    The files themselves never move, and nobody files any meanwhile. Where it fails Git's index is put back;
    where it is killed, running it again finishes.
    """
    commands.require_git()
    commands.require_dvc()
    with waiting.filing():
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
        stage_move()


def stage_move() -> None:
    """Tell Git where the pointer went: what a move killed at its end left undone; nothing after a whole one."""
    if Path(layout.LABELS_DVC).is_file():
        commands.git("add", "--", layout.LABELS_DVC, ".gitignore")
    else:
        commands.git("rm", "--quiet", "--cached", "--ignore-unmatch", "--", layout.LABELS_DVC)


def to_git() -> None:
    """Bring data/labels back into Git. Safe to stop and to run again."""
    commands.require_git()
    with waiting.filing():
        ledger.read_rounds()
        ignore(layout.LABELS, present=False)
        commands.git("add", "--", layout.LABELS, ".gitignore")
        Path(layout.LABELS_DVC).unlink(missing_ok=True)
        stage_move()


def ignore(folder: str, *, present: bool) -> None:
    """Hold, or do not hold, the line that keeps a folder out of Git (and DVC from writing its own)."""
    own = f"/{folder}"
    path = Path(".gitignore")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    kept = [line for line in lines if line != own]
    store.write_bytes(path, ("\n".join([*kept, own] if present else kept) + "\n").encode())


def _refuse_uncommitted() -> None:
    """Changes must be committed first; labels that are gone from the index alone were never lost."""
    folders = (layout.LABELS, layout.MANIFESTS)
    changed = commands.changes("HEAD", *folders)
    # Ignored ones too: a killed move has written the line that ignores the labels.
    untracked = set(commands.git("ls-files", "--others", "-z", "--", *folders).split("\0"))
    new = {path for path in untracked - changed.keys() if _is_filed(path)}
    # Deleted for Git, with the file still there: what a killed move of labels leaves behind.
    if new or any(kind != "D" or path not in untracked for path, kind in changed.items()):
        raise CampaignError(
            f"{layout.LABELS} has changes that are not committed", change="commit them before moving the rounds"
        )


def _is_filed(path: str) -> bool:
    """Whether a file belongs to a label round; hidden ones, of a desktop or a kill, do not."""
    return layout.FILED.fullmatch(path) is not None and not Path(path).name.startswith(".")
