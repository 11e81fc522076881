"""One way to compile a loop with numba, so that a package that is imported from a zip compiles too."""

import os
from collections.abc import Callable

import numba


def compiled(function: Callable) -> Callable:
    """`function` compiled by numba without the GIL, cached on disk where there is a place for it.

    A function from a zip, as on a cluster, is compiled again in each process: numba would cache it in the user's home,
    under the zip's folder, which is another one in each job, and fail at the first call where there is no home. So is
    one whose folders are all read-only. The cache is keyed by the file that defines the function, so a kernel calls
    only functions of its own file.
    """
    if not os.path.isfile(function.__code__.co_filename):
        return numba.njit(nogil=True)(function)
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:
        return numba.njit(nogil=True)(function)
