"""Which rows of a release a reader is to have: by uid, by bounds on columns of the manifest; and what each weighs."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from curation.bounds import Bound, check_type, held
from curation.errors import RecipeError, unknown
from curation.lists import read_listed
from curation.parts import parquet_schema
from curation.schema import hex_id
from curation.shards.manifest import Release

Weights = str | Mapping[str, float]
ROWS_AT_ONCE = 1 << 20  # read and compared together: a list of uids is hashed once for so many rows


class Selection(NamedTuple):
    """Rows per shard, ascending, int32 (None: all of them), their weights (None: none), and a name for all of that."""

    rows: list[np.ndarray] | None
    weights: list[np.ndarray] | None
    key: str


def select(
    release: Release,
    uids: Iterable[str] | str | None,
    where: Mapping[str, Any] | None,
    weights: Weights | None,
    columns: Iterable[str] = (),
) -> Selection:
    """The rows of these uids (or of the list in a file) that pass every bound, as a recipe writes them.

    A weight of 0, or none in a mapping, leaves a row out. RecipeError for what the manifest does not have, of
    `columns` that are to be read later, too.
    """
    shards = len(release.tars)
    schema = parquet_schema(release.out, release.mark["samples"]) if shards else pa.schema([])
    if shards and (missing := set(columns) - set(schema.names)):
        raise unknown("column", missing, schema.names, f"columns of {release.out}")
    bounds = {name: _bound(name, bound, schema, release.out) for name, bound in (where or {}).items()}
    wanted = None if uids is None else _values(uids)
    if wanted is None and not bounds and weights is None:
        return Selection(None, None, _key(release))
    read = list(dict.fromkeys(["uid", *bounds, *([weights] if isinstance(weights, str) else [])]))
    if isinstance(weights, str) and weights not in schema.names:
        raise unknown("column", [weights], schema.names, f"weights of {release.out}")
    ends = {
        name: _last_in_top(release, name, bound) for name, bound in bounds.items() if bound.top_fraction is not None
    }
    rows, found = [], []
    for table in _shards(release, read):
        keep = np.ones(len(table), bool) if wanted is None else _mask(pc.is_in(table["uid"], wanted))
        for name, bound in bounds.items():
            keep &= _passes(table, name, bound, ends)
        heavy = None if weights is None else _weights(table, weights, release.out)
        keep &= True if heavy is None else heavy > 0
        rows.append(keep)
        found.append(None if heavy is None else heavy[keep])
    sizes = np.cumsum([part["rows"] for part in release.mark["samples"]])
    masks = np.split(np.concatenate([np.zeros(0, bool), *rows]), sizes[:-1]) if shards else []
    chosen = [np.flatnonzero(mask).astype(np.int32) for mask in masks]
    per_shard = None
    if weights is not None:
        ends_ = np.cumsum([len(each) for each in chosen])
        per_shard = np.split(np.concatenate([np.zeros(0), *found]), ends_[:-1]) if shards else []
    return Selection(chosen, per_shard, _key(release, *chosen, *(per_shard or ())))


def _key(release: Release, *chosen: np.ndarray) -> str:
    digest = hashlib.sha256()
    for each in chosen:
        digest.update(b"%s%d\0" % (each.dtype.str.encode(), len(each)))  # where each ends: rows count from 0 in a shard
        digest.update(each.tobytes())
    return hex_id("selection", *(part["sha256"] for part in release.mark["samples"]), digest.hexdigest())


def _shards(release: Release, columns: list[str]) -> Iterator[pa.Table]:
    """The samples of the release, many shards at once."""
    held: list[pa.Table] = []
    for number in range(len(release.tars)):
        held.append(release.shard_samples(number, columns))
        if sum(map(len, held)) >= ROWS_AT_ONCE:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)


def _values(values: Iterable[str] | str) -> pa.Array:
    if isinstance(values, str):
        values = (value for _, value in read_listed(values))
    return pa.array(list(values), pa.string()).unique()


def _bound(name: str, bound: Any, schema: pa.Schema, out: str) -> Bound:
    if name not in schema.names:
        raise unknown("column", [name], schema.names, f"where of {out}")
    try:
        found = bound if isinstance(bound, Bound) else Bound.model_validate(bound)
    except ValidationError as error:
        told = "; ".join(each["msg"] for each in error.errors()[:3])
        raise RecipeError(f"where {name} = {bound}: {told}") from error
    check_type(name, found, schema.field(name).type)
    return found


def _mask(values: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """bool, false for null."""
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False), bool)


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """float64, NaN for null."""
    return pc.fill_null(pc.cast(column, pa.float64(), safe=False), np.nan).to_numpy()


def _passes(table: pa.Table, name: str, bound: Bound, ends: dict[str, tuple[float, str | None]]) -> np.ndarray:
    """Whether each row passes; null, NaN and infinity never do."""
    column = table[name]
    if bound.in_file is not None:
        return _mask(pc.is_in(column, _values(bound.in_file))) & _mask(column.is_valid())
    if bound.in_ is not None and bound.kind != "number":
        return _mask(pc.is_in(column, pa.array(bound.in_, column.type))) & _mask(column.is_valid())
    if bound.in_ is not None:
        return np.isin(_numbers(column), np.array([held(value, column.type) for value in bound.in_], np.float64))
    values = _numbers(column)
    keep = np.isfinite(values)
    if bound.top_fraction is not None:
        last, uid = ends[name]
        later = values < last
        if uid is not None:
            tied = np.flatnonzero(values == last)
            after = _mask(pc.greater(table["uid"].take(pa.array(tied)), uid))
            later[tied[after]] = True
        return keep & ~later
    keep &= values >= held(bound.min, column.type) if bound.min is not None else True
    return keep & (values <= held(bound.max, column.type) if bound.max is not None else True)


def _last_in_top(release: Release, name: str, bound: Bound) -> tuple[float, str | None]:
    """The last value in the top fraction and, where ties are cut, the last uid that has it; infinity for no row."""
    values = [_numbers(table[name]) for table in _shards(release, [name])]
    values = np.concatenate([np.zeros(0), *values])
    finite = np.isfinite(values)
    place = int(finite.sum() * bound.top_fraction) - (bound.rule == "exact")
    if not 0 <= place < finite.sum():
        return np.inf, None
    last = -np.partition(-values[finite], place)[place]
    if bound.rule == "datacomp":
        return last, None
    cut = place + 1 - int((values[finite] > last).sum())
    uids = release.samples(["uid"])["uid"].take(pa.array(np.flatnonzero(values == last)))
    return last, sorted(uids.to_pylist())[cut - 1]


def _weights(table: pa.Table, weights: Weights, out: str) -> np.ndarray:
    """float64, a weight per row; RecipeError for one that is none."""
    if isinstance(weights, str):
        found = _numbers(table[weights])
    else:
        found = np.array([weights.get(uid, 0.0) for uid in table["uid"].to_pylist()], np.float64)
    wrong = int((~np.isfinite(found) | (found < 0)).sum())
    if wrong:
        raise RecipeError(f"weights of {out}: wanted finite numbers of at least 0, found {wrong} others")
    return found
