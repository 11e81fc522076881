"""Which of some duplicates is preferred, what an earlier release has, and what the pairs are told."""

from typing import Annotated, Any

import pyarrow as pa
from pydantic import AfterValidator

from curation.duplicates import EARLIER
from curation.errors import BrokenTableError, RecipeError
from curation.files import absolute
from curation.schema import CAPTIONS, Column
from curation.shards.mark import MARK, parsed, read_mark
from curation.stage import verdict

PIXELS = "pixels"
COPIED = {"image_sha256": "sha256"}  # what every manifest says of a picture that was copied
REASONS = {"image_id": "duplicate_image", "uid": "duplicate_pair"}
MERGED = 1000  # assumption: captions of a group beyond so many, in text order, are left out; one row has to hold them
GROUPS = (
    Column("uid", pa.string(), "a pair that was dropped as a duplicate"),
    Column("image_id", pa.string(), "its image"),
    Column("group", pa.string(), "the image (or pair, where pairs are compared) that stays for it; it names the group"),
    Column("representative", pa.string(), "the pair that stays, an image's first one; null if earlier", True),
    Column("similarity", pa.float64(), "to the image that stays, or to the nearest better one (mode); 1 equal", True),
    Column("earlier", pa.bool_(), "whether the image that stays is in an earlier release"),
)
MERGED_CAPTIONS = (Column("captions", CAPTIONS, "its own, then those of the duplicates it stands for", True),)
CAPTION_DDL = "array<struct<text:string,kind:string,model:string,language:string,negative:boolean>>"


def _release_file(path: str) -> str:
    file = path if path.endswith(MARK) else f"{path.rstrip('/')}/{MARK}"
    try:
        mark, fault = parsed(read_mark(_folder(file)))
    except BrokenTableError as error:
        raise ValueError(str(error)) from error
    if mark is None or not mark["samples"]:
        raise ValueError(f"{file} {fault or 'has no samples'}: wanted a release that write_shards made")
    return file


# A release, by its folder or its release.json; kept as the latter, whose content then is part of the stage's key.
EarlierRelease = Annotated[str, AfterValidator(_release_file)]


def _folder(file: str) -> str:
    return absolute(file.removesuffix(MARK).rstrip("/"))


def check_earlier(against: list[str], key: str, named: str, where: str) -> None:
    """RecipeError where an earlier release has the vectors `named` by another model or other settings than `key`."""
    from curation.shards.manifest import Release

    for file in against:
        told = Release.open(_folder(file)).mark["signals"].get(named)
        if told is not None and told["key"] != key:
            raise RecipeError(
                f"{where}: against: {file} has {named} of {told['of']} with {told['settings']}; wanted vectors by the "
                "model and with the settings of this recipe, or the weights or the version differ"
            )


def preferred_columns(prefer: list[str]) -> list[str]:
    """The columns read for a preference: `pixels`, or names of columns of numbers."""
    names = [["image_width_px", "image_height_px"] if name == PIXELS else [name] for name in prefer]
    return [name for each in names for name in each]


def ranked(pairs: Any, key: str, prefer: list[str], unit: str = "image_id") -> Any:
    """(item, `key`, rank) of each `unit`: the smaller rank, an array of doubles, is preferred.

    By each of `prefer` in turn, the highest of the unit's pairs, null, NaN and text that is no number last; ties are by
    the unit.
    """
    from pyspark.sql import functions as F

    lowest = F.lit(float("-inf"))
    pixels = F.col("image_width_px").cast("double") * F.col("image_height_px") if PIXELS in prefer else None
    values = [pixels if name == PIXELS else F.col(f"`{name}`").try_cast("double") for name in prefer]
    best = [-F.max(F.coalesce(F.nanvl(value, lowest), lowest)) for value in values]
    rank = F.array(F.lit(1.0), *best).alias("rank")
    return pairs.groupBy(F.col(unit).alias("item")).agg(F.min(key).alias(key), rank)


