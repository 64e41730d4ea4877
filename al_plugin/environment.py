"""The environment that a round was computed in: versions, torch build, threads, device, processor."""

import hashlib
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

import al_plugin

SCHEMA = "environment/1"
# Whose versions change results or bytes; the others are told last.
_MATTER = (
    *("torch", "numpy", "scipy", "pandas", "pyarrow", "scikit-learn", "safetensors", "great-expectations"),
    *("al-plugin", "lightning-fabric", "lightning", "timm", "transformers", "sentence-transformers", "pillow"),
    *("dvc", "mlflow"),
)

Environment = Mapping[str, Any]


def environment(device: str) -> dict[str, Any]:
    """What this process computes with; ``device`` is what train.device asks for.

    A pure function of the installation and the machine: no time, path, user or host name. ``torch``
    is None in a process that has not loaded it, as in a round without labels.
    """
    build: dict[str, Any] | None = None
    if "torch" in sys.modules:
        from al_plugin.models.build import device_name, torch_build

        build, device = torch_build(), device_name(device)
    return {
        "schema": SCHEMA,
        "distributions": distributions(),
        "code": code_digest(),
        "torch": build,
        "device": device,
        "cpu": {"model": _cpu_model(), "features": _cpu_features(), "blas": sorted(_blas())},
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": " ".join((platform.system(), platform.machine(), *platform.libc_ver())).strip(),
    }


def distributions() -> dict[str, str]:
    """Version of every installed distribution by its normalised name: the first on the path, as imports find it.

    From the names of the folders: reading each one's metadata takes a tenth of a second.
    """
    found: dict[str, str] = {}
    for entry in sys.path:
        folder = Path(entry)
        names = [path.name for path in folder.glob("*.dist-info")] if folder.is_dir() else []
        for name in sorted(names):
            project, _, version = name.removesuffix(".dist-info").partition("-")
            found.setdefault(re.sub(r"[-_.]+", "-", project).lower(), version)
    return dict(sorted(found.items()))


def code_digest() -> str:
    """SHA-256 over the package's own code: a checkout may have changed without its version."""
    root = Path(al_plugin.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def differences(before: Environment, now: Environment) -> Iterator[str]:
    """What differs, what is likeliest to matter first, one phrase each: what is now, what was recorded."""
    old, new = before.get("distributions", {}), now.get("distributions", {})
    others = sorted((old.keys() | new.keys()) - set(_MATTER))
    yield from _versions(old, new, _MATTER)
    if before.get("code") != now.get("code"):
        yield "code of al-plugin: another than recorded, under the same version"
    build, built = before.get("torch"), now.get("torch")
    if build and built:
        yield from _fields("torch build", build, built, ("commit", "settings", "libraries", "version"))
        yield from _fields("thread count", build, built, ("threads",))
    yield from _fields("device", before, now, ("device",))
    if build and built:
        yield from _fields("CPU features", build, built, ("capability",))
    yield from _fields("CPU", before.get("cpu", {}), now.get("cpu", {}), ("features", "blas", "model"))
    yield from _fields("", before, now, ("python", "platform"))
    yield from _versions(old, new, others)


def _versions(old: Mapping[str, str], new: Mapping[str, str], names: tuple[str, ...] | list[str]) -> Iterator[str]:
    for name in names:
        if old.get(name) != new.get(name):
            yield f"library {name}: {new.get(name, 'not installed')}, recorded {old.get(name, 'not installed')}"


def _fields(what: str, old: Mapping[str, Any], new: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        was, here = old.get(name), new.get(name)
        if was == here:
            continue
        head = name if not what else what if len(names) == 1 else f"{what}: {name}"
        if isinstance(was, list) and isinstance(here, list):
            more, less = sorted(set(here) - set(was)), sorted(set(was) - set(here))
            yield f"{head}: {', '.join(more) or 'none'} here and not recorded, {', '.join(less) or 'none'} the reverse"
        else:
            yield f"{head}: {here}, recorded {was}"


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(errors="replace").splitlines() if info.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


def _cpu_features() -> list[str]:
    """Those that NumPy chooses its loops by."""
    module = getattr(getattr(np, "_core", None), "_multiarray_umath", None)
    return sorted(name for name, has in getattr(module, "__cpu_features__", {}).items() if has)


def _blas() -> Iterator[str]:
    """Libraries of matrix products that are loaded, with the kernels they chose."""
    for library in threadpool_info():
        if library["user_api"] == "blas":
            chosen = library.get("architecture") or ""
            yield f"{library['internal_api']} {library['version']} {chosen}".strip()
