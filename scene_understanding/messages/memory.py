"""Memory that a node uses again and again stays with the process.

A cloud of 640x480 points is a message of 7 MB. glibc gives arrays of that size back to the system as soon as they are
freed and asks for them anew for the next message; the pages then fault in one by one, which costs more than all the
arithmetic on them.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_MIB = 1 << 20


def keep_freed_memory(limit_mib: int = 256) -> bool:
    """Tells the C library to keep up to `limit_mib` MiB of freed memory for the next arrays, in all threads.

    For the start of a process that runs nodes, before it makes threads; it changes nothing but speed.

    Returns:
        Whether the C library took it (glibc does; elsewhere nothing happens).
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_M_MMAP_THRESHOLD, 32 * _MIB), (_M_TRIM_THRESHOLD, limit_mib * _MIB), (_M_ARENA_MAX, 1))
    taken = [mallopt(name, value) == 1 for name, value in settings]
    return all(taken)
