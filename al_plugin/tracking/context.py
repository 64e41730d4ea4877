"""What every MLflow run started in a campaign is tagged with, also one that the user starts.

An entry point of MLflow's (``mlflow.run_context_provider``), loaded while MLflow is imported.
"""

import hashlib
import os
import re
from pathlib import Path

from mlflow.tracking.context.abstract_context import RunContextProvider

from al_plugin import layout
from al_plugin.tracking.silence import is_silent

_CAMPAIGN = re.compile(rb"^campaign\s*:", re.MULTILINE)


class CampaignContext(RunContextProvider):
    """Campaign, round and DVC hashes of the folder that a run is started in. Never raises."""

    def in_context(self) -> bool:
        """Whether the working folder lies in a campaign."""
        try:
            return not is_silent() and campaign_root(Path.cwd()) is not None
        except OSError:
            return False

    def tags(self) -> dict[str, str]:
        """What can be read of the campaign, by tag."""
        try:
            root = campaign_root(Path.cwd())
            return {} if root is None else _tags(root)
        except Exception:  # noqa: BLE001  (a tag is not worth anyone's run)
            return {}


def campaign_root(folder: Path) -> Path | None:
    """The nearest folder, ``folder`` or above it, with a dvc.yaml and a params.yaml that names a campaign."""
    for candidate in (folder, *folder.parents):
        params = candidate / layout.PARAMS
        if params.is_file() and (candidate / layout.DVC_YAML).is_file() and _CAMPAIGN.search(params.read_bytes()):
            return candidate
    return None


def _tags(root: Path) -> dict[str, str]:
    from al_plugin.documents import read_yaml
    from al_plugin.tracking.digests import read_lock

    folder = root / layout.MANIFESTS
    rounds = layout.rounds_in(path.relative_to(folder).as_posix() for path in folder.glob("round_*/*"))
    tags = {"al.round": str(len(rounds))}
    campaign = read_yaml((root / layout.PARAMS).read_bytes(), layout.PARAMS)["campaign"]
    if isinstance(campaign, dict) and "name" in campaign:
        tags["al.campaign"] = str(campaign["name"])
    lock = root / layout.DVC_LOCK
    if lock.is_file():
        tags["dvc.lock_md5"] = hashlib.md5(lock.read_bytes(), usedforsecurity=False).hexdigest()
        entries = read_lock(root)
        for tag, path in (("dvc.labels", layout.LABELED), ("dvc.model", layout.WEIGHTS)):
            if path in entries:
                tags[tag] = entries[path].md5
    for tag, variable in (("dvc.stage", "DVC_STAGE"), ("dvc.exp_name", "DVC_EXP_NAME")):
        if os.environ.get(variable):
            tags[tag] = os.environ[variable]
    return tags
