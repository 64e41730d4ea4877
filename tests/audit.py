"""Licences and known weaknesses of what the project depends on: `make audit`.

Licences are read from the installed packages, offline. Weaknesses are asked of pip-audit's service; where that cannot
be done this says so, and ends with 3: it is never a pass.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
ALLOWED = frozenset(
    [
        "0BSD",
        "Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "CC0-1.0",
        "HPND",
        "ISC",
        "MIT",
        "MIT-0",
        "MIT-CMU",
        "MPL-2.0",
        "PSF-2.0",
        "Unlicense",
        "Zlib",
        "ZPL-2.1",
    ]
)
# How packages that give no SPDX expression write them.
_WORDS = {
    "apache": "Apache-2.0",
    "mozilla": "MPL-2.0",
    "mpl": "MPL-2.0",
    "2-clause": "BSD-2-Clause",
    "bsd": "BSD-3-Clause",
    "mit": "MIT",
    "python software": "PSF-2.0",
    "psf": "PSF-2.0",
    "isc": "ISC",
    "zope": "ZPL-2.1",
    "zpl": "ZPL-2.1",
    "unlicense": "Unlicense",
    "zlib": "Zlib",
    "historical permission": "HPND",
    "permission is hereby grant": "MIT",
}
# name: the licence that is not on the list, and why it may stay.
_DVC = "DVC brings it and runs as a command of its own; al_plugin imports neither, and changes nothing in it"
EXCEPTIONS: Mapping[str, tuple[str, str]] = {
    "asyncssh": ("EPL-2.0 OR GPL-2.0-or-later", _DVC),
    "grandalf": ("GNU General Public License v2 (GPLv2)", f"also offered under EPL-1.0; {_DVC}"),
    "pygit2": ("GPLv2 with linking exception", f"the exception lets any program link it; {_DVC}"),
}


def requirements() -> Iterator[str]:
    """Of the project and all its extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    yield from project["dependencies"]
    for extra in project["optional-dependencies"].values():
        yield from extra


def installed() -> dict[str, Distribution]:
    """Every installed package that the project or one of its extras brings, by name."""
    found: dict[str, Distribution] = {}
    open_ones = [(Requirement(text), ("",)) for text in requirements()]
    seen: set[tuple[str, str]] = set()
    while open_ones:
        requirement, extras = open_ones.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            continue
        asked = tuple(extra for extra in ("", *requirement.extras) if (name, extra) not in seen)
        seen |= {(name, extra) for extra in asked}
        try:
            found[name] = distribution(requirement.name)
        except PackageNotFoundError:
            continue  # an extra that is not installed here
        if asked:
            open_ones += [(Requirement(text), asked) for text in found[name].requires or ()]
    return dict(sorted(found.items()))


def licence_of(package: Distribution) -> str:
    """An SPDX expression as far as the package's metadata give one, else what they say, or ""."""
    about = package.metadata
    if about.get("License-Expression"):
        return str(about["License-Expression"])
    classed = [
        text.rpartition("::")[2].strip() for text in about.get_all("Classifier") or () if text.startswith("License ::")
    ]
    said = [text for text in classed if text != "OSI Approved"] or [(about.get("License") or "").strip().split("\n")[0]]
    if said == [""]:
        files = [file for file in package.files or () if re.match(r"(LICEN[CS]E|COPYING)", file.name)]
        said = [" ".join(str(files[0].read_text()).split())[:60]] if files else [""]
    return " AND ".join(_spdx(text) for text in said)


def _spdx(text: str) -> str:
    lower = text.lower()
    if text in ALLOWED or re.search(r"gpl|gnu", lower):
        return text
    return next((name for word, name in _WORDS.items() if word in lower), text)


def is_allowed(expression: str) -> bool:
    """Whether a user may choose licences of the list only: one side of OR, all of AND."""
    bare = expression.strip()
    while bare.startswith("(") and _closes(bare) == len(bare) - 1:
        bare = bare[1:-1].strip()
    for word, holds in ((" OR ", any), (" AND ", all)):
        parts = _split(bare, word)
        if len(parts) > 1:
            return holds(is_allowed(part) for part in parts)
    return bare in ALLOWED


def _closes(text: str) -> int:
    depth = 0
    for at, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return at
    return -1


def _split(text: str, word: str) -> list[str]:
    """Parts between the word where it stands outside brackets."""
    parts, depth, start = [], 0, 0
    for at, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0 and text.startswith(word, at):
            parts.append(text[start:at])
            start = at + len(word)
    return [*parts, text[start:]]


def faults(licences: Mapping[str, str], exceptions: Mapping[str, tuple[str, str]] = EXCEPTIONS) -> list[str]:
    """A line for each package whose licence is not allowed, and whose exception is not for that licence."""
    bad = {
        name: text
        for name, text in licences.items()
        if not is_allowed(text) and exceptions.get(name, (None, ""))[0] != text
    }
    return [f"{name}: licence {text or 'not told'} is not on the list" for name, text in bad.items()]


def weaknesses(packages: Mapping[str, Distribution]) -> tuple[int, str]:
    """Exit code and a line: 0 none known, 1 some, 3 where it could not be asked of every package."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as pinned:
        pinned.write("".join(f"{name}=={package.version.partition('+')[0]}\n" for name, package in packages.items()))
        pinned.flush()
        options = [
            "--strict",
            "--no-deps",
            "--disable-pip",
            "--progress-spinner",
            "off",
            "--timeout",
            "15",
            "-r",
            pinned.name,
        ]
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pip_audit", *options], capture_output=True, text=True, check=False, timeout=300
            )
        except subprocess.TimeoutExpired:
            return 3, "known weaknesses: NOT CHECKED (pip-audit got no answer in 300 s)"
    if done.returncode == 0:
        return 0, "known weaknesses: none"
    if re.search(r"Found \d+ known vulnerabilit", done.stderr):
        return 1, f"known weaknesses:\n{done.stdout}"
    last = ([line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"])[-1]
    return 3, f"known weaknesses: NOT CHECKED ({last.strip()[:200]})"


def main() -> int:
    packages = installed()
    licences = {name: licence_of(package) for name, package in packages.items()}
    bad = faults(licences)
    print("\n".join([*bad, f"licences: {len(licences)} packages, {len(bad)} not allowed"]))
    code, said = weaknesses(packages)
    print(said)
    return 1 if bad else code


if __name__ == "__main__":
    sys.exit(main())
