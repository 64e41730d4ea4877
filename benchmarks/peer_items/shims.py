"""Import other active-learning libraries where they do not import on numpy 2 or Python 3.11 by themselves.

Each function returns modules or functions of one library and raises ImportError where it is not installed.
"""

import collections
import collections.abc
import importlib
import importlib.util
import os
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

os.environ.setdefault("TQDM_DISABLE", "1")  # progress bars

# Name in messages -> module that shows whether it is installed.
MODULES = {
    "scikit-activeml": "skactiveml",
    "small-text": "small_text",
    "cleanlab": "cleanlab",
    "baal": "baal",
    "modAL": "modAL",
    "alipy": "alipy",
    "pyrelational": "pyrelational",
    "batchbald_redux": "batchbald_redux",
    "apricot": "apricot",
    "faiss": "faiss",
}


def installed(name: str) -> bool:
    """Whether a library of ``MODULES`` is there; nothing is imported."""
    return importlib.util.find_spec(MODULES[name]) is not None


def load(module: str) -> ModuleType:
    """A module of a peer, without the warnings of its import."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(module)


def alipy() -> ModuleType:
    """alipy 1.2.5 asks for collections.Iterable, which Python 3.10 removed, when its strategies run."""
    setattr(collections, "Iterable", collections.abc.Iterable)  # noqa: B010 - unknown to type checkers
    return load("alipy.query_strategy")


def pyrelational() -> ModuleType:
    """The scores of pyrelational 1.0.2; the package itself asks for np.float_, which numpy 2 removed."""
    spec = importlib.util.find_spec("pyrelational")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'pyrelational'")
    path = Path(spec.origin).parent / "informativeness" / "classification.py"
    found = importlib.util.spec_from_file_location("pyrelational_classification", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


class Posterior:
    """A fitted classifier that returns what it was given: rows of ``probs`` by the id in column 0 of X."""

    def __init__(self, probs: np.ndarray) -> None:
        self.probs = probs

    def predict_proba(self, ids: Any, **_: Any) -> np.ndarray:
        """Probabilities of the ids; a copy, since some libraries write to what they get."""
        return self.probs[np.asarray(ids).reshape(len(ids), -1)[:, 0].astype(int)].copy()


def skactiveml_classifier(probs: np.ndarray, *extra: np.ndarray) -> Any:
    """A scikit-activeml classifier for X of ids: ``predict_proba`` gives rows of probs and of ``extra``."""
    base = load("skactiveml.base").SkactivemlClassifier

    class Given(base):  # type: ignore[misc, valid-type]
        def __init__(self, classes: Any = None, missing_label: float = np.nan) -> None:
            super().__init__(classes=classes, missing_label=missing_label)

        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:  # noqa: ARG002, N803
            return self

        def predict_proba(self, X: Any, **_: Any) -> Any:  # noqa: N803
            ids = np.asarray(X).reshape(len(X), -1)[:, 0].astype(int)
            rows = (probs[ids].copy(), *(values[ids].copy() for values in extra))
            return rows if extra else rows[0]

    return Given(classes=list(range(probs.shape[1])))
