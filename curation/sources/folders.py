"""A local folder made by anyone: its regular files, to any depth; links are not followed."""

import os
import stat

from curation.sources.found import Reject
from curation.sources.packing import tell_if_blameless


def list_folder(path: str, most: int) -> tuple[dict[str, int], list[Reject]]:
    """The bytes of each file by its relative name, sorted; and a reject for what is no file or cannot be listed.

    Folders and what is rejected count as well: after `most` entries the listing ends with a reject `too_many_members`.
    """
    files: dict[str, int] = {}
    rejects, waiting, left = [], [""], most
    while waiting:
        inside = waiting.pop()
        entries = _entries(path, inside, rejects)
        for entry in entries[:left]:
            name = f"{inside}/{entry.name}".lstrip("/")
            info = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(info.st_mode):
                waiting.append(name)
            elif stat.S_ISREG(info.st_mode):
                files[name] = info.st_size
            else:
                kind = "symbolic_link" if stat.S_ISLNK(info.st_mode) else f"kind {stat.S_IFMT(info.st_mode):o}"
                rejects.append(Reject(name, "not_a_file", kind))
        left -= len(entries)
        if left < 0:
            rejects.append(Reject("", "too_many_members", f"more than {most}"))
            break
    return dict(sorted(files.items())), rejects


def _entries(path: str, inside: str, rejects: list[Reject]) -> list[os.DirEntry]:
    try:
        with os.scandir(os.path.join(path, inside)) as listing:
            return sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        tell_if_blameless(error)
        rejects.append(Reject(inside, "bad_folder", str(error)))
        return []
