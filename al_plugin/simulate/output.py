"""What a simulation leaves in a folder: simulation.json, curves.csv, curves.svg."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from al_plugin import layout, store
from al_plugin.errors import CampaignError, DataError
from al_plugin.simulate.analysis import SCHEMA
from al_plugin.simulate.data import PREFLIGHT
from al_plugin.simulate.figure import figure
from al_plugin.simulate.results import FOLDER, Finished
from al_plugin.simulate.run import MEASURED

FILES = DOCUMENT, CURVES, FIGURE = "simulation.json", "curves.csv", "curves.svg"
DEFAULT = f"{Path(layout.VALIDATION).parent}/simulation"


def refuse_foreign(folder: Path) -> None:
    """CampaignError where the folder holds something that no simulation wrote."""
    if folder.exists() and not folder.is_dir():
        raise CampaignError(f"{folder} is a file", change="name a folder")
    if folder.is_dir() and any(folder.iterdir()) and _read(folder / DOCUMENT) is None:
        raise CampaignError(
            f"{folder} is not empty and holds no {DOCUMENT} of a simulation", change="name a new folder"
        )


def write(folder: Path, document: Mapping[str, Any], done: Sequence[Finished]) -> None:
    """The three files; and the document once more beside the runs, where `al recommend` looks."""
    store.write_bytes(folder / CURVES, store.csv_text(_columns(done)))
    if document["results"] is None:
        (folder / FIGURE).unlink(missing_ok=True)  # of an earlier simulation
    else:
        store.write_bytes(folder / FIGURE, figure(document["results"], document["question"]["metric"]))
    store.write_json(folder / DOCUMENT, document)
    store.write_json(Path(FOLDER, document["key"], DOCUMENT), document)


def newest_preflight() -> dict[str, Any] | None:
    """The newest simulation of this campaign's own labels, or None."""
    paths = sorted(Path(FOLDER).glob(f"*/{DOCUMENT}"), key=lambda path: (path.stat().st_mtime_ns, str(path)))
    found = [document for document in map(_read, paths) if document is not None]
    own = [one for one in found if one["data"]["source"] == PREFLIGHT and one["results"] is not None]
    return own[-1] if own else None


def _columns(done: Sequence[Finished]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [] for name in ("arm", "seed", "labels", *MEASURED)}
    for one in sorted(done, key=lambda one: (one.arm.name, one.seed)):
        if one.result is not None:
            rows = len(one.result["labels"])
            columns["arm"] += [one.arm.name] * rows
            columns["seed"] += [one.seed] * rows
            for name in ("labels", *MEASURED):
                columns[name] += one.result[name]
    return columns


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = store.read_json(path, "run al simulate")
    except (DataError, json.JSONDecodeError):
        return None
    return found if found.get("schema") == SCHEMA else None
