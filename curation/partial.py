"""Folders that are there whole or not at all, for commands whose output has no commit record of its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import fsspec

from curation.errors import StaleOutputError
from curation.files import absolute, exists, local_path, remove_folder


@contextmanager
def whole_folder(folder: str) -> Iterator[str]:
    """A folder to write into, FOLDER.partial, which gets its name when the block ends; what a killed command left in it
    goes first. StaleOutputError where FOLDER is there already.

    An object store copies file by file: a process killed while it does so leaves some under FOLDER.
    """
    folder = absolute(folder)
    if exists(folder):
        raise StaleOutputError(f"{folder} exists: name another folder")
    partial = f"{folder}.partial"
    remove_folder(partial)
    try:
        yield partial
        _rename(partial, folder)
    finally:
        remove_folder(partial)


def _rename(old: str, new: str) -> None:
    if (path := local_path(old)) is not None:
        return os.rename(path, local_path(new))
    file_system, path = fsspec.core.url_to_fs(old)
    target = fsspec.core.url_to_fs(new)[1]
    for each in file_system.find(path):
        file_system.copy(each, target + each[len(path) :])
