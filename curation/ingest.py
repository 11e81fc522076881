"""Sources -> pool: read every file once, merge rows of equal uid, add one part to the pool."""

import json
import os
import sys
from typing import Any

import fsspec
import pyarrow.compute as pc

from curation import opt_outs, tables
from curation.errors import LostRowsError, unknown
from curation.exclude import without
from curation.files import absolute, join, local_path, locked, remove_folder, swept
from curation.pool import Pool
from curation.reading import reader
from curation.schema import OPT_OUTS, PAIRS, hex_id
from curation.session import ROWS_PER_PARTITION, spark_session
from curation.signal import setting_defaults

FOLDERS = ("staging", "pairs", "rejects", OPT_OUTS.name)  # of the pool, each with a folder per part
PLACES = ("image", "source_uri")  # columns that say where something lies, not what it is
ROW_BYTES = 64  # of a URL and a caption in compressed Parquet
MANY_ROWS = 1 << 22  # enough for the settings of large tables
MERGE_ORDER = ("caption_kind", "document")  # design §4: of equal uids the smallest of these stays


def ingest(
    sources: list[str],
    *,
    out: str,
    kind: str | None = None,
    name: str | None = None,
    caption_column: str | None = None,
    url_column: str | None = None,
    image_column: str | None = None,
    path_column: str | None = None,
    license_column: str | None = None,
    key_column: str | None = None,
    context_column: str | None = None,
    image_root: str | None = None,
    caption_key: str | None = None,
    page_bytes: int | None = None,
    page_images: int | None = None,
    table_images: bool | None = None,
    archive_members: int | None = None,
    archive_bytes: int | None = None,
    archive_nesting: int | None = None,
    keep_links: bool | None = None,
    raster_side: int | None = None,
) -> dict[str, Any]:
    """Add SOURCES (files, folders, globs, URIs) to the pool OUT as one part, and say what came of them.

    KIND is found out from the input where not given; NAME is the data set's name (default: the kind). The columns of a
    table are found by their usual names where not given; IMAGE_ROOT is the folder of relative paths (default: the
    table's, an article's, a file list's). CAPTION_KEY is the key of a tar's .json that holds the caption; PAGE_BYTES
    and PAGE_IMAGES bound what is read of one page of a crawl. TABLE_IMAGES takes the tables of papers that are images
    as well; ARCHIVE_MEMBERS, ARCHIVE_BYTES (unpacked) and ARCHIVE_NESTING bound what is read of one archive of papers.
    KEEP_LINKS keeps captions of LaTeX papers that hold a URL, without it; RASTER_SIDE is the longer side, in pixels, of
    their PDF and EPS figures as drawn.

    A pair that the pool has already is left out and counted, and so is one on its list of what is forgotten; a record
    that cannot be a pair becomes a row of rejects/.
    The same sources again: nothing to do.
    """
    given = {k: v for k, v in locals().items() if k not in ("sources", "out", "kind", "name") and v is not None}
    if image_root:
        given["image_root"] = absolute(image_root)  # tasks run in other folders
    return ingest_sources(sources, out, kind, name, given)


def ingest_sources(
    sources: list[str], out: str, kind: str | None, name: str | None, settings: dict[str, Any]
) -> dict[str, Any]:
    """As `ingest`, with the settings of the readers in a dict."""
    from curation.sources import expand

    found = expand(sources, kind)
    _check_settings(settings, {found_kind for _, found_kind in found})
    units = [_unit(uri, found_kind, settings) for uri, found_kind in found]
    key = hex_id("ingest", json.dumps([units, name], sort_keys=True))[:16]
    with locked(absolute(out), wait=True):
        pool = Pool.open_or_new(out)
        if any(part["key"] == key for part in pool.parts):
            remove_folder(join(pool.uri, "staging", key))  # an ingest may have been killed just before it did
            return {"pool": pool.uri, "part": key, "rows": 0, "already_ingested": True, "pool_rows": pool.rows}
        at_most = sum(map(_file_bytes, found)) // ROW_BYTES  # far from it where the files hold pictures or pages
        spark = spark_session(pool.rows + min(at_most, MANY_ROWS))
        print(f"reading {len(units)} files", file=sys.stderr, flush=True)
        rows = [(number, json.dumps(unit)) for number, unit in enumerate(units)]
        laid = spark.createDataFrame(rows, "number int, unit string").repartitionById(len(units), "number")
        with swept(pool.uri, join(pool.uri, "images"), *(join(pool.uri, folder, key) for folder in FOLDERS)):
            records = tables.in_tasks(laid, reader(pool.uri, key, name))
            return _commit(spark, pool, key, units, sorted(records, key=lambda r: r["unit"]))


def _check_settings(settings: dict[str, Any], kinds: set[str]) -> None:
    """Each setting must mean something to the reader of at least one kind that is there."""
    from curation.sources import SOURCES

    known = {name for kind in kinds for name in setting_defaults(SOURCES[kind].read)}
    if set(settings) - known:
        raise unknown("setting", set(settings) - known, known, f"sources of kind {', '.join(sorted(kinds))}")


def _unit(uri: str, kind: str, settings: dict[str, Any]) -> dict[str, Any]:
    """One file to read. Size and time stand for its content, so that a changed file is read again."""
    from curation.sources import SOURCES

    own = {k: v for k, v in settings.items() if k in setting_defaults(SOURCES[kind].read)}
    path = local_path(uri)
    if path:
        info = os.stat(path)
        stamp = [info.st_size, info.st_mtime_ns]
    else:
        file_system, path = fsspec.core.url_to_fs(uri)
        stamp = [file_system.ukey(path)]
    return {"uri": uri, "kind": kind, "stamp": stamp, "settings": own}


