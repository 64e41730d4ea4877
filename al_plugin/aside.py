"""What stands beside the training of a campaign: its checkpoints, the line on the terminal, the model to start from."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from math import inf
from pathlib import Path

from al_plugin import __version__, layout, ranks, store
from al_plugin.documents import read_dvc
from al_plugin.errors import DataError
from al_plugin.models.task import Start
from al_plugin.rounds.task import Aside
from al_plugin.settings import Train
from al_plugin.terminal import progress_line


def devices_at_hand(train: Train) -> None:
    """An error in one line, before anything is computed, where the devices asked for are not there."""
    if train.needs_fabric():
        # torch takes a second to import, and an empty round needs none of it.
        from al_plugin.models.fabric import check

        check(train.device, train.precision, train.devices)


@contextmanager
def beside_training(every: float) -> Iterator[Aside]:
    """Checkpoints every ``every`` seconds (0: none), removed when the block ends without an error.

    Of several processes all read them, and the first alone writes and removes them.
    """
    folder = Folder(Path(layout.TRAININGS))
    with progress_line("train") as progress:
        yield Aside(folder, every if ranks.is_first() else every and inf, code_digest(), progress)
    if ranks.is_first():
        folder.clear()


def read_start(asked: Mapping[str, float] | None, classes: tuple[str, ...], number: int) -> Start | None:
    """The model that the training of round ``number`` starts from, None where it starts afresh.

    DataError where data/start holds none, one of other classes, or one that is not of an earlier round.
    """
    if asked is None:
        return None
    change = "run al warm-start, or set train.warm_start to null"
    if not Path(layout.START_CARD).is_file() or not Path(layout.START_WEIGHTS).is_file():
        raise DataError(f"train.warm_start is set, and {layout.START} holds no model", change=change)
    card = store.read_json(layout.START_CARD, change)
    if card["classes"] != list(classes):
        raise DataError(
            f"train.warm_start: campaign.classes are {', '.join(classes)}, the model in {layout.START} "
            f"is of {', '.join(card['classes'])}",
            change="set train.warm_start to null",
        )
    if card["round"] >= number:
        raise DataError(
            f"train.warm_start: {layout.START} holds the model of round {card['round']}, and this is round {number}",
            change="file the answers that make a new round first, or al warm-start --off",
        )
    return Start(card["round"], card["network"], store.read_tensors(layout.START_WEIGHTS, change), **asked)


class Folder:
    """Files under ``root``, each replaced in one step; ``clear`` removes the folders of those asked for."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._used: set[Path] = set()

    def read(self, name: str) -> bytes | None:
        """Content of a file, or None where there is none."""
        path = self._path(name)
        return path.read_bytes() if path.is_file() else None

    def write(self, name: str, content: bytes) -> None:
        """Replace a file."""
        store.write_bytes(self._path(name), content)

    def clear(self) -> None:
        """Remove what this training has kept; other, unfinished ones stay."""
        for folder in self._used:
            shutil.rmtree(folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        path = self._root / name
        self._used.add(path.parent)
        return path


def code_digest() -> str:
    """Hash of the code that DVC watches for train, and of the versions of plugin and torch.

    A training that was killed does not go on under other code.
    """
    digest = hashlib.sha256(f"{__version__} {version('torch')}".encode())
    for path in _watched():
        digest.update(path.as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _watched() -> list[Path]:
    path = Path(layout.DVC_YAML)
    if not path.is_file():
        return []
    stages = read_dvc(path.read_bytes(), layout.DVC_YAML).get("stages") or {}
    deps = [Path(dep) for dep in stages.get("train", {}).get("deps", []) if isinstance(dep, str)]
    found = {file for dep in deps for file in (dep.rglob("*.py") if dep.is_dir() else [dep]) if file.suffix == ".py"}
    return sorted(file for file in found if file.is_file())
