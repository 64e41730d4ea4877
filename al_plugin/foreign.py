"""Text and JSON from people, files and servers: made harmless where they are shown, bounded where they are read."""

import json
import os
import re
import unicodedata
from typing import Any

# Sequences that move a terminal's cursor, colour it, set its title, or open a link in it.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x9b[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[PX\]^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
# Control characters, and format characters, which turn the direction of writing or are not seen.
_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_BREAKS = "\n\r\t\v\f\x1c\x1d\x1e\x85\u2028\u2029"
# What turns the direction of the text around it.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
# Characters of a message in one line.
LONGEST = 2000
# More is cut before it is looked at: a message is for a person.
_LOOKED_AT = 100_000

_USER = re.compile(r"(?<=://)[^/\s]*@")
_USERS_PASSWORD = re.compile(r"://[^/@\s:]*:[^/\s]+@")
_ASKED = re.compile(r"(?i)([?&;][\w-]*(?:token|passw|pwd|secret|sig|credential|auth|key)[\w-]*=)[^&;\s'\"]+")
_SECRET_NAME = re.compile(r"TOKEN|PASSWORD|PASSWD|SECRET|CREDENTIAL|ACCESS_KEY|API_KEY")
_SHORTEST_SECRET = 6


def printable(text: object, longest: int | None = None) -> str:
    """One line without anything that a terminal or a CI log would act on, cut to ``longest`` characters."""
    kept = _ESCAPES.sub("", str(text)[:_LOOKED_AT])
    if not (kept.isascii() and kept.isprintable()):
        kept = "".join(" " if c in _BREAKS else c for c in kept if c in _BREAKS or not _is_unseen(c))
    kept = " ".join(kept.split())
    kept = re.sub(r"#(?=#)", "# ", kept)  # `##[` and `##vso[` are commands to the runner of a CI job
    return kept if longest is None or len(kept) <= longest else f"{kept[: longest - 1]}…"


def visible(text: object) -> str:
    """Text of several lines without what a terminal or a browser would obey: escapes, controls, turned directions."""
    kept = _ESCAPES.sub("", str(text))
    return "".join(
        c for c in kept if c in "\n\t" or (unicodedata.category(c) not in ("Cc", "Cs") and c not in _TURNING)
    )


def without_secrets(text: str) -> str:
    """The text without passwords in addresses, and without the values of variables that hold a secret by their name."""
    text = _ASKED.sub(r"\1***", _USER.sub("", text))
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST_SECRET and _SECRET_NAME.search(name.upper()):
            text = text.replace(value, "***")
    return text


def holds_password(address: str) -> bool:
    """Whether an address has one: ``user:password@``, or a parameter that holds a secret by its name."""
    return bool(_USERS_PASSWORD.search(address) or _ASKED.search(address))


def parsed(content: bytes | str) -> Any:
    """A JSON value, or ValueError: also where it nests too deep, holds NaN or infinity, or half a character."""
    try:
        value = json.loads(content, parse_constant=_refuse)
        if (b"\\ud" if isinstance(content, bytes) else "\\ud") in content.lower():  # type: ignore[operator]
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except RecursionError:
        raise ValueError("it nests too deep") from None
    return value


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) in _UNSEEN
