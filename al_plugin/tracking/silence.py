"""Whether the campaign's context tags are off. Apart from ``context``, which imports MLflow."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_silent: ContextVar[bool] = ContextVar("al_plugin_context_silent", default=False)


def is_silent() -> bool:
    """Whether a ``silenced`` block is running."""
    return _silent.get()


@contextmanager
def silenced() -> Iterator[None]:
    """No context tags while the block runs: ``tell`` says itself which round it speaks of."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)
