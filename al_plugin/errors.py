"""Every error a person can meet.

AlError
├── ParamsError        params.yaml: unknown key, wrong type, impossible value
├── StrategyError      a strategy is unknown, cannot run here, or broke its promise
│   └── SignalError    a signal is missing, has the wrong shape, or is not finite
├── ModelError         a network does not fit the data, or is none
├── DataError          pool, evaluation set or a stage's input is not as promised
├── LabelError         a label batch, a query or a label round is not as promised
├── CampaignError      the repository: no Git, no DVC, not a campaign, files in the way
└── TrackingError      MLflow did not answer and ``tracking.required`` is true

Messages are one line: what was asked, what was found, what to change. What they quote of others
is made printable here, and passwords are taken out, whoever raises them.
"""

from collections.abc import Iterable
from difflib import get_close_matches

from al_plugin.foreign import LONGEST, printable, without_secrets


class AlError(Exception):
    """Base class; the command line and the stages print it as one line and exit with 1."""

    def __init__(self, found: str, *, change: str = "") -> None:
        self.found, self.change = (printable(without_secrets(text), LONGEST) for text in (found, change))
        super().__init__(f"{self.found}; {self.change}" if change else self.found)


class ParamsError(AlError):
    """params.yaml asks for something that does not exist or cannot be."""


class StrategyError(AlError):
    """A strategy is unknown, lacks what it needs, or broke its promise."""


class SignalError(StrategyError):
    """A signal is missing, has the wrong shape, or holds values that are not finite."""


class ModelError(AlError):
    """A network is not one, or does not fit the data."""


class DataError(AlError):
    """The pool, the evaluation set or a stage's input is not as promised."""


class LabelError(AlError):
    """A label batch, a query or a label round is not as promised."""


class CampaignError(AlError):
    """The repository is not ready: no Git, no DVC, no campaign, or files in the way."""


class TrackingError(AlError):
    """MLflow could not be told although ``tracking.required`` is true."""


def near(word: object, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` with the nearest known word, or nothing."""
    close = get_close_matches(str(word)[:100], list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
