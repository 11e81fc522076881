"""The planted table through the product: ingested once, each recipe run on the pool, verdicts and scores read back."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from curation.calibrate import calibrate
from curation.decode import decode_bounded
from curation.graph import Graph
from curation.ingest import ingest
from curation.pool import Pool
from curation.rows import Rows
from curation.run import run
from curation.session import spark_session
from curation.shards.manifest import Release
from curation.signals import SIGNALS
from curation.single import open_table
from planting.filters import Filter
from planting.outcome import by_kind, by_words, reasons, shares
from planting.pairs import part_rows
from planting.table import Planted, Row

SCORES = ("clip_score", "number_masked_clip_score", "flipped_clip_score", "number_masked_score_drop")
SCORES_OCR = ("text_masked_clip_score",)
TOLD = 12  # kinds of a fault that are told apart; there are more languages than that


class Measured(NamedTuple):
    """What one filter did: shares removed, why clean pairs went; shares of its target by kind and by words."""

    name: str
    target: str
    shares: dict[str, float]
    reasons: dict[str, int]
    kinds: dict[str, float]
    words: dict[str, dict[str, float]]


def ingested(planted: Planted, work: Path) -> tuple[str, dict[str, int]]:
    """The pool of the planted table, and the number of each of its pairs by uid."""
    pool = str(work / "pool")
    ingest([str(planted.table)], out=pool, name="planted")
    rows = (row for uri, parts in Pool.open(pool).tables() for row in part_rows(uri, parts, ["uid", "extra"]))
    return pool, {row["uid"]: int(dict(row["extra"])["planted_number"]) for row in rows}


def evaluation_lists(planted: Planted, work: Path) -> dict[str, str]:
    """Files with the SHA-256 and the PDQ hash of each evaluation picture, as drop_listed takes them."""
    files = [path.read_bytes() for path in sorted(planted.evaluation.iterdir())]
    hashes = SIGNALS["image_pdq"]([decode_bounded(data) for data in files]).to_pylist()
    lines = {"sha256": [hashlib.sha256(data).hexdigest() for data in files], "pdq": [h.hex() for h in hashes if h]}
    for kind, each in lines.items():
        (work / f"evaluation.{kind}").write_text("".join(f"{line}\n" for line in each))
    return {kind: str(work / f"evaluation.{kind}") for kind in lines}


def evaluation_file(planted: Planted, clip: str, work: Path) -> str:
    """The evaluation pictures with the threshold that `curate calibrate` finds for this model."""
    path = work / "evaluation.parquet"
    if not path.exists():
        calibrate([f"evaluation={planted.evaluation}"], out=str(path), clip=clip)
    return str(path)


def measured(
    each: Filter, recipe: str, rows: Mapping[int, Row], numbers: Mapping[str, int], work: Path, changes: list[str] = ()
) -> Measured:
    """Run a recipe (a name or a path) on the pool in `work`, or find its release there, and read its verdicts."""
    out = str(work / "releases" / slug(each.name))
    run(recipe, str(work / "pool"), out, set=list(changes))
    verdicts = Release.open(out).subset().to_pylist()
    kept = {numbers[verdict["uid"]] for verdict in verdicts if verdict["keep"]}
    kinds = by_kind(rows, kept, each.target) if each.target else {}
    told = kinds if 1 < len(kinds) <= TOLD else {}
    words = by_words(rows, kept, each.target) if each.target == "language" else {}
    return Measured(each.name, each.target, shares(rows, kept), reasons(verdicts, rows, numbers), told, words)


def recipe_of(each: Filter, clip: str, work: Path) -> str:
    """The path of the filter's recipe, written there."""
    path = work / "recipes" / f"{slug(each.name)}.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(each.text(clip), encoding="utf-8")
    return str(path)


def slug(name: str) -> str:
    """The name as a file's.

    >>> slug("parrot_share ≤ 0.5")
    'parrot_share-0.5'
    """
    return re.sub(r"[^\w.]+", "-", name, flags=re.ASCII).strip("-")


def score_values(pool: str, clip: str, ocr: bool) -> dict[str, dict[str, Any]]:
    """uid and scores of every pair with a caption left after cleaning, as arrays; NaN where there is none."""
    spark, opened = spark_session(), Pool.open(pool)
    [cleaned] = Path(opened.store.removeprefix("file://"), "stages").glob("clean_captions-*")
    names = [*SCORES, *(SCORES_OCR if ocr else ())]
    rows = Rows(opened, opened.store, Graph({"clip": clip}), open_table(str(cleaned)).chain)
    table = rows.select(spark, ["uid", *names]).toArrow()
    values = {name: table[name].to_numpy().astype(np.float64) for name in names}
    return values | {"uid": np.array(table["uid"].to_pylist(), object)}
