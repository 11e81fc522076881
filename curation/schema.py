"""Every table that crosses a boundary: column, type, unit, nullable, meaning.

Parquet, zstd. No unsigned types. Vectors are `binary`: little-endian float16, 2·d bytes, because Spark has neither
float16 nor fixed-size lists. A *uid* is 32 hex characters: the first 128 bits of
sha256(image identity + NUL + caption); an *image_id* the same of the image identity alone.
"""

import hashlib
from dataclasses import dataclass, field

import pyarrow as pa

from curation.errors import SchemaError

SCHEMA_VERSION = 1

IMAGE = pa.struct([("uri", pa.string()), ("offset", pa.int64()), ("length", pa.int64())])
CAPTIONS = pa.list_(
    pa.struct(
        [
            ("text", pa.string()),
            ("kind", pa.string()),
            ("model", pa.string()),
            ("language", pa.string()),
            ("negative", pa.bool_()),
        ]
    )
)
EXTRA = pa.map_(pa.string(), pa.string())
MEMBERS = pa.struct([("image", pa.int64()), ("text", pa.int64()), ("json", pa.int64())])
VECTOR = pa.binary()


@dataclass(frozen=True)
class Column:
    """One column: its Arrow type, whether null is allowed, and what it holds (with unit and range)."""

    name: str
    type: pa.DataType
    doc: str
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """A named list of columns; the order is the order in the file."""

    name: str
    columns: tuple[Column, ...] = field(default=())

    @property
    def arrow(self) -> pa.Schema:
        return pa.schema([pa.field(c.name, c.type, c.nullable) for c in self.columns])

    @property
    def names(self) -> list[str]:
        return [c.name for c in self.columns]

    def check(self, found: pa.Schema, where: str) -> None:
        """Raise SchemaError unless `found` has exactly these columns with these types, in any order."""
        missing = [n for n in self.names if n not in found.names]
        extra = [n for n in found.names if n not in self.names]
        if missing or extra:
            raise SchemaError(
                f"{where}: table {self.name} lacks {missing} and has unknown {extra}; wanted {self.names}"
            )
        for column in self.columns:
            if found.field(column.name).type != column.type:
                raise SchemaError(
                    f"{where}: column {self.name}.{column.name} is {found.field(column.name).type}, "
                    f"wanted {column.type}"
                )


PAIRS = Table(
    "pairs",
    (
        Column("uid", pa.string(), "32 hex: sha256(image identity NUL caption), unique in a pool"),
        Column("image_id", pa.string(), "32 hex: sha256(image identity)"),
        Column("url", pa.string(), "where the image can be fetched", True),
        Column("image", IMAGE, "pointer to the encoded bytes, null until downloaded; no length: the whole file", True),
        Column("caption", pa.string(), "the text as ingested"),
        Column("caption_kind", pa.string(), "alt, title, figcaption, caption, group_caption, ..."),
        Column("source", pa.string(), "name of the data set (--name)"),
        Column("kind", pa.string(), "crawl, jats, latex, table or tar"),
        Column("source_uri", pa.string(), "the file it came from"),
        Column("document", pa.string(), "page URL, PMCID, arXiv id, key or row number in the source"),
        Column("license", pa.string(), "as found", True),
        Column("license_group", pa.string(), "commercial, noncommercial, other or null", True),
        Column("context", pa.string(), "paragraphs that cite the figure, or text around the image", True),
        Column("captions", CAPTIONS, "rewrites, translations and generated captions", True),
        Column("repeats", pa.int32(), "input items merged into this row, at least 1"),
        Column("extra", EXTRA, "whatever other columns the source had", True),
    ),
)

REJECTS = Table(
    "rejects",
    (
        Column("source_uri", pa.string(), "the file"),
        Column("item", pa.string(), "row number, record offset, key or member inside it"),
        Column("error", pa.string(), "reason code"),
        Column("detail", pa.string(), "what was wanted and found", True),
    ),
)

