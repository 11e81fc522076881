"""The Spark side: which images lack, laid out by host; then the table `downloads`, one row per image_id.

`HOME/downloads/<key>/` holds the table, `HOME/downloads/_done.json` its commit record, `HOME/images/*.tar` the images.
A run fetches into `HOME/staging/`, page by page, and commits all pages as a new version of the table; an interrupted
run leaves its pages there, and the next one takes them in before it asks what lacks.

A row of the old version goes on unless the image was fetched again. What is `ok` is never fetched again, and of the
rest only what may be another way another day (visit.RETRYABLE).
"""

import importlib.util
import sys
from collections.abc import Iterable
from typing import Any

import fsspec

from curation import tables
from curation.download.settings import Settings
from curation.errors import BadItemError, LostRowsError, RecipeError, StaleOutputError
from curation.files import join, locked, remove_folder, swept
from curation.schema import DOWNLOADS, hex_id

TABLE, STAGING = "downloads", "staging"
# Rows in a bucket: all images of one host are in one, so few hosts make few buckets. Small ones keep the cores of a
# small job busy, large ones have more hosts each; both are assumptions.
SMALL_BUCKET, SMALL_BUCKETS, BUCKET = 1024, 16, 16384
MAX_BUCKETS = 4096
PAGE_ROWS = 1024  # what a killed run has to fetch again at most, times the pages open; about 100 MB of photographs
PAGE_BITS = 24  # of the place of a page in its bucket, in one number with the bucket
HOST = r"^[a-zA-Z]+://(?:[^/?#@]*@)?(\[[^\]]*\]|[^/:?#]*)"  # only for the layout; addresses.py is what decides


def check(allow_host: Iterable[str], where: str) -> None:
    """Raise RecipeError, before any work, where the libraries lack or `allow_host` cannot be read."""
    missing = [name for name in ("aiohttp", "protego") if importlib.util.find_spec(name) is None]
    if missing:
        raise RecipeError(f"{where}: needs {', '.join(missing)}: pip install 'curation[download]'")
    from curation.download.addresses import Gatekeeper

    try:
        Gatekeeper(tuple(allow_host))
    except BadItemError as error:
        raise RecipeError(f"{where}: {error.detail}") from error


def read(spark: Any, home: str) -> Any | None:
    """The table `downloads` of a pool or another home as a DataFrame; None where it has none."""
    done = tables.read_done(join(home, TABLE))
    return None if done is None else tables.read_spark(spark, join(home, TABLE), done["parts"])


def fetch(spark: Any, images: Any, home: str, settings: Settings) -> dict[str, Any]:
    """Fetch what lacks of `images` (image_id, url, opt_out; one row each) into `home`; the table's commit record.

    The caller holds the lock of `home`. StaleOutputError where `home` holds images in another form.
    """
    done = tables.read_done(join(home, TABLE)) or {"key": "", "form": settings.form, "parts": [], "tars": [], "rows": 0}
    if done["form"] != settings.form:
        raise StaleOutputError(f"{home} holds images of the form {done['form']}, wanted {settings.form}: name another")
    with swept(*(join(home, name) for name in ("images", STAGING, TABLE))):
        left = left_over(home)  # by a run that was interrupted
        known = _united(spark, home, done, left)
        records = _run(_wanted(images, known, settings), home, settings)
        if left or records or not done["key"]:
            done = _commit(spark, home, done, settings, [*left, *records])
    return done | {"fetched": sum(record["part"]["rows"] for record in records)}


def retryable(done: dict[str, Any], settings: Settings) -> int:
    """How many images of a table the next run would fetch again."""
    return sum(count for status, count in done["statuses"].items() if status in _again(settings))


def _again(settings: Settings) -> list[str]:
    from curation.download.visit import RETRYABLE

    return sorted({*RETRYABLE, *settings.retry} - {"ok"})


def left_over(home: str) -> list[dict[str, Any]]:
    """The records of whole pages that an interrupted run left in `home`."""
    from curation.download.pages import finished

    file_system, folder = fsspec.core.url_to_fs(join(home, STAGING))
    # Not by a pattern: the folder's own name may read as one.
    names = sorted(file_system.ls(folder, detail=False)) if file_system.isdir(folder) else []
    found = (name.rpartition("/")[2] for name in names if name.endswith(".json"))
    records = [finished(home, name.removesuffix(".json")) for name in found]
    return [record for record in records if record is not None]


def _united(spark: Any, home: str, done: dict[str, Any], records: list[dict[str, Any]]) -> Any | None:
    """The table with the staged pages taken in, a row per image: a success stays, else the last attempt counts.

    None for nothing at all. Two interrupted runs may have tried the same image.
    """
    from pyspark.sql import functions as F

    old = tables.read_spark(spark, join(home, TABLE), done["parts"]) if done["parts"] else None
    if not records:
        return old
    rows = tables.read_spark(spark, join(home, STAGING), [record["part"] for record in records])
    rows = rows.withColumn("_old", F.lit(False))
    if old is not None:
        rows = rows.unionByName(old.withColumn("_old", F.lit(True)))
    ok = F.col("status") == "ok"
    best = F.max_by(F.struct(*DOWNLOADS.names), F.struct(ok, ok & F.col("_old"), "fetched_at")).alias("row")
    return rows.groupBy("image_id").agg(best).select("row.*")


