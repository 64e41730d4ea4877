"""dvc.lock, *.dvc files and .dvc/config. DVC writes them in place, so a kill can leave them empty or cut off."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from al_plugin import commands, dvc_config, layout, store
from al_plugin.documents import conflict_in, read_yaml
from al_plugin.errors import AlError
from al_plugin.repair.fault import Fault, set_aside

_ENTRIES = ("deps", "outs")


def torn() -> Iterator[Fault]:
    """Faults of the files that tell DVC what belongs to this state of the campaign."""
    for path in (Path(layout.DVC_LOCK), *sorted(Path("data").glob("*.dvc")), *sorted(Path().glob("*.dvc"))):
        if not path.is_file():
            continue
        content = path.read_bytes()
        if conflict_in(content) is not None:
            yield Fault(f"{path} holds a merge conflict: take either side (git checkout --ours {path}), then dvc repro")
        elif not whole(content, path):
            yield Fault(f"{path} was cut off while it was written", partial(_restore, path))
    yield from _config()


def whole(content: bytes, path: Path) -> bool:
    """Whether DVC can read the file and it ends as DVC ends it, with a line break."""
    if not content.endswith(b"\n"):
        return False
    try:
        document = read_yaml(content, str(path))
    except (AlError, ValueError):
        return False
    return _is_lock(document) if path.name == layout.DVC_LOCK else _has_entries(document, ("outs",))


def _restore(path: Path) -> str:
    """The file as it was committed; without one DVC makes it anew."""
    aside = set_aside(path)
    committed = commands.git_bytes("show", f"HEAD:./{path.as_posix()}")
    if committed is None or not whole(committed, path):
        again = "dvc repro writes it anew" if path.name == layout.DVC_LOCK else f"run dvc add {path.with_suffix('')}"
        return f"{path} was cut off: set aside as {aside}; {again}"
    store.write_bytes(path, committed)
    again = "dvc repro takes it from there" if path.name == layout.DVC_LOCK else f"run dvc add {path.with_suffix('')}"
    return f"{path} was cut off: set aside as {aside}, restored from the last commit; {again}"


def _config() -> Iterator[Fault]:
    """What people write by hand too is left to them: nothing tells a slip of the pen from a kill."""
    path = Path(".dvc", "config")
    if not path.is_file():
        return
    try:
        dvc_config.read(path.parent)
    except AlError as error:
        yield Fault(str(error))
        return
    if not path.read_bytes().strip() and (commands.git_bytes("show", f"HEAD:./{path.as_posix()}") or b"").strip():
        yield Fault(f"{path} is empty, and was not when it was committed: git checkout {path}, or commit it so")


def _is_lock(document: Any) -> bool:
    if not isinstance(document, dict) or document.get("schema") != "2.0":
        return False
    stages = document.get("stages", {})
    return isinstance(stages, dict) and all(
        isinstance(stage, dict) and "cmd" in stage and _has_entries({key: stage.get(key, []) for key in _ENTRIES})
        for stage in stages.values()
    )


def _has_entries(document: Any, sections: tuple[str, ...] = _ENTRIES) -> bool:
    return isinstance(document, dict) and all(
        isinstance(document.get(section), list)
        and all(isinstance(entry, dict) and isinstance(entry.get("path"), str) for entry in document[section])
        for section in sections
    )
