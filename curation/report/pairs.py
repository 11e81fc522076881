"""Some pairs of a release with whatever is known of each, read without Spark and in bounded memory.

A part that is cut by uid prefix is opened only if it can hold one of the pairs; the stored signals, which are not, are
streamed through a filter.
"""

import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import xxhash

from curation import tables
from curation.errors import CurationError
from curation.files import join
from curation.pool import Pool
from curation.schema import PAIRS, SUBSET, VERDICT
from curation.shards.manifest import Release
from curation.signal import IMAGE_INPUTS

DIGEST_SEED = 42  # the default seed of Spark's xxhash64, by which the store tells inputs apart


def prefix(part: dict[str, Any]) -> str:
    """The hex digits with which every uid of a part begins; empty for a table of one part."""
    name = os.path.basename(part["name"]).removesuffix(".parquet")
    return "" if name == "all" else name


def read_where(folder: str, part: dict, columns: list[str] | None, rows: ds.Expression | None) -> pa.Table:
    """The rows of one listed part that satisfy an expression."""
    [uri] = tables.part_uris(folder, [part])
    return pq.read_table(uri, columns=columns, filters=rows, partitioning=None)


def smallest(
    folder: str, parts: list[dict], columns: list[str], limit: int, rows: ds.Expression | None = None
) -> pa.Table | None:
    """Up to `limit` rows of smallest uid (of those that satisfy `rows`), parts read until there are enough."""
    found: list[pa.Table] = []
    for part in sorted(parts, key=prefix):
        if limit > 0:
            found.append(read_where(folder, part, columns, rows).sort_by("uid").slice(0, limit))
            limit -= len(found[-1])
    return pa.concat_tables(found) if found else None


def rows_of(folder: str, parts: list[dict], uids: pa.Array, columns: list[str]) -> pa.Table | None:
    """The rows of these uids (ascending), from the parts that can hold one; None where no part can."""
    found = []
    for part in parts:
        start = prefix(part)
        here = uids.filter(pc.starts_with(uids, start)) if start else uids
        if len(here):
            span = (pc.field("uid") >= here[0]) & (pc.field("uid") <= here[-1])  # skips row groups, which isin does not
            found.append(read_where(folder, part, columns, span & pc.field("uid").isin(here)))
    return pa.concat_tables(found) if found else None


def aligned(found: pa.Table | None, uids: pa.Array, columns: list[str]) -> pa.Table | None:
    """`columns` with one row per uid, in their order; null where `found` has no such uid."""
    if found is None:
        return None
    places = pc.index_in(uids, found["uid"].combine_chunks())
    return found.select(columns).take(places)


def signal_rows(folder: str, ids: pa.Array) -> pa.Table | None:
    """The rows (id, digest, value, error) of a stored signal for these ids, streamed; None where it is not stored."""
    done = tables.read_done(folder)
    if done is None:
        return None
    uris = tables.part_uris(folder, done["parts"])
    file_system = fsspec.core.url_to_fs(folder)[0]
    paths = [fsspec.core.url_to_fs(uri)[1] for uri in uris]
    schema = tables.parquet_schema(folder, done["parts"])
    data = ds.dataset(paths, schema=schema, format="parquet", filesystem=file_system)
    return data.to_table(filter=pc.field("id").isin(ids))


