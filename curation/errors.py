"""Every error this package raises on purpose, named by what the reader should do next.

    CurationError
    ├── RecipeError        fix the recipe, flag or argument     (exit 2, raised before any work)
    ├── SchemaError        fix the table: a column is missing, of another type, or unknown
    ├── MissingModelError  get the model: the name is unknown or its weights are not here (exit 2)
    ├── StaleOutputError   name another output: this one holds another recipe or pool (exit 2)
    ├── LockedOutputError  wait: another run is writing this output
    ├── BrokenTableError   a committed file is missing or altered: restore it or delete the table
    ├── OutputError        make room or get the right to write there, then run the same command again
    ├── TaskError          see what it says: Spark, its JVM or a worker process failed
    ├── LostRowsError      report a bug: rows in are not rows out plus rows rejected
    └── BadItemError       nothing: one input item is rejected, with a reason code, and the job goes on

A message says where, what was wanted, what was found, and what exists.
"""

from collections.abc import Iterable


class CurationError(Exception):
    """Base of all errors raised on purpose; the command line prints it as one line, without a traceback."""

    exit_code = 1


class RecipeError(CurationError):
    """A recipe, setting, flag or argument is wrong; raised before any work starts."""

    exit_code = 2


class SchemaError(CurationError):
    """A table lacks a column, or has one of another type."""


class MissingModelError(CurationError):
    """A model is asked for that is neither packaged, nor a local path, nor a pretrained name that loads."""

    exit_code = 2


class StaleOutputError(CurationError):
    """The output folder holds the result of another recipe or pool; outputs are never overwritten."""

    exit_code = 2


class LockedOutputError(CurationError):
    """Another live run holds the output folder."""


class BrokenTableError(CurationError):
    """A file that a commit record lists is missing or has another size or digest."""


class OutputError(CurationError):
    """A file cannot be written: the place is full, read-only, or not ours."""


class TaskError(CurationError):
    """Something failed inside Spark for a reason that no other class names; its own text is kept."""


class LostRowsError(CurationError):
    """Rows in differ from rows out plus rows rejected: a bug, caught before the table is committed."""


class BadItemError(CurationError):
    """One input item cannot be used. `code` is the reason code stored in the table, `detail` says more."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail


def unknown(what: str, names: Iterable[str], known: Iterable[str], where: str) -> RecipeError:
    """A RecipeError that names what is unknown, where, and what exists."""
    return RecipeError(f"{where}: no {what} {sorted(set(names))}; known: {sorted(set(known))}")
