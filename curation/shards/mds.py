"""A release as MosaicML Streaming reads it: MDS shards, written from its description of the format (version 2).

An MDS file: number of samples (uint32), where each begins and the last ends (uint32 from the start of the file), the
columns as JSON, the samples. A sample: the size of each column that has no fixed one (uint32), then their bytes.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from curation.errors import BrokenTableError
from curation.files import committing, join
from curation.shards.manifest import Release

COLUMNS = {"caption": "str", "image": "bytes", "record": "json", "uid": "str"}  # name, encoding; in order of the names
SHARD_BYTES = 1 << 26  # 64 MiB, the default of MDSWriter; places are 32 bits wide, so below 4 GiB
INDEX = "index.json"  # of the folder, written last


def write_mds(release: Release, folder: str) -> int:
    """Write every sample into `folder`, in shard order; how many. `record` is the .json member, as text."""
    shards, held, size, samples = [], [], 0, 0
    for sample in _samples(release):
        if held and size + len(sample) > SHARD_BYTES:
            shards.append(_write(folder, len(shards), held))
            held, size = [], 0
        held.append(sample)
        size += len(sample)
        samples += 1
    if held:
        shards.append(_write(folder, len(shards), held))
    with committing(join(folder, INDEX)) as file:
        file.write(json.dumps({"shards": shards, "version": 2}, sort_keys=True).encode())
    return samples


def _samples(release: Release) -> Iterator[bytes]:
    for number in range(len(release.tars)):
        data = release.open_tar(number)
        for row in release.shard_samples(number, ["uid", "offset", "bytes"]).to_pylist():
            image, text, record = members = [_cut(data, row, member) for member in ("image", "text", "json")]
            if None in members:
                told = f"shard {number}: sample {row['uid']} is said to lie outside it; see curate verify"
                raise BrokenTableError(f"{release.out}: {told}")
            values = (text, image, record, row["uid"].encode())
            yield np.array([len(value) for value in values], "<u4").tobytes() + b"".join(values)


def _cut(data: Any, row: dict[str, Any], member: str) -> bytes | None:
    """The bytes of a member, None where they are not all in the shard."""
    first, last = row["offset"][member], row["offset"][member] + row["bytes"][member]
    return data[first:last] if 0 <= first <= last <= len(data) else None


def _write(folder: str, number: int, samples: list[bytes]) -> dict[str, Any]:
    """Commit one file; its entry in the index."""
    form = {"column_encodings": list(COLUMNS.values()), "column_names": list(COLUMNS), "column_sizes": [None] * 4}
    form |= {"compression": None, "format": "mds", "hashes": [], "size_limit": SHARD_BYTES, "version": 2}
    told = json.dumps(form, sort_keys=True).encode()
    places = np.cumsum([0, *map(len, samples)]) + 4 + 4 * (len(samples) + 1) + len(told)
    if places[-1] >= 1 << 32:
        raise ValueError(f"{folder}: a sample of {len(samples[0]):,} bytes, wanted less than 4 GiB")
    name = f"shard.{number:05d}.mds"
    with committing(join(folder, name)) as file:
        for piece in (np.uint32(len(samples)).tobytes(), places.astype("<u4").tobytes(), told, *samples):
            file.write(piece)
    raw = {"basename": name, "bytes": file.bytes, "hashes": {}}
    return form | {"raw_data": raw, "samples": len(samples), "zip_data": None}
