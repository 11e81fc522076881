"""Records: JSON files that say what is committed. Each carries its own digest, so that one altered later is refused.

The files that a record lists are checked against the digests in it; this is the record's own.
"""

import hashlib
import json
import re
from typing import Any

import fsspec

from curation.errors import BrokenTableError
from curation.files import committing

SEAL = re.compile(rb',\n "digest": "([0-9a-f]{64})"\n\}\n\Z')
SEAL_BYTES = 100  # that pattern has 83
MADE_AGAIN = re.compile(r"^.*/(?:stages|signals)/[^/]+-[0-9a-f]{32}(?=/)")  # folders of the store


def record_text(record: dict[str, Any]) -> bytes:
    """The bytes of a file that holds `record`, keys in their own order; ValueError for NaN and infinity."""
    return json.dumps(record, indent=1, allow_nan=False).encode() + b"\n"


def sealed(record: dict[str, Any]) -> dict[str, Any]:
    """`record` with a last field `digest`: 64 hex, SHA-256 of its JSON text without that field and the line's end."""
    content = {key: value for key, value in record.items() if key != "digest"}
    return content | {"digest": hashlib.sha256(record_text(content).removesuffix(b"\n")).hexdigest()}


def seal_fault(text: bytes) -> str | None:
    """Wanted and found where the last field of a record's text, `digest`, is not that of the text; None if it is."""
    seal = SEAL.search(text, max(0, len(text) - SEAL_BYTES))
    if seal is None:
        return "wanted as last field the digest of what stands before it, found none"
    wanted = hashlib.sha256(text[: seal.start()] + b"\n}").hexdigest()
    found = seal[1].decode()
    return None if found == wanted else f"wanted digest {wanted}, that of its text, found {found}"


def write_record(uri: str, record: dict[str, Any]) -> None:
    """Commit `record`, sealed."""
    with committing(uri) as file:
        file.write(record_text(sealed(record)))


def read_record(uri: str, made_by: str | None = None) -> dict[str, Any] | None:
    """The record in a file, or None where there is no file; BrokenTableError where it is not as committed."""
    try:
        with fsspec.open(uri, "rb") as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):  # nothing there, or below a file
        return None
    fault = seal_fault(text)
    if fault:
        raise BrokenTableError(f"{uri}: {fault}; {remedy(uri, made_by)}")
    return json.loads(text)


def remedy(uri: str, made_by: str | None = None) -> str:
    """What to do about a file that is not as committed: the store is computed again, a pool or a release is not."""
    found = MADE_AGAIN.match(uri)
    folder = made_by or (found and found[0])
    return f"delete {folder} to have it made again" if folder else "restore the file"
