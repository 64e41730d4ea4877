"""What encoders of all libraries have in common: how they run, and what of a model may be loaded."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from al_plugin.errors import StrategyError

_PICKLED = (".bin", ".ckpt", ".pkl", ".pickle", ".pt", ".pth")


@contextmanager
def frozen(threads: int) -> Iterator[None]:
    """No gradients, ``threads`` threads, and torch's generator as it was: a model may draw while it loads."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        with threadpool_limits(threads), torch.random.fork_rng(devices=[]), torch.inference_mode():
            torch.manual_seed(0)
            yield
    finally:
        torch.set_num_threads(before)


def versions(*packages: str, extra: str, name: str) -> str:
    """``timm 1.0.31, torch 2.13.0``, or StrategyError naming the extra that brings what is missing."""
    try:
        return ", ".join(f"{package} {version(package)}" for package in packages)
    except PackageNotFoundError as error:
        raise StrategyError(
            f"encoder {name} needs {error.name}, which is not installed", change=f"pip install 'al-plugin[{extra}]'"
        ) from error


@contextmanager
def loading(name: str, extra: str) -> Iterator[None]:
    """What a library says when it cannot be imported, or has no such model, as a StrategyError of one line."""
    try:
        yield
    except ImportError as error:
        raise _refused(name, error, f"pip install 'al-plugin[{extra}]'") from error
    except (OSError, RuntimeError, ValueError) as error:
        change = "check the name; the first use needs the network, or name a local folder"
        if "torchvision::" in str(error.__cause__ or error):
            change = "install a torchvision of the same build (CPU or CUDA) as torch"
        raise _refused(name, error, change) from error


def _refused(name: str, error: Exception, change: str) -> StrategyError:
    text = " ".join(str(error.__cause__ or error).split())
    return StrategyError(f"encoder {name} cannot be loaded ({text})", change=change)


def content_of(folder: Path) -> str:
    """Hash of all files of a local model by name and content."""
    found = blake2b(digest_size=16)
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        content = blake2b(path.read_bytes()).digest()
        found.update(f"{path.relative_to(folder).as_posix()}\0".encode() + content)
    return found.hexdigest()


def refuse_pickles(folder: Path, name: str) -> None:
    """StrategyError if weights lie in the folder as a pickle and not as safetensors beside it."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in _PICKLED and not any(path.parent.glob("*.safetensors")):
            raise StrategyError(
                f"encoder {name}: {path.name} is a pickle, which could run code when loaded",
                change="save the model as safetensors",
            )
