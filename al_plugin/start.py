"""The model that the next training starts from: a copy of the current one, filed as data that DVC tracks."""

from pathlib import Path

from al_plugin import commands, layout, store, template
from al_plugin.documents import read_dvc
from al_plugin.errors import CampaignError
from al_plugin.labels_store import ignore

_README = f"{layout.START}/README.md"
_BACK = "run dvc repro, or dvc checkout where a failed run took it away"


def file_model() -> int:
    """Copy model/ to data/start, track it with DVC, stage that for commit; gives the model's round.

    Safe to kill and to run again. CampaignError where train does not depend on data/start, or no model is fitted.
    """
    commands.require_git()
    commands.require_dvc()
    _require_dependency()
    card = store.read_json(layout.CARD, _BACK)
    if not card["fitted"]:
        raise CampaignError("the model has seen no label yet", change="answer a query and run dvc repro first")
    commands.git("rm", "--quiet", "--cached", "--ignore-unmatch", "--", _README)
    # Files are replaced, never written into: they may be links into DVC's cache.
    store.write_bytes(_README, template.note(layout.START).encode())
    store.write_bytes(layout.START_WEIGHTS, store.read_bytes(layout.WEIGHTS, _BACK))
    store.write_bytes(layout.START_CARD, store.read_bytes(layout.CARD, _BACK))
    ignore(layout.START, present=True)
    try:
        commands.dvc("add", layout.START)
    except BaseException:
        if not Path(layout.START_DVC).is_file():
            take_out()
        raise
    commands.git("add", "--", layout.START_DVC, ".gitignore")
    return int(card["round"])


def take_out() -> None:
    """The folder as `al init` makes it, in Git. Safe to kill and to run again."""
    commands.require_git()
    for path in (layout.START_WEIGHTS, layout.START_CARD):
        Path(path).unlink(missing_ok=True)
    store.write_bytes(_README, template.note(layout.START).encode())
    ignore(layout.START, present=False)
    commands.git("add", "--", _README, ".gitignore")
    Path(layout.START_DVC).unlink(missing_ok=True)
    commands.git("rm", "--quiet", "--cached", "--ignore-unmatch", "--", layout.START_DVC)


def _require_dependency() -> None:
    stages = read_dvc(store.read_bytes(layout.DVC_YAML, "run al init"), layout.DVC_YAML).get("stages") or {}
    if layout.START not in stages.get("train", {}).get("deps", []):
        raise CampaignError(
            f"stage train of {layout.DVC_YAML} does not depend on {layout.START}, so DVC would not see the model",
            change=f"add - {layout.START} to its deps",
        )
