"""release.json, the file that makes a folder a release: its text, its own digest, and what is wrong with either."""

import hashlib
import json
import re
from typing import Any

import fsspec

from curation.errors import BrokenTableError
from curation.files import join

MARK = "manifest/release.json"
PARTS = {"samples": "manifest/samples", "tars": "shards", "shards": "manifest/shards", "subset": "subset"}
SEAL = re.compile(rb',\n "digest": "([0-9a-f]{64})"\n\}\n\Z')
SEAL_BYTES = 100  # that pattern has 83
SHOWN = 200  # characters of what was found that a message shows


def mark_text(record: dict[str, Any]) -> bytes:
    """The bytes of a release.json that holds `record`, keys in their own order; ValueError for NaN and infinity."""
    return json.dumps(record, indent=1, allow_nan=False).encode() + b"\n"


def sealed(record: dict[str, Any]) -> dict[str, Any]:
    """`record` with a last field `digest`: 64 hex, SHA-256 of its JSON text without that field and the line's end.

    The other files of a release are checked against the digests in release.json; this is release.json's own.
    """
    content = {key: value for key, value in record.items() if key != "digest"}
    return content | {"digest": hashlib.sha256(mark_text(content).removesuffix(b"\n")).hexdigest()}


def seal_fault(text: bytes) -> str | None:
    """Wanted and found where the last field, `digest`, of a release.json is not that of its text; None if it is."""
    seal = SEAL.search(text, max(0, len(text) - SEAL_BYTES))
    if seal is None:
        return "wanted as last field the digest of what stands before it, found none"
    wanted = hashlib.sha256(text[: seal.start()] + b"\n}").hexdigest()
    found = seal[1].decode()
    return None if found == wanted else f"wanted digest {wanted}, that of its text, found {found}"


def read_mark(out: str) -> bytes:
    """The bytes of the release.json in `out`; BrokenTableError where there is none that can be read."""
    try:
        with fsspec.open(join(out, MARK), "rb") as file:
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
    for name, kind in fields.items():
        if type(mark.get(name)) is not kind:
            found = type(mark[name]).__name__ if name in mark else "none"
            return None, f"wanted a field {name} of type {kind.__name__}, found {found}"
    if not all(type(count) is int for count in mark["counts"].values()):
        return None, f"wanted whole numbers in counts, found {str(mark['counts'])[:SHOWN]}"
    for kind, folder in PARTS.items():
        for number, part in enumerate(mark[kind]):
            if not _is_part(part, folder):
                wanted = f"{{name: {folder}/..., bytes, rows, sha256}}"
                return None, f"wanted {wanted} at place {number} of {kind}, found {str(part)[:SHOWN]}"
    return mark, None


def _is_part(part: Any, folder: str) -> bool:
    """Whether this is the record of a file that lies in `folder`."""
    wanted = {"name": str, "bytes": int, "rows": int, "sha256": str}
    if not isinstance(part, dict) or any(type(part.get(name)) is not kind for name, kind in wanted.items()):
        return False
    return part["name"].startswith(f"{folder}/") and "/" not in part["name"][len(folder) + 1 :]