def _wanted(images: Any, known: Any | None, settings: Settings) -> Any:
    """What is to be fetched, with its place: all rows of a host in one bucket, a bucket in pages by keyed hash."""
    from pyspark.sql import functions as F

    host = F.lower(F.regexp_extract("url", HOST, 1))
    placed = images.withColumn("_fine", F.pmod(F.xxhash64(host), F.lit(MAX_BUCKETS)).cast("int"))
    # Of all images, also those that are there: so an interrupted run and its end lay out the same pages.
    counts = {row["_fine"]: row["count"] for row in placed.groupBy("_fine").count().collect()}
    buckets = bucket_count(sum(counts.values()))
    pages = [0] * buckets
    for fine, count in counts.items():
        pages[fine % buckets] += count
    sizes = F.array(*(F.lit(max(1, -(-count // PAGE_ROWS))) for count in pages))
    bucket = F.pmod("_fine", F.lit(buckets)).cast("int")
    page = F.pmod(F.xxhash64("image_id"), F.element_at(sizes, bucket + 1))
    place = F.shiftleft(bucket.cast("long"), PAGE_BITS) + page
    if known is None:
        wanted = placed.withColumn("attempts", F.lit(0))
    else:
        again = F.col("status").isNull() | F.col("status").isin(_again(settings))
        before = known.select("image_id", "status", "attempts")
        wanted = placed.join(before, "image_id", "left").where(again)
        wanted = wanted.withColumn("attempts", F.coalesce("attempts", F.lit(0)))
    columns = ("image_id", "url", "opt_out", "attempts", place.alias("place"), bucket.alias("_bucket"))
    laid = wanted.select(*columns).repartitionById(buckets, "_bucket")
    return laid.drop("_bucket").sortWithinPartitions("place", "image_id")


def bucket_count(images: int) -> int:
    """How many tasks share the work: a power of two that depends on the number of images alone.

    >>> [bucket_count(n) for n in (0, 1024, 1025, 5000, 100_000, 10_000_000, 10**10)]
    [1, 1, 2, 8, 16, 1024, 4096]
    """
    small = min(SMALL_BUCKETS, -(-images // SMALL_BUCKET))
    return min(MAX_BUCKETS, 1 << max(0, max(small, -(-images // BUCKET)) - 1).bit_length())


def _run(wanted: Any, home: str, settings: Settings) -> list[dict[str, Any]]:
    from curation.download.task import fetcher

    return sorted(tables.in_tasks(wanted, fetcher(home, settings)), key=lambda record: record["part"]["name"])


def _commit(
    spark: Any, home: str, old: dict[str, Any], settings: Settings, records: list[dict[str, Any]]
) -> dict[str, Any]:
    """Write the next version of the table and its record; the staged pages go, and the version before the last.

    The last one stays for the runs that are reading it.
    """
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.types import from_arrow_schema

    key = hex_id("downloads", old["key"], *(record["part"]["sha256"] for record in records))[:16]
    folder, schema = join(home, TABLE, key), DOWNLOADS.arrow
    rows = old["rows"] + sum(record["part"]["rows"] for record in records)
    merged = _united(spark, home, old, records)
    empty = spark.createDataFrame([], from_arrow_schema(schema)) if merged is None else merged
    parts = tables.write_spark(empty, folder, schema, rows, key="image_id")
    parts = [part | {"name": f"{key}/{part['name']}"} for part in parts]
    frame = tables.read_spark(spark, join(home, TABLE), parts)
    once = frame.groupBy("image_id").agg(F.min("status").alias("status"), F.count("*").alias("rows"))
    counted = once.groupBy("status").agg(F.count("*").alias("images"), F.max("rows").alias("rows")).collect()
    if any(row["rows"] > 1 for row in counted):
        raise LostRowsError(f"{home}: an image has several rows in the table of downloads")
    tars = {tar["name"]: tar for tar in [*old["tars"], *(r["tar"] for r in records if r["tar"])]}
    done = {
        "table": TABLE,
        "key": key,
        "form": settings.form,
        "parts": parts,
        "rows": sum(part["rows"] for part in parts),
        "statuses": {row["status"]: row["images"] for row in sorted(counted)},
        "tars": [tars[name] for name in sorted(tars)],
    }
    tables.write_done(join(home, TABLE), done)
    remove_folder(join(home, STAGING))
    tables.leave_only(join(home, TABLE), {key, old["key"]})
    return done


def say(text: str) -> None:
    """A line for the person who watches."""
    print(f"  {text}", file=sys.stderr, flush=True)


def told(done: dict[str, Any]) -> None:
    """Say what came of it."""
    counts = ", ".join(f"{status} {count:,}" for status, count in done["statuses"].items())
    say(f"fetched {done['fetched']:,} images; all so far: {counts or 'none'}")


def lock(home: str) -> Any:
    """Hold `home` against other downloads; waits for another one."""
    return locked(home, wait=True)
