"""What of torch and the processor decides the last bits of a sum."""

import re
from typing import Any

import torch

from al_plugin.models.fabric import best_device

# Of the build: what computes. Compiler flags and paths are of no use to a reader.
_SETTINGS = ("BLAS_INFO", "LAPACK_INFO", "USE_MKL", "USE_MKLDNN", "USE_OPENMP", "USE_CUDA", "USE_ROCM")
_LIBRARIES = ("Intel(R) oneAPI Math Kernel Library", "Intel(R) MKL-DNN", "OpenMP", "GCC", "clang")


def torch_build() -> dict[str, Any]:
    """Version, commit and libraries of torch, the vector instructions that it uses here, its threads."""
    said = torch.__config__.show()
    lines = [line.strip().removeprefix("- ") for line in said.splitlines()]
    settings = dict(part.split("=", 1) for part in re.split(r", |: ", said) if "=" in part)
    return {
        "version": str(torch.__version__),
        "commit": torch.version.git_version,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "libraries": [line for line in lines if line.startswith(_LIBRARIES)],
        "settings": {name: settings[name] for name in _SETTINGS if name in settings},
    }


def device_name(asked: str) -> str:
    """The device that ``train.device`` means here: ``cpu``, ``mps``, or ``cuda`` with the card's name."""
    found = best_device() if asked == "auto" else asked
    if found == "cuda" and torch.cuda.is_available():
        return f"cuda {torch.version.cuda} on {torch.cuda.get_device_name()}"
    return found