def _file_bytes(source: tuple[str, str]) -> int:
    file_system, path = fsspec.core.url_to_fs(source[0])
    return file_system.size(path) or 0


def _commit(spark: Any, pool: Pool, key: str, units: list[dict], records: list[dict]) -> dict[str, Any]:
    """Merge what was found into the part `pairs/<key>/` and list it in pool.json."""
    staging = join(pool.uri, "staging", key)
    found = tables.read_spark(spark, staging, records)
    rows_found = sum(r["rows"] for r in records)
    merged = _merge(found.repartition(1 + rows_found // ROWS_PER_PARTITION, "uid"))
    if 0 < sum(r["pictured"] for r in records) < rows_found:  # a join that most sources do not need
        merged = _shared(merged, found)
    merged, known, gone = _new(spark, pool, merged)
    folder = join(pool.uri, "pairs", key)
    parts = tables.write_spark(merged, folder, PAIRS.arrow, rows_found)
    kept = sum(pc.sum(tables.read_arrow(folder, [p], ["repeats"])["repeats"]).as_py() or 0 for p in parts)
    if kept + known + gone != rows_found:
        counts = f"{kept} merged, {known} known already and {gone} on the list of what is forgotten"
        raise LostRowsError(f"ingest into {pool.uri}: {rows_found} rows found, {counts}")
    tables.write_done(folder, {"table": "pairs", "parts": parts})
    _commit_rejects(pool, key, records)
    part = {
        "key": key,
        "kinds": sorted({unit["kind"] for unit in units}),
        "files": len(units),
        "rows": sum(p["rows"] for p in parts),
        "merged": rows_found - known - gone - sum(p["rows"] for p in parts),
        "already_in_pool": known,
        "rejected": sum(r["rejected"] for r in records),
        "images": [r["images"] for r in records if r["images"]],
        "content": content(tables.read_spark(spark, folder, parts)),
    }
    opted = sum(r["opted_out"] for r in records)
    part = opt_outs.write(part, opt_outs.not_in(pool, found) if opted else None, pool.uri, opted)
    grown = pool.current().with_part(part)
    remove_folder(staging)
    counts = {k: part[k] for k in ("files", "rows", "merged", "already_in_pool", "rejected")}
    counts |= {"left_out_as_forgotten": gone} if gone else {}
    return {"pool": pool.uri, "part": key, **counts, "pool_rows": grown.rows}


def _new(spark: Any, pool: Pool, merged: Any) -> tuple[Any, int, int]:
    """The pairs that the pool neither has nor has forgotten, and how many rows it has already and has forgotten."""
    known = gone = 0
    barred = pool.rules()
    if barred is not None:
        allowed = without(merged, barred)
        gone = merged.join(allowed.select("uid"), "uid", "left_anti").selectExpr("sum(repeats)").first()[0] or 0
        merged = allowed
    if pool.parts:
        old = pool.pairs(spark).select("uid")
        known = merged.join(old, "uid", "left_semi").selectExpr("sum(repeats)").first()[0] or 0
        merged = merged.join(old, "uid", "left_anti")
    return merged, known, gone


def content(pairs: Any) -> str:
    """32 hex of the rows, less their places: order, files and folders do not count."""
    from pyspark.sql import functions as F

    columns = [F.col(name) for name in PAIRS.names if name not in (*PLACES, "extra")]
    columns += [F.col("image").isNull(), F.array_sort(F.map_entries("extra"))]
    return tables.row_hash(pairs, columns)


def _merge(found: Any) -> Any:
    """One row per uid: the smallest by MERGE_ORDER, with the summed repeats, and an image if any of them has one."""
    from pyspark.sql import functions as F

    # Then all else that a row holds and, last, where it lies: sources may be shuffled and cut into other files.
    rest = [name for name in PAIRS.names if name not in (*MERGE_ORDER, *PLACES, "extra", "repeats")]
    order = F.struct(*MERGE_ORDER, *rest, F.array_sort(F.map_entries("extra")), *reversed(PLACES))
    smallest = F.min_by(F.struct(*PAIRS.names), order).alias("row")
    repeats = F.sum("repeats").cast("int").alias("repeats")
    one = found.groupBy("uid").agg(smallest, F.min("image").alias("image"), repeats)
    kept = [F.col(f"row.{n}").alias(n) for n in PAIRS.names if n not in ("uid", "image", "repeats")]
    image = F.coalesce("row.image", "image").alias("image")
    return one.select("uid", *kept, image, "repeats")


def _shared(pairs: Any, found: Any) -> Any:
    """The pairs, those without an image with the smallest that is found for another pair of their image_id."""
    from pyspark.sql import functions as F

    there = found.where("image IS NOT NULL").groupBy("image_id").agg(F.min("image").alias("_there"))
    joined = pairs.join(there, "image_id", "left").withColumn("image", F.coalesce("image", "_there"))
    return joined.select(*PAIRS.names)


def _commit_rejects(pool: Pool, key: str, records: list[dict]) -> None:
    parts = [
        {"name": r["name"], "rows": r["rejected"], "bytes": r["rejects_bytes"], "sha256": r["rejects_sha256"]}
        for r in records
    ]
    tables.write_done(join(pool.uri, "rejects", key), {"table": "rejects", "parts": parts})
