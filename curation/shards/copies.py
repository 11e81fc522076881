"""Files of a release taken over into another: hard links where they can be, else copies that are checked."""

import errno
import os
from typing import Any

import fsspec

from curation.errors import BrokenTableError
from curation.files import committing, join, local_path
from curation.parts import part_uris

COPY_BYTES = 8 << 20
NO_LINK = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK, errno.EACCES, errno.ENOSYS)


def link(source: str, out: str, part: dict[str, Any]) -> None:
    """A listed file of the release `source` in `out`, under its name: a hard link, else a copy, made by the server
    where both lie in one object store. BrokenTableError where what is copied is not as committed.
    """
    uri, target = join(source, part["name"]), join(out, part["name"])
    part_uris(source, [part])
    old, new = local_path(uri), local_path(target)
    if old is not None and new is not None:
        os.makedirs(os.path.dirname(new), exist_ok=True)
        if os.path.lexists(new):
            os.unlink(new)  # of a killed attempt
        try:
            return os.link(os.path.realpath(old), new)  # of a link (git-annex, DVC) the file
        except OSError as error:
            if error.errno not in NO_LINK:
                raise
    elif old is None and new is None:
        (one, path), (two, place) = fsspec.core.url_to_fs(uri), fsspec.core.url_to_fs(target)
        if one is two:
            return one.copy(path, place)
    _copy(uri, target, part)


def _copy(uri: str, target: str, part: dict[str, Any]) -> None:
    with fsspec.open(uri, "rb") as read, committing(target) as write:
        while data := read.read(COPY_BYTES):
            write.write(data)
        if write.sha256.hexdigest() != part["sha256"]:
            raise _altered(uri, part["sha256"], write.sha256.hexdigest())


def _altered(uri: str, wanted: str, found: str) -> BrokenTableError:
    return BrokenTableError(f"{uri}: wanted sha256 {wanted}, found {found}; see curate verify --fix")