OPT_OUT = "opt_out"
OPT_OUTS = Table(
    "opt_outs",
    (
        Column("image_id", pa.string(), "as in pairs, of this part of the pool or an earlier one; each once"),
        Column(
            OPT_OUT, pa.string(), "terms of pages that forbid the use, sorted, comma between; not those known before"
        ),
    ),
)

DOWNLOADS = Table(
    "downloads",
    (
        Column("image_id", pa.string(), "as in pairs, each once"),
        Column("url", pa.string(), "what was asked for"),
        Column("status", pa.string(), "ok, or why there is no image: robots, opt_out, http_404, timeout, ..."),
        Column("http_status", pa.int32(), "of the last answer, redirects included; null where there was none", True),
        Column("sha256", pa.string(), "64 hex, of the bytes that image points to; null unless ok", True),
        Column("width", pa.int32(), "pixels, after EXIF rotation; null unless ok", True),
        Column("height", pa.int32(), "pixels, after EXIF rotation; null unless ok", True),
        Column("format", pa.string(), "jpg, png, webp, gif, bmp or tiff, by content; null unless ok", True),
        Column("bytes", pa.int64(), "of the image; null unless ok", True),
        Column("fetched_at", pa.timestamp("us", "UTC"), "when the last attempt ended"),
        Column("attempts", pa.int32(), "requests for the image so far, all runs; redirects count, robots.txt does not"),
        Column("image", IMAGE, "pointer to the bytes; null unless ok", True),
        Column("detail", pa.string(), "what was wanted and found; which directive was obeyed; null if ok", True),
    ),
)

VERDICT = Table(
    "verdict",
    (
        Column("keep", pa.bool_(), "whether the pair passes the stage"),
        Column("drop_reason", pa.string(), "the first failing rule as written, null if kept", True),
        Column("drop_value", pa.string(), "the value that failed, null if kept", True),
    ),
)

SUBSET = Table(
    "subset",
    (
        Column("uid", pa.string(), "every pair of the pool, once"),
        Column("keep", pa.bool_(), "whether it is in the release"),
        Column("drop_stage", pa.string(), "the step of the recipe that dropped it", True),
        Column("drop_reason", pa.string(), "the rule it failed, as written", True),
        Column("drop_value", pa.string(), "the value that failed", True),
    ),
)

SAMPLES = Table(
    "samples",
    (
        Column("uid", pa.string(), "as in the pool"),
        Column("image_id", pa.string(), "as in the pool"),
        Column("shard", pa.int32(), "number of the shard, from 0 without gaps"),
        Column("key", pa.string(), "member name without extension: the uid"),
        Column("offset", MEMBERS, "byte offset in the shard at which each member's data begins"),
        Column("bytes", MEMBERS, "bytes of each member's data"),
        Column("caption", pa.string(), "what stands in the .txt member"),
        Column("captions", CAPTIONS, "further captions", True),
        Column("width", pa.int32(), "pixels, after EXIF rotation"),
        Column("height", pa.int32(), "pixels, after EXIF rotation"),
        Column("format", pa.string(), "extension of the image member: jpg, png or webp"),
        Column("sha256", pa.string(), "64 hex, of the image member"),
        Column("source", pa.string(), "as in the pool"),
        Column("kind", pa.string(), "as in the pool"),
        Column("document", pa.string(), "as in the pool"),
        Column("url", pa.string(), "as in the pool", True),
        Column("license", pa.string(), "as in the pool", True),
        Column("license_group", pa.string(), "as in the pool", True),
    ),
)

SHARDS = Table(
    "shards",
    (
        Column("shard", pa.int32(), "number of the shard"),
        Column("samples", pa.int64(), "samples in it"),
        Column("bytes", pa.int64(), "bytes of the tar"),
        Column("sha256", pa.string(), "64 hex, of the tar"),
    ),
)


def hex_id(*parts: str) -> str:
    """First 128 bits of sha256 over the parts joined by NUL, as 32 lower-case hex characters.

    >>> hex_id("http://example.com/a.jpg", "a dog")
    '2e5c298fca0b31b48241645c0f27d17c'
    """
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
