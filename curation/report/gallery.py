"""Samples kept and dropped, with small pictures: re-encoded from pixels, no byte of a source gets into a page."""

import base64
import io
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from curation.errors import BadItemError
from curation.files import join
from curation.images import decode_small, read_pointers
from curation.report.pairs import Pairs
from curation.report.parts import first_rows
from curation.schema import SAMPLES
from curation.shards.manifest import Release
from curation.shown import cut, plain, public, value_text, web_link
from curation.tables import read_arrow

CARDS = 24  # kept samples shown, and dropped ones; more of these only where there are more reasons
PER_REASON = 4  # dropped samples of one reason
SIDE = 160  # px, of the longer side of a small picture
QUALITY = 80  # of its JPEG; an assumption: about 5 KB a picture


def thumbnail(encoded: bytes | BadItemError) -> str:
    """A JPEG of at most 160 px as a data URI; BadItemError where the picture cannot be read or decoded."""
    if isinstance(encoded, BadItemError):
        raise encoded
    image = Image.fromarray(decode_small(encoded))
    image.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def picture_card(row: dict[str, Any], encoded: bytes | BadItemError) -> dict[str, Any]:
    """What the page shows of a picture: a small one, its caption, where it is from; or why it cannot be shown."""
    card = {
        "uid": row["uid"],
        "caption": cut(plain(row["caption"] or "")),
        "link": web_link(row.get("url")) or web_link(row.get("document")),
        "source": plain(row.get("source") or ""),
        "detail": "",
        "picture": None,
        "broken": None,
    }
    try:
        return card | {"picture": thumbnail(encoded)}
    except BadItemError as error:
        return card | {"broken": cut(public(str(error)), 120)}


def kept_cards(release: Release) -> list[dict[str, Any]]:
    """Up to 24 kept samples of smallest uid: pictures and captions as in the shards, from the pool where none are."""
    found = first_rows(release.out, release.mark["subset"], ["uid"], CARDS, pc.field("keep"))
    pairs = Pairs.of(release, found["uid"].to_pylist() if found is not None else [])
    if not release.tars:
        rows = pool_cards(pairs)
        captions = pairs.column("caption").to_pylist()
        return [row | {"caption": cut(plain(caption or ""))} for row, caption in zip(rows, captions)]
    rows = _sample_rows(release, pairs)
    pointers = [_pointer(release, row) for row in rows]
    cards = [picture_card(row, encoded) for row, encoded in zip(rows, read_pointers(pointers))]
    return [card | {"detail": _detail(row)} for card, row in zip(cards, rows)]


def _sample_rows(release: Release, pairs: Pairs) -> list[dict[str, Any]]:
    """The samples rows of the pairs, ascending by uid, read from the shards' parts that hold them."""
    shards: dict[int, list[str]] = {}
    for uid, shard in zip(pairs.uids.to_pylist(), pairs.column("shard").to_pylist()):
        for number in range(len(release.tars)) if shard is None else [shard]:  # unknown where the store is gone
            shards.setdefault(number, []).append(uid)
    parts = release.mark["samples"]
    tables = [read_arrow(release.out, [parts[n]], uids=uids) for n, uids in sorted(shards.items())]
    return sorted((row for table in tables for row in table.to_pylist()), key=lambda row: row["uid"])


def _pointer(release: Release, row: dict[str, Any]) -> dict[str, Any]:
    uri = join(release.out, release.tars[row["shard"]]["name"])
    return {"uri": uri, "offset": row["offset"]["image"], "length": row["bytes"]["image"]}


def _detail(row: dict[str, Any]) -> str:
    """Size of the picture, and the signals that the manifest keeps."""
    signals = [f"{k} {value_text(v)}" for k, v in row.items() if k not in SAMPLES.names and not isinstance(v, bytes)]
    return " · ".join([f"{row['width']} × {row['height']} {row['format']}", *signals])


def dropped_groups(sample: Pairs) -> list[dict[str, Any]]:
    """Per step and reason, in the recipe's order: how many were dropped, and up to 4 of them of smallest uid."""
    stages = sample.release.mark["stages"]
    reasons = [(n, reason, count) for n, s in enumerate(stages) for reason, count in s["drops"].items() if count]
    groups = []
    for place, (number, reason, count) in enumerate(reasons):
        share = CARDS // len(reasons) + (place < CARDS % len(reasons))
        rows = _examples(sample, number, reason, max(1, min(PER_REASON, share)))
        pairs = Pairs.of(sample.release, [row["uid"] for row in rows])
        values = dict(zip(pairs.uids.to_pylist(), pairs.verdicts["drop_value"].to_pylist()))  # null of forgotten ones
        cards = [card | {"detail": _value(values[card["uid"]])} for card in pool_cards(pairs)]
        groups.append({"step": stages[number]["name"], "reason": plain(reason), "count": count, "cards": cards})
    return groups


def _value(value: str | None) -> str:
    """What failed the bound, a number with fewer digits than Spark writes."""
    try:
        return f"value: {float(value):.6g}" if value else ""
    except ValueError:
        return f"value: {cut(public(value), 120)}"


def _examples(sample: Pairs, number: int, reason: str, limit: int) -> list[dict[str, Any]]:
    """Rows of a step's table that were dropped for a reason; only parts whose counts name it are opened."""
    done = sample.stage(number)
    if done is None:
        return []
    parts = [p for p in done["parts"] if reason in p.get("counts", {reason: 1})]
    rows = pc.field("drop_reason") == reason
    folder = sample.release.stage_folder(number)
    found = first_rows(folder, parts, ["uid", "drop_reason"], limit, rows)
    return [] if found is None else found.to_pylist()


def pool_cards(pairs: Pairs) -> list[dict[str, Any]]:
    """Cards of pairs as the pool has them, each picture through its pointer, one in memory at a time."""
    table = pairs.pool_rows(["caption", "url", "document", "source", "image"])
    if table is None:
        table = pa.table({"caption": pa.nulls(len(pairs), pa.string()), "image": pa.nulls(len(pairs))})
    rows = [{"uid": uid} | row for uid, row in zip(pairs.uids.to_pylist(), table.to_pylist())]
    order = sorted(range(len(rows)), key=lambda i: _place(rows[i]["image"]))
    encoded = read_pointers([rows[i]["image"] for i in order])
    cards = {i: picture_card(rows[i], item) for i, item in zip(order, encoded)}
    return [cards[i] for i in range(len(rows))]


def _place(pointer: dict[str, Any] | None) -> tuple[str, int]:
    return (pointer["uri"], pointer["offset"] or 0) if pointer else ("", 0)