@dataclass(frozen=True)
class Pairs:
    """Pairs of a release, ascending by uid: `verdicts` has a row of schema.SUBSET for each."""

    release: Release
    verdicts: pa.Table
    read: dict[Any, Any] = field(default_factory=dict, repr=False)  # columns read so far

    @staticmethod
    def smallest(release: Release, limit: int) -> "Pairs":
        """The keyed sample: the pairs of smallest uid, which are hashes."""
        found = smallest(release.out, release.mark["subset"], SUBSET.names, limit)
        return Pairs(release, SUBSET.arrow.empty_table() if found is None else found)

    @staticmethod
    def of(release: Release, uids: list[str]) -> "Pairs":
        """The pairs of these uids; one that the release does not know is left out."""
        found = rows_of(release.out, release.mark["subset"], pa.array(sorted(uids), pa.string()), SUBSET.names)
        return Pairs(release, SUBSET.arrow.empty_table() if found is None else found.sort_by("uid"))

    def __len__(self) -> int:
        return len(self.verdicts)

    @property
    def uids(self) -> pa.Array:
        return whole(self.verdicts["uid"])

    @property
    def kept(self) -> pa.Array:
        return whole(self.verdicts["keep"])

    def reached(self, number: int) -> pa.Array:
        """Whether each pair came as far as the step `number` (from 0), as a boolean array."""
        names = [s["name"] for s in self.release.mark["stages"]]
        ended = pc.index_in(whole(self.verdicts["drop_stage"]), pa.array(names, pa.string()))
        return pc.or_(self.kept, pc.fill_null(pc.greater_equal(ended, number), False))

    def stage(self, number: int) -> dict[str, Any] | None:
        """The commit record of a step's table, or None where the store no longer has it."""
        key = ("stage", number)
        if key not in self.read:
            self.read[key] = tables.read_done(self.release.mark["stages"][number]["folder"])
        return self.read[key]

    def stage_rows(self, number: int) -> pa.Table | None:
        """The step's own table, a row per pair (null where the pair did not reach it); None where it is gone."""
        key = ("rows", number)
        if key not in self.read:
            done, folder = self.stage(number), self.release.mark["stages"][number]["folder"]
            columns = done["columns"] if done else []
            self.read[key] = aligned(done and rows_of(folder, done["parts"], self.uids, columns), self.uids, columns)
        return self.read[key]

    def pool_rows(self, columns: tuple[str, ...]) -> pa.Table | None:
        """Columns of the pool, a row per pair; None where the pool is gone or grew and lost nothing of them."""
        if columns not in self.read:
            found = [t for t in self._pool_parts(columns) if t is not None]
            self.read[columns] = aligned(pa.concat_tables(found) if found else None, self.uids, list(columns))
        return self.read[columns]

    def _pool_parts(self, columns: tuple[str, ...]) -> Iterator[pa.Table | None]:
        try:
            pool = Pool.open(self.release.mark["pool"])
        except CurationError:
            return
        for part in pool.parts:
            folder = join(pool.uri, "pairs", part["key"])
            done = tables.read_done(folder)
            if done is not None:
                yield rows_of(folder, done["parts"], self.uids, list({"uid": 0} | dict.fromkeys(columns)))

    def column(self, name: str, before: int | None = None) -> pa.Array:
        """A column as the step `before` (from 0; None: whoever comes after the last) finds it; null where unknown.

        A stage's column, a pool column, `extra.NAME`, or a signal: as stored, else computed where no picture and no
        model is needed.
        """
        before = len(self.release.mark["stages"]) if before is None else before
        for number in reversed(range(before)):
            done = self.stage(number)
            if done and name in done["columns"] and name not in ("uid", *VERDICT.names):
                rows = self.stage_rows(number)
                return pa.nulls(len(self)) if rows is None else whole(rows[name])
        if name in PAIRS.names or name.startswith("extra."):
            rows = self.pool_rows((name.partition(".")[0],))
            values = pa.nulls(len(self)) if rows is None else whole(rows[0])
            return _entry(values, name.removeprefix("extra.")) if name.startswith("extra.") else values
        stored = self.stored(name, before)
        return self._computed(name, before) if stored is None else whole(stored["value"])

    def stored(self, name: str, before: int) -> pa.Table | None:
        """`value` and `error` of a stored signal, a row per pair; None where the store does not have it."""
        folder = self.release.mark["signals"].get(name, {}).get("folder")
        roots = signal_roots(self.function_name(name))
        ids = self.column("image_id" if roots and roots <= set(IMAGE_INPUTS) else "uid", 0)
        found = signal_rows(folder, ids) if folder else None
        if found is None:
            return None
        inputs = [self.column(c, before) for c in sorted(roots - set(IMAGE_INPUTS))]
        wanted = digests(inputs, len(self))
        if wanted is None:  # inputs whose digest only Spark can tell: any row of the id
            places = pc.index_in(ids, whole(found["id"]))
        else:
            places = pc.index_in(_keyed(ids, wanted), _keyed(whole(found["id"]), whole(found["digest"])))
        return found.select(["value", "error"]).take(places)

    def function_name(self, name: str) -> str:
        """The signal behind a column: the same name, or what [signals.NAME] says it is made `of`."""
        declared = tomllib.loads(self.release.mark.get("recipe_text", "")).get("signals", {}).get(name, {})
        return declared.get("of", name) if isinstance(declared, dict) else name

    def _computed(self, name: str, before: int) -> pa.Array:
        from curation.signals import SIGNALS

        function = SIGNALS.get(self.function_name(name))
        if function is None or function.spec.models or set(function.spec.reads) & set(IMAGE_INPUTS):
            return pa.nulls(len(self))
        known = self.release.mark["signals"].get(name, {}).get("settings", {})
        inputs = [self.column(read, before) for read in function.spec.reads]
        if any(pa.types.is_null(i.type) for i in inputs):
            return pa.nulls(len(self), function.spec.type)
        return whole(function(*inputs, **{k: known.get(k, v) for k, v in function.spec.settings.items()}))


def whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column as one array."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _entry(maps: pa.Array, name: str) -> pa.Array:
    return pa.array([dict(m or ()).get(name) for m in maps.to_pylist()], pa.string())


def signal_roots(name: str) -> set[str]:
    """The pool columns and engine inputs at the roots of a signal; empty for one that is not known any more."""
    from curation.signals import SIGNALS

    if name not in SIGNALS:
        return set()
    reads = SIGNALS[name].spec.reads
    return set().union(*(signal_roots(r) if r in SIGNALS else {r} for r in reads))


def digests(columns: list[pa.Array], rows: int) -> pa.Array | None:
    """What the store keeps beside a value: Spark's xxhash64 of the inputs, int64; None for columns not of text.

    >>> digests([pa.array(["a"]), pa.array(["b"])], 1).to_pylist(), digests([], 1).to_pylist()
    ([-7357372313250070212], [0])
    """
    if not columns:
        return pa.array([0] * rows, pa.int64())
    if not all(pa.types.is_string(c.type) for c in columns):
        return None
    seeds = [DIGEST_SEED] * rows
    for column in columns:  # the hash of one column seeds the next; a null leaves the seed as it is
        values = column.to_pylist()
        seeds = [s if v is None else xxhash.xxh64_intdigest(v.encode(), s) for s, v in zip(seeds, values)]
    return pa.array([s - (1 << 64) if s >> 63 else s for s in seeds], pa.int64())


def _keyed(ids: pa.Array, wanted: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(ids, wanted.cast(pa.string()), ":")
