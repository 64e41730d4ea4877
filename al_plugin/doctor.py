"""Look over a campaign for what would go wrong, changing nothing."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from al_plugin import campaign, commands, layout, ledger, repair, store, template
from al_plugin.config import check_version
from al_plugin.data.expectations import read_suite
from al_plugin.documents import read_dvc
from al_plugin.errors import AlError
from al_plugin.repair import locks
from al_plugin.stage import load_params

_PACKAGES = ("dvc", "mlflow", "torch", "pandas", "great-expectations")
_STAGES = ("merge-labels", "train", "score", "select", "track")


@dataclass(frozen=True)
class Finding:
    """One thing looked at: ``ok``, ``warning`` or ``wrong``, and one line about it."""

    level: str
    text: str


def examine() -> Iterator[Finding]:
    """Findings, one after the other; a wrong one does not stop the rest."""
    yield from _versions()
    yield from _try("Git", lambda: f"work tree {commands.require_git()}")
    yield from _try("DVC", _dvc)
    yield from _try("params.yaml", _params)
    yield from _try("dvc.yaml", _pipeline)
    yield from _try("expectations", _suite)
    yield from _try("label rounds", _rounds)
    yield from _try("pool", lambda: f"{len(campaign.read_pool(load_params()))} samples")
    yield from _ignore_files()
    yield from _queries()
    yield from _broken()
    yield from _remote()


def _versions() -> Iterator[Finding]:
    for name in _PACKAGES:
        try:
            yield Finding("ok", f"{name} {version(name)}")
        except PackageNotFoundError:
            yield Finding("wrong", f"{name} is not installed; pip install al-plugin brings it")
    if sys.platform == "win32":
        yield Finding("warning", "stages use POSIX file locks: run them under WSL")
    if os.environ.get("MLFLOW_TRACKING_URI"):
        yield Finding("ok", "MLFLOW_TRACKING_URI is set")


def _dvc() -> str:
    commands.require_dvc()
    return "repository found"


def _params() -> str:
    params = load_params()
    check_version(params)
    return f"campaign {params.campaign.name}, recipe {params.campaign.recipe}, {len(params.campaign.classes)} classes"


def _pipeline() -> str:
    document = read_dvc(store.read_bytes(layout.DVC_YAML, "write one with `al init`"), layout.DVC_YAML)
    lacking = [stage for stage in _STAGES if stage not in (document.get("stages") or {})]
    if lacking:
        raise AlError(f"dvc.yaml lacks the stages {', '.join(lacking)}", change="take them from a fresh `al init`")
    return f"stages {', '.join(document['stages'])}"


def _suite() -> str:
    suite = read_suite(store.read_bytes(layout.SUITE, "take it from `al init`"), layout.SUITE)
    return f"{len(suite['expectations'])} expectations"


def _rounds() -> str:
    rounds = ledger.read_rounds()
    where = "under DVC" if ledger.labels_in_dvc() else "in Git"
    return f"{len(rounds)} rounds {where}, {sum(len(r.files) for r in rounds)} batches, all as filed"


def _try(what: str, look: Callable[[], str]) -> Iterator[Finding]:
    try:
        yield Finding("ok", f"{what}: {look()}")
    except AlError as error:
        yield Finding("wrong", f"{what}: {error}")


def _ignore_files() -> Iterator[Finding]:
    for path, lines in template.ignore_lines().items():
        have = Path(path).read_text(encoding="utf-8").splitlines() if Path(path).is_file() else []
        lacking = [line for line in lines if line not in have and not (line.endswith("-text") and "* -text" in have)]
        if lacking:
            yield Finding("warning", f"{path} lacks {', '.join(lacking[:4])}: outputs or hashes may go astray")
        else:
            yield Finding("ok", path)


def _queries() -> Iterator[Finding]:
    number = ledger.round_count()
    filed = ledger.filed_queries(number + 1)
    if filed:
        yield Finding("ok", f"query {number + 1} is open")
    if len(filed) > 1:
        yield Finding("warning", f"{len(filed)} different queries are open for round {number + 1}: asked as one")


def _broken() -> Iterator[Finding]:
    """What a kill left behind; while DVC is writing, nothing was killed."""
    with locks.dvc_at_rest() as at_rest:
        found = list(repair.faults()) if at_rest else []
    for fault in found:
        yield Finding("wrong", f"{fault.text}; run `al repair`" if fault.mend else fault.text)
    if not found:
        yield Finding("ok", "nothing to repair" if at_rest else "DVC is at work")


def _remote() -> Iterator[Finding]:
    try:
        remotes = commands.dvc("remote", "list")
    except AlError as error:
        yield Finding("wrong", f"DVC remote: {error}")
        return
    if remotes:
        yield Finding("ok", "DVC remote configured")
    else:
        yield Finding("warning", "no DVC remote: data and models exist on this machine only (dvc remote add -d ...)")
