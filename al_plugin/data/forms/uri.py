"""Which uris may name a file of the pool."""

from al_plugin.errors import DataError


def safe_uri(uri: str) -> str:
    """The uri as a plain relative path (``a/./b`` is ``a/b``), or DataError.

    Refused: absolute paths, ``..``, schemes and drives (a colon in the first component),
    backslashes, NUL. Nothing is decoded or expanded, and links are the edge's to follow or not.
    """
    steps = [step for step in uri.split("/") if step not in ("", ".")]
    unsafe = uri.startswith("/") or ".." in steps or "\\" in uri or "\0" in uri
    if unsafe or not steps or ":" in steps[0]:
        raise DataError(
            f"has uri {uri!r}, not a relative path below the part's folder",
            change="write paths such as images/0001.png",
        )
    return "/".join(steps)
