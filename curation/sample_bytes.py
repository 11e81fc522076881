"""How many bytes each pair will take in a tar, before anything is written: what shards of a target size are cut by."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from curation.shards.picture import Form
from curation.shards.walk import BLOCK

HEADERS = 3 * BLOCK  # a sample has three members
JSON_BYTES = 600  # of a .json member besides its texts: names of the fields, hashes, numbers; without signals
TEXTS = ("caption", "url", "document", "source", "license")  # of the pair, each in its .json
MEASURED = 256  # pictures encoded on trial: the mean of their shares is then known to a few percent
Batches = Iterator[pa.RecordBatch]


def with_bytes(pairs: Any, form: Form, seed: int) -> Any:
    """`pairs` and `_weight`, int64: about the bytes of the pair's three members in a tar, headers and padding included.

    What FORM makes of pictures is measured on a sample by keyed hash of SEED.
    """
    from pyspark.sql import functions as F

    unknown = pairs.where("image is not null and image.length is null").select("uid", "image")
    lengths = unknown.mapInArrow(_lengths, "uid string, _length bigint")
    sized = pairs.join(lengths, "uid", "left")
    picture = F.coalesce("image.length", "_length", F.lit(0)) * F.lit(_share(sized, form, seed))
    texts = [F.coalesce(F.octet_length(name), F.lit(0)) for name in TEXTS]
    several = F.coalesce(F.octet_length(F.to_json("captions")), F.lit(0))
    told = sum(texts, several + JSON_BYTES)
    weight = HEADERS + _padded(picture) + _padded(F.octet_length("caption")) + _padded(told)
    return sized.withColumn("_weight", weight.cast("long")).drop("_length")


def _padded(size: Any) -> Any:
    from pyspark.sql import functions as F

    return F.ceil(size / BLOCK) * BLOCK


def _lengths(batches: Batches) -> Batches:
    """Bytes from each pointer to the end of its file; 0 where there is no such file: it takes no place later."""
    import fsspec

    for batch in batches:
        lengths = []
        for pointer in batch.column("image").to_pylist():
            try:
                file_system, path = fsspec.core.url_to_fs(pointer["uri"])
                lengths.append(max(0, file_system.size(path) - (pointer["offset"] or 0)))
            except (OSError, ValueError):
                lengths.append(0)
        yield pa.RecordBatch.from_arrays([batch.column("uid"), pa.array(lengths, pa.int64())], ["uid", "_length"])


def _share(pairs: Any, form: Form, seed: int) -> float:
    """Bytes written over bytes found, of a sample of pictures; 1 where pictures stay as they are."""
    from pyspark.sql import functions as F

    if not (form.max_side_px or form.short_side_px or form.encode):
        return 1.0
    drawn = pairs.orderBy(F.xxhash64(F.lit(seed), "uid"), "uid").limit(MEASURED).select("image")

    def trial(batches: Batches) -> Batches:
        for batch in batches:
            found, written = _encoded(batch.column("image").to_pylist(), form._replace(blur_faces=False))
            yield pa.RecordBatch.from_pydict({"found": [found], "written": [written]})

    rows = drawn.mapInArrow(trial, "found long, written long").collect()
    found, written = (sum(row[name] for row in rows) for name in ("found", "written"))
    return written / found if found else 1.0


def _encoded(pointers: list[dict | None], form: Form) -> tuple[int, int]:
    """Bytes of the pictures that can be read, as found and in FORM."""
    from curation.errors import BadItemError
    from curation.images import read_pointers
    from curation.shards.picture import picture

    found = written = 0
    for data in read_pointers(pointers):
        try:
            size = len(picture(data, form).data)
        except BadItemError:
            continue
        found, written = found + len(data), written + size
    return found, written
