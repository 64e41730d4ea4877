"""How much a file may take in memory."""

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Bytes of memory of this machine.
MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
# Bytes of a file of labels, queries, settings or JSON; a million answers are some 100 MB.
TEXT = 1 << 28
_LEAST = 1 << 30
_RATIO = 1000
# Address space that threads and allocators reserve beside what they use.
_RESERVED = 1 << 30


def room(size: int) -> int:
    """Bytes that a packed file of ``size`` bytes may unpack to: 1 GiB or a thousand times as many.

    At most half of this machine's memory.
    """
    return min(max(_LEAST, _RATIO * size), MEMORY // 2)


@contextmanager
def memory_limited(more: int) -> Iterator[None]:
    """MemoryError where the block takes ``more`` bytes of address space and a reserve of 1 GiB; on Linux.

    What a file says of its size may be a lie; this is not.
    """
    statm = Path("/proc/self/statm")
    if sys.platform != "linux" or not statm.is_file():
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    now = int(statm.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    limits = [now + more + _RESERVED, *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_AS, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