def with_earlier(items: Any, key: str, against: list[str], named: str, unit: str = "image_id") -> Any:
    """The items and, before them all, those of earlier releases, whose manifests hold column `named` as `key`.

    The bytes of pictures that were copied are in every manifest.
    """
    from pyspark.sql import functions as F

    from curation.shards.manifest import Release
    from curation.tables import read_spark

    for file in against:
        release = Release.open(_folder(file))
        samples = read_spark(items.sparkSession, _folder(file), release.mark["samples"])
        column = named if named in samples.columns or not _copied(release.mark) else COPIED.get(named, named)
        if column not in samples.columns:
            raise RecipeError(
                f"{file}: its manifest has no column {column}; wanted a release made with write_shards.signals = "
                f'["{column}", ...]'
            )
        item = F.concat(F.lit(EARLIER), unit).alias("item")
        old = samples.where(F.col(column).isNotNull()).groupBy(item).agg(F.min(column).alias(key))
        items = items.unionByName(old.withColumn("rank", F.array(F.lit(0.0))))
    return items


def _copied(mark: dict[str, Any]) -> bool:
    """Whether the pictures of a release are those of its pool, byte for byte."""
    from curation.shards.picture import Form

    written = [stage["settings"] for stage in mark["stages"] if stage.get("run") == "write_shards"]
    changing = {*Form._fields} - {"quality"}
    return not any(each.get(name) for each in written for name in changing)


def told(
    pairs: Any, column: str, faults: Any, duplicates: Any, keep_captions: bool, unit: str = "image_id"
) -> tuple[Any, Any]:
    """The verdict on the pairs, and the rows of GROUPS: all pairs of one item share its fate.

    `column`: what the items were compared by, whose null drops a pair; `faults` (item, fault): what is wrong with it;
    `duplicates` (item, representative, similarity); `unit`: the column that names a pair's item, image_id or uid.
    """
    from pyspark.sql import functions as F

    none = F.lit(None).cast("string")
    name = F.regexp_replace("representative", f"^{EARLIER}", "")
    new = duplicates.where(~F.col("item").startswith(EARLIER)).withColumnRenamed("item", unit)
    new = new.withColumns({"earlier": F.col("representative").startswith(EARLIER), "group": name})
    gone = new.select(unit, "group", "similarity", "earlier", none.alias("fault")).unionByName(
        faults.select(F.col("item").alias(unit), "fault"), allowMissingColumns=True
    )
    marked = pairs.join(gone, unit, "left")
    reason = F.when(F.col(column).isNull(), F.lit(f"{column} is null"))
    reason = reason.when(F.col("fault").isNotNull(), F.concat(F.lit(f"{column} "), "fault"))
    reason = reason.when(F.col("earlier"), F.lit("duplicate_of_earlier"))
    reason = reason.when(F.col("group").isNotNull(), F.lit(REASONS[unit]))
    result = verdict(marked, reason, F.coalesce("group", f"{column}__error"))
    result = _with_captions(result, pairs, new.where("not earlier"), unit) if keep_captions else result
    first = pairs.groupBy(F.col(unit).alias("group")).agg(F.min("uid").alias("representative"))
    grouped = marked.where("group is not null").select("uid", "image_id", "group", "similarity", "earlier")
    stays = F.when(~F.col("earlier"), F.col("representative"))
    return result, grouped.join(first, "group", "left").withColumn("representative", stays)


def _with_captions(result: Any, pairs: Any, shown: Any, unit: str) -> Any:
    """`captions` of each pair with those of the items that its item stands for, each text once."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    own = F.struct(
        F.col("caption").alias("text"),
        F.col("caption_kind").alias("kind"),
        *(F.lit(None).cast(kind).alias(name) for name, kind in (("model", "string"), ("language", "string"))),
        F.lit(None).cast("boolean").alias("negative"),
    )
    nothing = F.array().cast(CAPTION_DDL)
    listed = F.concat(F.array(own), F.coalesce("captions", nothing)).cast(CAPTION_DDL)
    said = pairs.join(shown.select(unit, "group"), unit)
    said = said.select("group", F.explode(listed).alias("each"))
    said = said.groupBy("group", "each.text").agg(F.min("each").alias("each"))
    number = F.row_number().over(Window.partitionBy("group").orderBy("text"))
    said = said.withColumn("_number", number).where(F.col("_number") <= MERGED)
    merged = said.groupBy(F.col("group").alias(unit)).agg(F.sort_array(F.collect_list("each")).alias("_merged"))
    known = F.concat(F.array("caption"), F.coalesce(F.col("captions.text"), F.array().cast("array<string>")))
    further = F.filter("_merged", lambda each: ~F.array_contains(known, each["text"]))
    both = F.concat(F.coalesce("captions", nothing), further)
    kept = F.when(F.col("keep") & F.col("_merged").isNotNull(), both).otherwise(F.col("captions"))
    return result.join(merged, unit, "left").withColumn("captions", kept)
