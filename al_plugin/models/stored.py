"""A fitted estimator as bytes and back: skops' format in one canonical form, never a pickle.

skops names nodes and files by memory address or at random. Here the numbers of nodes are left out,
files are named by their content, sets are sorted and the archive has no times: the same fit gives
the same bytes in any process.

Loading runs no code but that of types trusted by name. What skops cannot see is whether the numbers in
a tree are sound: a forged file may crash the process. The weights' hash in dvc.lock guards against that.
"""

import io
import json
import sys
from functools import lru_cache
from hashlib import blake2b
from types import FunctionType
from typing import Any
from zipfile import ZipFile, ZipInfo

from al_plugin.bounds import room
from al_plugin.errors import StrategyError

_SCHEMA = "schema.json"
# Where scikit-learn keeps the insides of fitted estimators that skops leaves to its user to trust.
_INSIDES = frozenset(
    {
        "sklearn.tree._tree",
        "sklearn.ensemble._hist_gradient_boosting.predictor",
        "sklearn.calibration",
        "sklearn.metrics._dist_metrics",
        "sklearn.neighbors._kd_tree",
        "sklearn.neighbors._ball_tree",
    }
)


def stored(estimator: Any, path: str, made: Any) -> bytes:
    """The fitted estimator in canonical form; StrategyError if it could not be loaded again.

    ``made`` is an unfitted estimator of the same ``path``, which says what may be loaded.
    """
    skops = _skops()
    try:
        content = canonical(skops.dumps(estimator))
    except Exception as error:  # skops raises what the attribute's own code raises
        raise StrategyError(
            f"the estimator {path} cannot be stored without pickle ({error})",
            change="keep numbers, arrays, lists, dicts and estimators in its attributes",
        ) from error
    _trusted(content, path, made)
    return content


def restored(content: bytes, path: str, made: Any) -> Any:
    """The estimator; StrategyError where it holds a type that neither skops nor the user's naming it trusts."""
    trusted = tuple(_trusted(content, path, made))
    try:
        return _loaded(content, trusted)
    except Exception as error:  # what a forged tree of numbers leads its types to
        raise StrategyError(
            f"the weights of estimator {path} cannot be loaded ({error})", change="run dvc repro"
        ) from error


@lru_cache(maxsize=2)
def _loaded(content: bytes, trusted: tuple[str, ...]) -> Any:
    return _skops().loads(content, trusted=list(trusted))


def canonical(content: bytes) -> bytes:
    """The same archive whatever process wrote it."""
    with ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    tree = json.loads(files.pop(_SCHEMA))
    names = {name: _by_content(name, file) for name, file in files.items()}
    kept = {names[name]: file for name, file in files.items()}
    kept[_SCHEMA] = json.dumps(_renamed(tree, names), separators=(",", ":")).encode()
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        for name in sorted(kept):
            entry = ZipInfo(name)  # 1980-01-01
            entry.create_system = 3
            archive.writestr(entry, kept[name])
    return buffer.getvalue()


def _by_content(name: str, file: bytes) -> str:
    return f"{blake2b(file, digest_size=16).hexdigest()}.{name.rpartition('.')[2]}"


def _renamed(node: Any, names: dict[str, str]) -> Any:
    if isinstance(node, list):
        return [_renamed(one, names) for one in node]
    if not isinstance(node, dict):
        return node
    found = {
        key: names.get(value, value) if key == "file" and isinstance(value, str) else _renamed(value, names)
        for key, value in node.items()
        if key != "__id__"
    }
    if found.get("__loader__") == "SetNode":
        found["content"] = sorted(found["content"], key=json.dumps)
    return found


def _trusted(content: bytes, path: str, made: Any) -> list[str]:
    """Names of the types in it beyond skops' own list that may be loaded, or StrategyError."""
    try:
        _refuse_bomb(content)
        asked = _skops().get_untrusted_types(data=content)
    # A forged tree of types leads skops wherever it leads; nothing of it has run yet.
    except Exception as error:
        raise StrategyError(
            f"the weights of estimator {path} are not in skops' format ({error})", change="run dvc repro"
        ) from error
    parts = [one for one in (made, *made.get_params(deep=True).values()) if hasattr(one, "get_params")]
    packages = {_package(type(one).__module__) for one in parts}
    refused = [name for name in asked if not _own(name, path.partition(":")[0], packages)]
    if refused:
        raise StrategyError(
            f"the estimator {path} holds {', '.join(sorted(refused))}, which is not trusted to be loaded",
            change=f"only scikit-learn's types and classes of {', '.join(sorted(packages))} are",
        )
    return list(asked)


def _refuse_bomb(content: bytes) -> None:
    """ValueError where the archive unpacks to more than its ``room``; zipfile unpacks no more than is declared."""
    with ZipFile(io.BytesIO(content)) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > room(len(content)):
        raise ValueError(f"it unpacks to {unpacked:,} bytes")


def _own(name: str, module: str, packages: set[str]) -> bool:
    """Whether it is a class defined in one of the packages, or a function defined in the named module."""
    home, _, attribute = name.rpartition(".")
    inside = home in _INSIDES or any(f"{home}.".startswith(f"{package}.") for package in (*packages, module))
    if not inside:
        return False
    # Looked up, never imported: what the estimator is made of is loaded already.
    found = getattr(sys.modules.get(home), attribute, None)
    # A name that the module merely imports, such as subprocess.Popen, is not its own.
    defined = getattr(found, "__module__", None) == home
    return defined and (isinstance(found, type) or (isinstance(found, FunctionType) and home == module))


def _package(module: str) -> str:
    return module.rpartition(".")[0] or module


def _skops() -> Any:
    try:
        import skops.io
    except ImportError as error:
        raise StrategyError(
            "train.strategy estimator needs skops, which is not installed",
            change="pip install 'al-plugin[estimators]'",
        ) from error
    return skops.io
