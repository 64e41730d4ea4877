"""Label batches that DVC takes for merged and that are not."""

import json
from collections.abc import Iterator
from pathlib import Path

from al_plugin import history, layout, ledger
from al_plugin.errors import AlError
from al_plugin.repair.fault import Fault


def pinned() -> Iterator[Fault]:
    """dvc.lock names the label batches that are here, and merge-labels counted fewer answers than they hold.

    DVC hashes what a stage read when it is through with it. A batch that was filed in the instant in which it
    brought the stage's outputs from its run-cache is pinned with them, and `dvc repro` sees nothing to do.
    """
    try:
        if history.pinned_manifests() != history.present_manifests():
            return  # dvc repro will merge them
        merged = json.loads(Path(layout.VALIDATION).read_bytes())["answers"]
        held = sum(len(file.answers) for one in ledger.read_rounds() for file in one.files)
    except (AlError, OSError, ValueError, KeyError, TypeError):
        return  # what cannot be read is told by those who need it
    if held > merged:
        yield Fault(
            f"{held - merged} answers are filed that merge-labels never saw, and dvc.lock pins them as merged: "
            "dvc repro --force --single-item merge-labels, then dvc repro"
        )
