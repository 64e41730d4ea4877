"""The form of every artefact, as ``name/number``: what this version writes, and the newest that it reads."""

from al_plugin.errors import DataError

# A number goes up when an older version could not read, or would misread, what is written.
_NEWEST = {
    "answers": 1,
    "asked": 1,
    "card": 1,
    "checkpoint": 1,
    "eval_copies": 1,
    "forgetting": 1,
    "form": 1,
    "label_metrics": 1,
    "labeled": 1,
    "manifest": 1,
    "pool": 1,
    "pool_dynamics": 1,
    "quarantine": 1,
    "query": 1,
    "score_metrics": 1,
    "scores": 1,
    "select_metrics": 1,
    "simulated_run": 1,
    "simulation": 1,
    "train_metrics": 1,
    "validation": 1,
    "verdict": 1,
    "votes": 1,
    "weights": 1,
}


def schema(name: str) -> str:
    """What an artefact of this version says that it is."""
    return f"{name}/{_NEWEST[name]}"


def refuse_newer(said: object, where: str) -> None:
    """DataError where an artefact says that it has a newer form than this version reads.

    Anything else passes: what says nothing is of the first form, and whoever reads it checks it.
    """
    name, _, number = said.partition("/") if isinstance(said, str) else ("", "", "")
    newest = _NEWEST.get(name)
    # Longer numbers than Python turns into one are newer, too.
    if newest is not None and number.isascii() and number.isdigit() and int(number[:9]) > newest:
        raise DataError(
            f"{where} was written by a newer al_plugin ({said}), this one reads up to {schema(name)}",
            change="upgrade: pip install --upgrade al-plugin",
        )
