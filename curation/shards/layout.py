"""What a training asks of a release beyond being whole: shards for every reader, and pictures that decode."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation.decode import decode
from curation.errors import BadItemError
from curation.shards.manifest import Release
from curation.shards.mark import MARK


def layout_faults(release: Release, workers: int, ranks: int) -> Iterator[str]:
    """Whether each of the workers of each rank of a loader that deals out whole shards gets one that holds samples."""
    filled = sum(tar["rows"] > 0 for tar in release.tars)
    if workers * ranks > 1 and filled < workers * ranks:
        most = max(sum(tar["rows"] for tar in release.tars) // (workers * ranks), 1)
        yield (
            f"shards: wanted at least {workers * ranks} with samples, one for each of {workers} workers x {ranks} ranks"
            f", found {filled}: loaders that deal out whole shards would hang or repeat; fewer workers, or "
            f"write_shards.samples_per_shard={most} at most (ManifestDataset needs no such thing)"
        )


def vector_faults(release: Release) -> Iterator[str]:
    """Whether the vectors beside each tar are as many as its samples."""
    wanted = {tar["name"].removesuffix("tar"): tar["rows"] for tar in release.tars}
    for part in release.mark.get("embeddings", []):
        samples = wanted.get(part["name"][: part["name"].find(".") + 1])
        if part["rows"] != samples:
            yield f"{MARK}: wanted a vector per sample, found {part['rows']} in {part['name']} for {samples} samples"


def undecodable(encoded: bytes) -> str:
    """Why a picture does not decode within the bounds; empty where it does."""
    try:
        decode(encoded)
    except BadItemError as error:
        return str(error)
    return ""


def picture_faults(name: str, data: Any, rows: pa.Table) -> Iterator[str]:
    """The pictures of a shard that do not decode, in one sentence."""
    offsets = pc.struct_field(rows["offset"], "image").to_pylist()
    sizes = pc.struct_field(rows["bytes"], "image").to_pylist()
    places = zip(rows["key"].to_pylist(), rows["format"].to_pylist(), offsets, sizes)
    told = [(f"{key}.{format}", undecodable(bytes(data[at : at + size]))) for key, format, at, size in places]
    broken = [f"{member} ({error})" for member, error in told if error]
    if broken:
        shown = ", ".join(broken[:3])
        yield f"{name}: wanted pictures that decode, found {shown} ({len(broken)} in all)"
