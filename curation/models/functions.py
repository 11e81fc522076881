"""Functions that settings name: MODULE:FUNCTION, or FILE.py:FUNCTION.

A module must be importable in this process and in every worker, a file must lie at the same path for both. What counts
for the key of a signal is the source of the module or file; files whose paths are in the function's attribute `files`
count too.
"""

import hashlib
import importlib.util
import inspect
import os
import pkgutil
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from curation.errors import MissingModelError, unknown
from curation.models.named import file_digest

KNOWN = ("MODULE:FUNCTION", "FILE.py:FUNCTION")
IMPORTED = re.compile(r"(?!__main__:)[A-Za-z_][\w.]*:[A-Za-z_]\w*")  # what is in __main__ is not in a worker's
LOCAL = re.compile(r".+\.py:[A-Za-z_]\w*", re.DOTALL)


def function(name: str, what: str) -> Callable:
    """The function of that name. RecipeError for a name of no known form; MissingModelError where there is none.

    `what` it is for, as the errors say: "scorer".
    """
    local = LOCAL.fullmatch(name)
    if not local and not IMPORTED.fullmatch(name):
        raise unknown("backend", [name], KNOWN, what)
    try:
        found = _of_file(name) if local else pkgutil.resolve_name(name)
    except (ImportError, AttributeError, OSError, SyntaxError) as error:
        told = f"{what} {name!r}: {error}; it must be importable here and in workers"
        raise MissingModelError(told) from error
    if not callable(found):
        raise MissingModelError(f"{what} {name!r}: a {type(found).__name__}, wanted a function")
    return found


def digest(name: str, what: str) -> str:
    """64 hex over the source behind a function and its `files`."""
    found = function(name, what)
    home = name.rpartition(":")[0]
    if LOCAL.fullmatch(name):
        source = Path(home).read_text("utf-8")
    else:
        source = importlib.util.find_spec(home).loader.get_source(home) or ""
    files = [file_digest(str(path)) for path in inspect.getattr_static(found, "files", ())]
    return hashlib.sha256("\0".join([source, *files]).encode()).hexdigest()


def absolute_name(name: str) -> str:
    """The name with the path in it, if it has one, made absolute.

    >>> absolute_name("/my/../scorer.py:score"), absolute_name("package.module:score")
    ('/scorer.py:score', 'package.module:score')
    """
    if not LOCAL.fullmatch(name):
        return name
    path, _, attribute = name.rpartition(":")
    return f"{os.path.abspath(path)}:{attribute}"


def _of_file(name: str) -> Any:
    path, _, attribute = name.rpartition(":")
    # A file that changed is read again, so that what runs is what the digest tells of.
    return vars(_module(os.path.abspath(path), os.stat(path).st_mtime_ns)).get(attribute)


@lru_cache(maxsize=8)
def _module(path: str, _mtime_ns: int) -> Any:
    spec = importlib.util.spec_from_file_location(f"curation_local_{Path(path).stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
