"""What .dvc/config says, for the few questions `al` has: where the cache is and which remotes there are.

Git cannot read the file once it names a remote (``['remote "store"']``), and asking DVC takes a second.
"""

import configparser
import os
from pathlib import Path

from al_plugin import store
from al_plugin.errors import CampaignError

Sections = dict[str, dict[str, str]]

_REMOTE = "'remote \""
# Options that hold a path; those of a remote may be a URL instead.
_PATHS = (
    *("dir", "url", "keyfile", "credentialpath", "configpath", "cert_path", "key_path"),
    *("gdrive_user_credentials_file", "gdrive_service_account_json_file_path"),
)


def read(folder: Path) -> Sections:
    """Options by section of ``folder/config`` and the ``config.local`` over it, relative paths made absolute.

    CampaignError where one cannot be read.
    """
    found: Sections = {}
    for name in ("config", "config.local"):
        path = folder / name
        if path.is_file():
            for section, options in _parsed(path).items():
                found.setdefault(section, {}).update(options)
    return {
        section: {key: _absolute(value, folder) if key in _PATHS else value for key, value in options.items()}
        for section, options in found.items()
    }


def remotes(sections: Sections) -> Sections:
    """The sections that name remotes, and which of them is the default."""
    kept = {name: options for name, options in sections.items() if name.startswith(_REMOTE)}
    default = sections.get("core", {}).get("remote")
    return kept | ({"core": {"remote": default}} if default else {})


def with_remote(sections: Sections, name: str, url: str) -> Sections:
    """The same with one more remote."""
    return sections | {f"{_REMOTE}{name}\"'": {"url": url}}


def write(path: Path, sections: Sections) -> None:
    """A config file of these sections."""
    lines = []
    for section, options in sections.items():
        lines += [f"[{section}]", *(f"    {key} = {value}" for key, value in options.items())]
    store.write_bytes(path, "".join(f"{line}\n" for line in lines).encode())


def _parsed(path: Path) -> Sections:
    parser = configparser.RawConfigParser(delimiters=("=",), strict=False, default_section="")
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (configparser.Error, UnicodeDecodeError) as error:
        said = str(error).splitlines()[0]
        raise CampaignError(f"{path} cannot be read ({said})", change="mend it, or git checkout it") from error
    return {section: dict(parser[section]) for section in parser.sections()}


def _absolute(value: str, folder: Path) -> str:
    return value if "://" in value else os.path.abspath(folder / os.path.expanduser(value))
