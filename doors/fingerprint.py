"""What a release is, as SHA-256: its tars, its manifest, release.json and the subset."""

import hashlib
from pathlib import Path
from typing import NamedTuple

KINDS = {  # as `cd OUT && sha256sum PATTERN ... | sha256sum` gives it
    "tars": ("shards/*",),
    "manifest": ("manifest/samples/*", "manifest/shards/*"),
    "release.json": ("manifest/release.json",),
    "subset": ("subset/*",),
}


class Fingerprint(NamedTuple):
    """`kinds`: 64 hex per kind of KINDS, over lines of digest and name; `files`: 64 hex per file, by name in OUT."""

    kinds: dict[str, str]
    files: dict[str, str]


def fingerprint(out: Path) -> Fingerprint:
    """The digests of the release in `out`; a kind without files is an error, FileNotFoundError."""
    kinds: dict[str, str] = {}
    files: dict[str, str] = {}
    for kind, patterns in KINDS.items():
        names = [str(p.relative_to(out)) for pattern in patterns for p in sorted(out.glob(pattern))]
        if not names:
            raise FileNotFoundError(f"{out}: no {' '.join(patterns)}")
        found = {name: _sha256(out / name) for name in names}
        kinds[kind] = hashlib.sha256("".join(f"{sha}  {name}\n" for name, sha in found.items()).encode()).hexdigest()
        files |= found
    return Fingerprint(kinds, files)


def differing(one: Fingerprint, other: Fingerprint) -> list[str]:
    """Names of the files that are not the same in both, missing ones included, sorted."""
    return sorted(n for n in one.files.keys() | other.files.keys() if one.files.get(n) != other.files.get(n))


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
