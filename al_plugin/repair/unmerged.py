"""Label batches that DVC takes for merged and that are not."""

from collections.abc import Iterable, Iterator

from al_plugin import history, layout, store
from al_plugin.data.label_round import LabelRound
from al_plugin.errors import AlError
from al_plugin.repair.fault import Fault


def pinned(rounds: Iterable[LabelRound]) -> Iterator[Fault]:
    """dvc.lock names the label batches that are here, and merge-labels counted fewer answers than they hold.

    DVC hashes what a stage read when it is through with it. A batch that was filed in the instant in which it
    brought the stage's outputs from its run-cache is pinned with them, and `dvc repro` sees nothing to do.
    """
    try:
        if history.pinned_manifests() != history.present_manifests():
            return  # dvc repro will merge them
        merged = store.read_json(layout.VALIDATION, "run dvc repro").get("answers")
    except AlError:
        return  # what cannot be read is told by those who need it
    held = sum(len(file.answers) for one in rounds for file in one.files)
    if isinstance(merged, int) and held > merged:
        yield Fault(
            f"{held - merged} answers are filed that merge-labels never saw, and dvc.lock pins them as merged: "
            "dvc repro --force --single-item merge-labels, then dvc repro"
        )
