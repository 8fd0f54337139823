"""Memory that a process has freed and will want again a millisecond later."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # as glibc's malloc.h numbers them
_NEVER = -1
_AT_LEAST = 64 << 20  # bytes asked of the system at a time


def keep_freed_memory() -> bool:
    """Let glibc's allocator keep what this process frees; True where it took the settings.

    Each step of a training frees and asks again for megabytes of maps. By default glibc hands
    them back to the kernel every time, and the kernel clears each page anew: some ten thousand
    page faults a step, a fifth of its time (docs/log.md). The setting holds for the whole process
    and cannot be undone, so it is for processes of ours, not for a library's functions. Elsewhere
    than on glibc it does nothing.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, musl; Windows has no CDLL(None)
        return False
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_TOP_PAD, _AT_LEAST))
    return all([mallopt(name, value) == 1 for name, value in settings])
