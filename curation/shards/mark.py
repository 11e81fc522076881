"""release.json, the file that makes a folder a release: its text, and what is wrong with its form."""

import json
from typing import Any

import fsspec

from curation.errors import BrokenTableError
from curation.files import absolute, join

MARK = "manifest/release.json"
PARTS = {"samples": "manifest/samples", "tars": "shards", "shards": "manifest/shards", "subset": "subset"}
CHANGES = "manifest/changes"  # of a release made of another: what went, and why
# A release has embeddings where its recipe asked for them, changes where it was made of another.
OPTIONAL = {"embeddings": "shards", "changes": CHANGES}
SHOWN = 200  # characters of what was found that a message shows


def read_mark(out: str) -> bytes:
    """The bytes of the release.json in `out`; BrokenTableError where there is none that can be read."""
    try:
        with fsspec.open(join(absolute(out), MARK), "rb") as file:
            return file.read()
    except OSError as error:
        raise BrokenTableError(
            f"no release at {out}: {MARK} is missing or cannot be read, so its run never finished or it lies elsewhere"
        ) from error


def parsed(text: bytes) -> tuple[dict[str, Any] | None, str | None]:
    """The record in the text of a release.json, or None and what is wrong with its form: wanted and found."""
    try:
        mark = json.loads(text)
    except (ValueError, RecursionError) as error:
        return None, f"wanted JSON, found {error}"
    if not isinstance(mark, dict):
        return None, f"wanted an object, found {type(mark).__name__}"
    fields = {"schema_version": int, "counts": dict} | dict.fromkeys(PARTS, list)
    fields |= dict.fromkeys((kind for kind in (*OPTIONAL, "stages") if kind in mark), list)
    for name, kind in fields.items():
        if type(mark.get(name)) is not kind:
            found = type(mark[name]).__name__ if name in mark else "none"
            return None, f"wanted a field {name} of type {kind.__name__}, found {found}"
    whole = all(type(count) is int for count in mark["counts"].values())
    objects = all(isinstance(each, dict) for each in mark.get("stages", []))
    for name, fits, wanted in (("counts", whole, "whole numbers"), ("stages", objects, "objects")):
        if not fits:
            return None, f"wanted {wanted} in {name}, found {str(mark[name])[:SHOWN]}"
    for kind, folder in (PARTS | OPTIONAL).items():
        for number, part in enumerate(mark.get(kind, [])):
            if not _is_part(part, folder):
                wanted = f"{{name: {folder}/..., bytes, rows, sha256}}"
                return None, f"wanted {wanted} at place {number} of {kind}, found {str(part)[:SHOWN]}"
    return mark, None


def sharded(mark: dict[str, Any]) -> bool:
    """Whether a release has samples to answer its verdicts; without write_shards a recipe ends in verdicts alone."""
    stages = mark.get("stages")
    return not stages or any(each.get("run") == "write_shards" for each in stages)


def shards_of(spans: list[list[int]]) -> list[int]:
    """The numbers of the shards of a phase, which lists them as spans of first and last."""
    return [n for first, last in spans for n in range(first, last + 1)]


def phase_samples(spans: list[list[int]], tars: list[dict[str, Any]]) -> int:
    """Samples in the shards of a phase."""
    return sum(tars[n]["rows"] for n in shards_of(spans))


def _is_part(part: Any, folder: str) -> bool:
    """Whether this is the record of a file that lies in `folder`."""
    wanted = {"name": str, "bytes": int, "rows": int, "sha256": str}
    if not isinstance(part, dict) or any(type(part.get(name)) is not kind for name, kind in wanted.items()):
        return False
    return part["name"].startswith(f"{folder}/") and "/" not in part["name"][len(folder) + 1 :]
