"""Some pairs of a release with whatever pool, stages and store know of each; no Spark."""

import contextlib
import functools
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation import tables
from curation.errors import MissingModelError, RecipeError
from curation.files import join
from curation.forgetting import FORGOTTEN
from curation.pool import Pool
from curation.report.parts import aligned, digests, first_rows, read_where, rows_of, signal_rows, whole
from curation.schema import PAIRS, SUBSET, VERDICT
from curation.shards.manifest import Release
from curation.signal import IMAGE_INPUTS


@dataclass(frozen=True)
class Pairs:
    """Pairs of a release, ascending by uid: `verdicts` has a row of schema.SUBSET for each.

    Each array that comes out has one value per pair, null where it is not known (any more).
    """

    release: Release
    verdicts: pa.Table
    read: dict[Any, Any] = field(default_factory=dict, repr=False)  # what was read so far

    @staticmethod
    def sample(release: Release, limit: int) -> "Pairs":
        """The keyed sample: the pairs of smallest uid (uids are hashes), the forgotten ones left out."""
        known = pc.field("drop_reason").is_null() | (pc.field("drop_reason") != FORGOTTEN)
        found = first_rows(release.out, release.mark["subset"], SUBSET.names, limit, known)
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

    @property
    def forgotten(self) -> pa.Array:
        """Whether each pair was forgotten, by the release or its pool, boolean: no table is to tell of it any more."""
        if "forgotten" not in self.read:
            gone = [p for p in self.release.mark.get("changes", []) if p["name"].endswith(".parquet")]
            found = [read_where(self.release.out, part, ["uid"]) for part in gone]
            with contextlib.suppress(RecipeError):  # the pool may be gone
                found.append(Pool.open(self.release.places["pool"]).forgotten_pairs())
            listed = [pc.is_in(self.uids, whole(table["uid"])) for table in found]
            by_reason = pc.fill_null(pc.equal(whole(self.verdicts["drop_reason"]), FORGOTTEN), False)
            self.read["forgotten"] = functools.reduce(pc.or_, listed, by_reason)
        return self.read["forgotten"]

    def reached(self, number: int) -> pa.Array:
        """Whether each pair came to the step `number` (from 0), boolean."""
        names = [s["name"] for s in self.release.mark["stages"]]
        ended = pc.index_in(whole(self.verdicts["drop_stage"]), pa.array(names, pa.string()))
        return pc.or_(self.kept, pc.fill_null(pc.greater_equal(ended, number), False))

    def stage(self, number: int) -> dict[str, Any] | None:
        """The commit record of a step's table, or None where the store no longer has it."""
        key = ("stage", number)
        if key not in self.read:
            self.read[key] = tables.read_done(self.release.stage_folder(number))
        return self.read[key]

    def stage_rows(self, number: int) -> pa.Table | None:
        """The step's own table, a row per pair; None where the store no longer has it."""
        key, done = ("rows", number), self.stage(number)
        if done is None:
            return None
        if key not in self.read:
            folder = self.release.stage_folder(number)
            found = rows_of(folder, done["parts"], self.uids, done["columns"])
            self.read[key] = None if found is None else aligned(found, self.uids)
        return self.read[key]

    def pool_rows(self, columns: list[str]) -> pa.Table | None:
        """Columns of the pool, a row per pair; None where the pool is gone."""
        key = ("pool", *columns)
        if key not in self.read:
            found = [t for t in self._pool_parts(columns) if t is not None]
            self.read[key] = aligned(pa.concat_tables(found), self.uids).select(columns) if found else None
        return self.read[key]

    def _pool_parts(self, columns: list[str]) -> Iterator[pa.Table | None]:
        try:
            pool = Pool.open(self.release.places["pool"])
        except RecipeError:
            return
        uids = self.uids.filter(pc.invert(self.forgotten))
        for part in pool.parts:
            folder = join(pool.uri, "pairs", part["key"])
            done = tables.read_done(folder)
            if done is not None:
                yield rows_of(folder, done["parts"], uids, list(dict.fromkeys(["uid", *columns])))

    def column(self, name: str, before: int | None = None) -> pa.Array:
        """A column as the step `before` (from 0; None: whoever comes after the last) finds it.

        A stage's column, a pool column, `extra.NAME`, or a signal: as stored, else computed where that needs neither a
        picture nor a model.
        """
        before = len(self.release.mark["stages"]) if before is None else before
        for number in reversed(range(before)):
            done = self.stage(number)
            if done and name in done["columns"] and name not in ("uid", *VERDICT.names):
                rows = self.stage_rows(number)
                return pa.nulls(len(self)) if rows is None else whole(rows[name])
        if name in PAIRS.names or name.startswith("extra."):
            rows = self.pool_rows([name.partition(".")[0]])
            values = pa.nulls(len(self)) if rows is None else whole(rows[0])
            return values if name in PAIRS.names else _entry(values, name.removeprefix("extra."))
        stored = self.stored(name, before)
        return self._computed(name, before) if stored is None else whole(stored["value"])

    def stored(self, name: str, before: int) -> pa.Table | None:
        """`value` and `error` of a stored signal, a row per pair; None where the store does not have it."""
        folder = self.release.signal_folder(name)
        roots = signal_roots(self.function_name(name))
        ids = self.column("image_id" if roots and roots <= set(IMAGE_INPUTS) else "uid", 0)
        found = signal_rows(folder, ids) if folder and pa.types.is_string(ids.type) else None
        if found is None:
            return None
        inputs = [self.column(c, before) for c in sorted(roots - set(IMAGE_INPUTS))]
        wanted = digests(inputs, len(self)) if roots else None
        images = self.column("image", before) if roots & set(IMAGE_INPUTS) else pa.nulls(0)
        if wanted is not None and pa.types.is_struct(images.type):  # as the store tells a picture that was not there
            wanted = pc.if_else(pc.is_null(images), pc.bit_wise_not(wanted), wanted)
        if wanted is None:  # an unknown signal, or inputs whose digest only Spark can tell: any row of the id
            places = pc.index_in(ids, whole(found["id"]))
        else:
            places = pc.index_in(_keyed(ids, wanted), _keyed(whole(found["id"]), whole(found["digest"])))
        return found.select(["value", "error"]).take(places)

    def function_name(self, name: str) -> str:
        """The signal behind a column: the same name, or what [signals.NAME] says it is made `of`."""
        if name in self.release.mark.get("signals", {}):
            return self.release.mark["signals"][name]["of"]
        declared = tomllib.loads(self.release.mark.get("recipe_text", "")).get("signals", {}).get(name, {})
        return declared.get("of", name) if isinstance(declared, dict) else name

    def _ambiguous(self, name: str) -> bool:
        """Whether the recipe reads the signal under several settings: the mark does not say which its reader has."""
        return len({s["key"] for s in self.release.mark["signals"].values() if s["of"] == name}) > 1

    def _computed(self, name: str, before: int) -> pa.Array:
        from curation.signals import SIGNALS

        function = SIGNALS.get(self.function_name(name))
        if function is None or "clip" in function.spec.models.values() or set(function.spec.reads) & set(IMAGE_INPUTS):
            return pa.nulls(len(self))
        if any(self._ambiguous(read) for read in function.spec.reads):
            return pa.nulls(len(self), function.spec.type)
        settings = function.spec.settings | self.release.mark["signals"].get(name, {}).get("settings", {})
        inputs = [self.column(read, before) for read in function.spec.reads]
        if any(pa.types.is_null(i.type) for i in inputs):
            return pa.nulls(len(self), function.spec.type)
        try:
            return whole(function(*inputs, **settings))
        except (MissingModelError, RecipeError):  # a file or a library that was there when the recipe ran
            return pa.nulls(len(self), function.spec.type)


def signal_roots(name: str) -> set[str]:
    """The pool columns and engine inputs at the roots of a signal; empty for one that is not known any more."""
    from curation.signals import SIGNALS

    reads = SIGNALS[name].spec.reads if name in SIGNALS else ()
    return set().union(*(signal_roots(r) if r in SIGNALS else {r} for r in reads))


def _entry(maps: pa.Array, name: str) -> pa.Array:
    return pa.array([dict(m or ()).get(name) for m in maps.to_pylist()], pa.string())


def _keyed(ids: pa.Array, wanted: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(ids, wanted.cast(pa.string()), ":")
