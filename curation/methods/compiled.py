"""One way to compile a loop with numba, so that a package that is imported from a zip compiles too."""

from collections.abc import Callable

import numba


def compiled(function: Callable) -> Callable:
    """`function` compiled by numba without the GIL, cached on disk where there is a place for it.

    Numba refuses to cache a function whose source it cannot find as a file (a zip on a cluster) or whose folders are
    all read-only; such a process compiles again instead of failing. The cache is keyed by the file that defines the
    function, so a kernel calls only functions of its own file.
    """
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:
        return numba.njit(nogil=True)(function)
