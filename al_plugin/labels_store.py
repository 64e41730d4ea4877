"""Where label rounds live: in Git (default), or under DVC when they outgrow it."""

from pathlib import Path

from al_plugin import commands, layout, ledger, store
from al_plugin.errors import CampaignError

_IGNORE_LINE = f"/{layout.LABELS}"


def to_dvc() -> None:
    """Put data/labels under DVC; manifests stay in Git, so that a clone without them is refused."""
    commands.require_git()
    commands.require_dvc()
    ledger.read_rounds()
    _refuse_uncommitted()
    commands.git("rm", "-r", "--quiet", "--cached", "--", layout.LABELS)
    # Ignored by the root .gitignore, so that DVC writes none of its own inside data/.
    ignore = Path(".gitignore")
    text = ignore.read_text(encoding="utf-8") if ignore.is_file() else ""
    if _IGNORE_LINE not in text.splitlines():
        store.write_bytes(ignore, f"{text.rstrip()}\n{_IGNORE_LINE}\n".lstrip().encode())
    commands.dvc("add", layout.LABELS)
    commands.git("add", "--", layout.LABELS_DVC, ".gitignore")


def to_git() -> None:
    """Bring data/labels back into Git."""
    commands.require_git()
    ledger.read_rounds()
    ignore = Path(".gitignore")
    kept = [line for line in ignore.read_text(encoding="utf-8").splitlines() if line != _IGNORE_LINE]
    commands.dvc("remove", layout.LABELS_DVC)
    store.write_bytes(ignore, ("\n".join(kept) + "\n").encode())
    commands.git("rm", "--quiet", "--cached", "--ignore-unmatch", "--", layout.LABELS_DVC)
    commands.git("add", "--", layout.LABELS, ".gitignore")


def _refuse_uncommitted() -> None:
    if commands.git("status", "--porcelain", "--", layout.LABELS, layout.MANIFESTS):
        raise CampaignError(
            f"{layout.LABELS} has changes that are not committed", change="commit them before moving the rounds"
        )
