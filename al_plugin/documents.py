"""YAML documents: params.yaml, dvc.yaml and dvc.lock. The only door to YAML."""

import re
from typing import Any

import yaml

from al_plugin.errors import ParamsError

# Values of a YAML document, its aliases written out.
_MOST_NODES = 10_000_000
# Bytes of one: reading YAML takes a second for a million.
_MOST_BYTES = 1 << 24


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key twice, reads 1e-3 as a number, as DVC does, and bounds what aliases unfold to."""

    def construct_document(self, node: yaml.Node) -> Any:
        unfolded = _unfolded(node, {})
        if unfolded > _MOST_NODES:
            raise yaml.YAMLError(f"it unfolds to {unfolded:.0e} values, at most {_MOST_NODES:.0e} are read")
        return super().construct_document(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key is no text", key.start_mark)
            if key.value in seen:
                said = f"key {key.value!r} stands twice"
                raise yaml.constructor.ConstructorError(None, None, said, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*)(\.[\d_]*)?[eE][-+]?\d+$|^[-+]?\.\d[\d_]*[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def _unfolded(node: yaml.Node, known: dict[int, float]) -> float:
    """Values that a node and all beneath it stand for; infinite where it holds itself."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = float("inf")  # until it is known it may be within itself
        pairs = isinstance(node, yaml.MappingNode)
        held = [part for pair in node.value for part in pair] if pairs else node.value
        known[id(node)] = 1 + sum(_unfolded(part, known) for part in held)
    return known[id(node)]


def read_yaml(content: bytes, where: str) -> Any:
    """Any YAML document, safely, or ParamsError naming the line."""
    if len(content) > _MOST_BYTES:
        raise ParamsError(f"{where} has {len(content):,} bytes, at most {_MOST_BYTES:,} are read")
    _refuse_conflict(content, where)
    try:
        return yaml.load(content, _Loader)  # noqa: S506  (a SafeLoader)
    except RecursionError:
        raise ParamsError(f"{where} nests too deep") from None
    # What a tag or a resolver makes of a word it does not fit: !!int x, 2001-99-99, a number of 5000 digits.
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise ParamsError(f"{where} holds a value that cannot be read ({error})") from error
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        at = f" line {line + 1}" if line is not None else ""
        raise ParamsError(f"{where}{at} is not YAML ({getattr(error, 'problem', error)})") from error


def conflict_in(content: bytes) -> int | None:
    """Line that starts a conflict of a git merge, or None."""
    return next((at for at, line in enumerate(content.splitlines(), 1) if line.startswith(b"<<<<<<< ")), None)


def _refuse_conflict(content: bytes, where: str) -> None:
    marked = conflict_in(content)
    if marked is not None:
        lock = where.endswith("dvc.lock")
        keep = "git checkout --ours dvc.lock, git add dvc.lock, git commit, then dvc repro"
        raise ParamsError(
            f"{where} line {marked} holds both sides of a git merge",
            change=keep if lock else "keep what is right of each, then git add it",
        )


def read_dvc(content: bytes, where: str) -> dict[str, Any]:
    """A dvc.yaml or dvc.lock, or ParamsError unless its stages hold lists of paths, or of mappings with one.

    In a dvc.lock, which tells a hash of each path, they are mappings.
    """
    document = read_yaml(content, where) or {}
    stages = (document.get("stages") or {}) if isinstance(document, dict) else None
    if not (isinstance(stages, dict) and all(isinstance(stage, dict) for stage in stages.values())):
        raise ParamsError(f"{where} holds no stages as DVC writes them", change="restore it with git checkout")
    bare = not where.endswith("dvc.lock")
    for stage in stages.values():
        for entry in [entry for section in ("deps", "outs") for entry in _listed(stage.get(section, []))]:
            path = entry.get("path", "") if isinstance(entry, dict) else entry if bare else None
            md5 = entry.get("md5", "") if isinstance(entry, dict) else ""
            if not isinstance(path, str) or not isinstance(md5, str):
                raise ParamsError(
                    f"{where} holds {entry!r:.80} in place of a path", change="restore it with git checkout"
                )
    return document


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [None]
