"""Pictures whose hash is on a list of the operator's."""

from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curation.errors import RecipeError
from curation.hash_lists import HashFile, HashList, read_hashes
from curation.schema import VERDICT
from curation.stage import stage, to_workers, verdict

ROWS = 1 << 17  # hashes searched at once: the longer the run, the less it costs to sort the list for it
DDL = "uid string, reason string, value string"


def _columns(settings: dict[str, Any]) -> list[str]:
    wanted = {"image_sha256": settings["sha256"], "image_pdq": settings["pdq"]}
    names = [name for name, lists in wanted.items() if lists]
    if not names:
        raise RecipeError("stage drop_listed: no list; give sha256 or pdq, each a list of files")
    return [*names, *(f"{name}__error" for name in names)]


@stage(output=VERDICT.columns, pairs=_columns)
def drop_listed(
    pairs: Any,
    *,
    sha256: list[HashFile] = (),
    pdq: list[HashFile] = (),
    distance: Annotated[int, Field(ge=0, le=63)] = 31,
) -> Any:
    """Drop pictures whose SHA-256 is in a file of SHA256 (`listed_sha256`) or whose PDQ hash is at most DISTANCE bits
    from one in a file of PDQ (`listed_pdq`).

    Files of local lists, a hash a line as 64 hex digits, # before comments; a bad line is refused before any work.
    drop_value names file and line, and how many bits away, never the hash. PDQ's authors take 31 of 256 bits as the
    same picture; 0 is equal hashes alone. A picture that cannot be hashed cannot be cleared and is dropped too
    (`image_pdq is null`); one without detail has no PDQ hash and is kept. The nearest hash counts, the first of the
    files among equals.
    """
    from pyspark.sql import functions as F

    shared = to_workers(pairs, (read_hashes(list(sha256)), read_hashes(list(pdq))))
    wanted = ["uid", *_columns({"sha256": sha256, "pdq": pdq})]
    found = pairs.select(wanted).mapInArrow(_searching(shared, distance), DDL)
    return verdict(found, F.col("reason"), F.col("value"))


def _searching(shared: Any, distance: int) -> Any:
    def search(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from curation.methods.hashes import HashIndex

        exact, near = shared.value
        texts = pa.array([row.tobytes().hex() for row in exact.hashes], pa.string())
        index = HashIndex(near.hashes, distance)
        for run in _runs(batches):
            reasons, values = np.full(len(run), None, object), np.full(len(run), None, object)
            if "image_pdq" in run.column_names:
                _near(run, near, index, reasons, values)
            if "image_sha256" in run.column_names:  # last: an equal file is the stronger reason
                _exact(run, exact, texts, reasons, values)
            columns = [run["uid"].combine_chunks(), pa.array(reasons, pa.string()), pa.array(values, pa.string())]
            yield pa.RecordBatch.from_arrays(columns, names=["uid", "reason", "value"])

    return search


def _runs(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows in long runs."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(len(each) for each in held) >= ROWS:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)


def _exact(run: pa.Table, listed: HashList, texts: pa.Array, reasons: np.ndarray, values: np.ndarray) -> None:
    _unhashed(run, "image_sha256", reasons, values)
    rows = pc.index_in(run["image_sha256"], value_set=texts).combine_chunks()
    for place in np.flatnonzero(rows.is_valid().to_numpy(zero_copy_only=False)):
        reasons[place], values[place] = "listed_sha256", listed.place(rows[int(place)].as_py())


def _near(run: pa.Table, listed: HashList, index: Any, reasons: np.ndarray, values: np.ndarray) -> None:
    _unhashed(run, "image_pdq", reasons, values)
    present = np.flatnonzero(run["image_pdq"].is_valid().to_numpy())
    joined = b"".join(run["image_pdq"].drop_null().to_pylist())
    rows, bits = index.search(np.frombuffer(joined, np.uint8).reshape(-1, 32))
    for hit in np.flatnonzero(rows >= 0):
        place = present[hit]
        reasons[place] = "listed_pdq"
        values[place] = f"{listed.place(int(rows[hit]))}, {bits[hit]} bits away"


def _unhashed(run: pa.Table, name: str, reasons: np.ndarray, values: np.ndarray) -> None:
    """Pictures whose hash is null for a reason."""
    for place, error in enumerate(run[f"{name}__error"].to_pylist()):
        if error is not None:
            reasons[place], values[place] = f"{name} is null", error
