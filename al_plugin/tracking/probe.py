"""Is the tracking server there? Asked before MLflow is, whose own patience is four minutes."""

import ssl
import threading
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

TIMEOUT_S = 3.0


def trouble(uri: str, timeout_s: float = TIMEOUT_S) -> str:
    """Why the server at ``uri`` does not answer within ``timeout_s``, or "" if it does.

    Any answer but a server error counts: hosted servers may guard /health or not have it.
    """
    found: list[str] = []
    # A thread, because looking up a name has no timeout of its own.
    asking = threading.Thread(target=lambda: found.append(_ask(uri, timeout_s)), daemon=True)
    asking.start()
    asking.join(timeout_s)
    return found[0] if found else _silence(timeout_s)


def _ask(uri: str, timeout_s: float) -> str:
    try:
        request = Request(f"{uri.rstrip('/')}/health", headers={"User-Agent": "al-plugin"})  # noqa: S310
        with urlopen(request, timeout=timeout_s):  # noqa: S310  (the caller asks for http and https alone)
            return ""
    except HTTPError as error:
        return f"it answers with status {error.code}" if error.code >= 500 else ""
    except URLError as error:
        # A certificate this process does not trust may be one that MLflow was told to trust.
        if isinstance(error.reason, TimeoutError):
            return _silence(timeout_s)
        return "" if isinstance(error.reason, ssl.SSLError) else _words(error.reason)
    except TimeoutError:
        return _silence(timeout_s)
    except (OSError, HTTPException, ValueError) as error:
        return _words(error)


def _silence(timeout_s: float) -> str:
    """The same words whichever clock ran out first, the socket's or that of the thread."""
    return f"no answer within {timeout_s:g} s"


def _words(reason: object) -> str:
    return str(getattr(reason, "strerror", None) or reason or type(reason).__name__)
