"""Which device, precision and number of processes ``train`` asks for, and Lightning Fabric set up for them."""

import logging
import os
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import torch

from al_plugin.errors import ParamsError
from al_plugin.models.device import Here, OnDevice, Several
from al_plugin.models.task import Options

# Device, precision and devices of the bare loop.
PLAIN = ("cpu", "32", 1)
_FABRIC_PRECISION = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


def check(device: str, precision: str, devices: int) -> None:
    """ParamsError in one line where this machine has not what is asked for; before anything is computed."""
    found = found_device(device)
    _check_precision(found, precision)
    available = {"cpu": os.cpu_count() or 1, "cuda": torch.cuda.device_count(), "mps": 1}[found]
    if devices > available:
        raise ParamsError(
            f"params.yaml sets train.devices to {devices}, and this machine has {available} ({found})",
            change=f"set it to {available}" + (" or less" if available > 1 else ""),
        )
    if (found, precision, devices) != PLAIN and find_spec("lightning_fabric") is None:
        asked = zip(("device", "precision", "devices"), (device, precision, devices), PLAIN, strict=True)
        names = " and ".join(f"train.{name} {value}" for name, value, default in asked if value != default)
        raise ParamsError(
            f"{names}: this needs lightning-fabric, which is not installed", change="pip install 'al-plugin[devices]'"
        )


def best_device() -> str:
    """What ``auto`` means here: cuda, else mps, else cpu."""
    return _there()[0]


def _there() -> list[str]:
    """The kinds of devices that torch finds, the fastest first."""
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    return [name for name, is_there in found.items() if is_there]


def found_device(asked: str) -> str:
    """The device that is meant: ``auto`` is cuda, else mps, else cpu; ParamsError where it is not there."""
    if asked == "cpu":
        return asked
    there = _there()
    best = there[0]
    if asked != "auto" and asked not in there:
        raise ParamsError(
            f"params.yaml sets train.device to {asked}, and torch {torch.__version__} finds only {best} here",
            change=f"set it to auto or {best}, or install a driver and a torch for {asked}",
        )
    return best if asked == "auto" else asked


def machine(options: Options) -> Here:
    """What ``fit`` computes on; with several processes the first call starts the others."""
    asked = (options.device, options.precision, options.devices)
    if asked == PLAIN:
        return Here()
    check(*asked)
    found = (found_device(options.device), options.precision, options.devices)
    return Here() if found == PLAIN else _machine(*found)


def _check_precision(device: str, precision: str) -> None:
    where = {"32": ("cpu", "cuda", "mps"), "bf16": ("cpu", "cuda"), "16": ("cuda",)}[precision]
    if device not in where:
        raise ParamsError(
            f"params.yaml sets train.precision to {precision}, and training is on {device}",
            change=f"it works on {' and '.join(where)}; set it to {'bf16 or 32' if device == 'cpu' else '32'}",
        )
    if device == "cuda" and precision == "bf16" and not torch.cuda.is_bf16_supported():
        raise ParamsError(
            f"params.yaml sets train.precision to bf16, which {torch.cuda.get_device_name()} does not compute",
            change="set it to 16 or 32",
        )


@lru_cache(maxsize=4)
def _machine(device: str, precision: str, devices: int) -> OnDevice:
    # cuBLAS is repeatable only with a workspace of its own, set before the device is first used.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import LightningEnvironment

    # Importing it sets its level; what it says of devices and processes is no matter of the stage's.
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)

    settings: dict[str, Any] = {"accelerator": device, "devices": devices, "precision": _FABRIC_PRECISION[precision]}
    if devices == 1:
        return OnDevice(Fabric(**settings, plugins=[LightningEnvironment()]))
    from al_plugin.models.processes import others

    with others(devices):
        fabric = Fabric(**settings, strategy="ddp", plugins=[LightningEnvironment()])
        fabric.launch()
    return Several(fabric)
