"""What a kept campaign is made of beside its files."""

import platform as machine
from importlib.metadata import version

# Kept without the dot: inside this repository they would rule it.
DOTTED = ("gitignore", "gitattributes", "dvcignore")
# What the last bits of a round depend on beside its inputs.
PACKAGES = ("great-expectations", "numpy", "pandas", "pyarrow", "safetensors", "scikit-learn", "scipy", "torch")


def platform() -> dict[str, str]:
    """Versions, processor family and the instructions that torch's sums use."""
    import torch

    words = {name: version(name) for name in PACKAGES}
    return words | {"machine": machine.machine(), "instructions": torch.backends.cpu.get_cpu_capability()}
