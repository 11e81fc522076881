"""Pictures with a label or with captions, found in a folder, in tars, in a release or in a pool: pointers, no bytes."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc

from curation.errors import RecipeError
from curation.files import join
from curation.pool import Pool
from curation.shards.manifest import Release
from curation.shards.walk import member_text, tar_samples
from curation.tables import read_arrow

IMAGES = ("jpg", "jpeg", "png", "webp", "gif", "bmp")
LABEL, CAPTIONS, SEVERAL_LABELS = "cls", "txt", "npy"


class Pictures(NamedTuple):
    """Pictures in order: what names each, where its bytes are, and its class (int64) or its captions."""

    keys: list[str]
    pointers: list[dict[str, Any]]
    labels: np.ndarray | None = None
    captions: list[list[str]] | None = None


def class_folders(folder: Path, known: list[str] | None = None) -> tuple[Pictures, list[str]]:
    """The pictures of a folder with a subfolder for each class, and these classes' folders in order.

    `known` are the classes of another split: a folder that is none of them is a RecipeError.
    """
    names = sorted(each.name for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    if known is not None and (other := sorted(set(names) - set(known))):
        raise RecipeError(f"{folder}: classes {other[:5]} are not in the other split, which has {known[:5]} ...")
    order = known or names
    keys, pointers, labels = [], [], []
    for label, name in enumerate(order):
        inside = sorted((folder / name).rglob("*")) if (folder / name).is_dir() else []
        for file in (each for each in inside if each.suffix.lower().removeprefix(".") in IMAGES):
            keys.append(str(file.relative_to(folder)))
            pointers.append({"uri": str(file), "offset": 0, "length": None})
            labels.append(label)
    if not keys:
        raise RecipeError(f"{folder}: wanted pictures ({', '.join(IMAGES)}) in a folder per class; found {names[:5]}")
    return Pictures(keys, pointers, np.array(labels, np.int64)), order


def tar_pictures(tars: Iterable[Path]) -> Pictures:
    """The samples of tars: a picture with a .cls, its class as a number, or a .txt, its captions, one a line.

    RecipeError for a sample without either, for several labels (.npy), or for tars that are packed or broken.
    """
    keys, pointers, labels, captions = [], [], [], []
    for path in tars:
        for key, members in tar_samples(str(path)).items():
            image = next((members[kind] for kind in IMAGES if kind in members), None)
            if image is None:
                continue
            told = [suffix for suffix in (LABEL, CAPTIONS) if suffix in members]
            if not told:
                more = "; sets with several labels a picture are not read" if SEVERAL_LABELS in members else ""
                raise RecipeError(f"{path}: {key}: wanted {LABEL} or {CAPTIONS}, found {sorted(members)}{more}")
            keys.append(key)
            pointers.append({"uri": str(path), "offset": image.offset, "length": image.bytes})
            text = member_text(str(path), members[told[0]])
            if told[0] == LABEL:
                labels.append(_number(text, path, key))
            else:
                captions.append([line.strip() for line in text.splitlines() if line.strip()])
    if not keys or (labels and captions):
        raise RecipeError(f"{path}: wanted samples with pictures that all have {LABEL} or all have {CAPTIONS}")
    return Pictures(keys, pointers, np.array(labels, np.int64) if labels else None, captions or None)


def _number(text: str, path: Path, key: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise RecipeError(f"{path}: {key}.{LABEL}: wanted the number of a class, found {text[:20]!r}") from error


def release_pictures(out: str, limit: int, uids: Iterable[str] | None = None) -> Pictures:
    """Pairs of a release, those of the smallest uids, a picture once with all of its captions; see `_grouped`."""
    release = Release.open(out)
    # The uids first: whole rows, as dicts, are for those alone that are wanted.
    chosen = release.samples(["uid"], uids).sort_by("uid")["uid"].slice(0, limit).to_pylist()
    rows = release.samples(["uid", "image_id", "shard", "offset", "bytes", "caption"], chosen).to_pylist()
    tars = [join(release.out, tar["name"]) for tar in release.tars]
    for row in rows:
        place = row["offset"]["image"], row["bytes"]["image"]
        row["image"] = {"uri": tars[row["shard"]], "offset": place[0], "length": place[1]}
    return _grouped(rows)


def pool_pictures(uri: str, limit: int) -> Pictures:
    """Pairs of a pool that have their picture and are not forgotten, those of the smallest uids; see `_grouped`."""
    pool = Pool.open(uri)
    forgotten = pool.forgotten_pairs()["uid"]
    parts = [(folder, part) for folder, listed in pool.tables() for part in listed]
    chosen: list[str] = []
    for folder, part in parts:
        rows = read_arrow(folder, [part], ["uid", "image"])
        usable = rows["uid"].filter(pc.and_not(rows["image"].is_valid(), pc.is_in(rows["uid"], forgotten)))
        chosen = sorted([*chosen, *usable.to_pylist()])[:limit]
    columns = ["uid", "image_id", "image", "caption"]
    tables = [read_arrow(folder, [part], columns, chosen) for folder, part in parts]
    return _grouped([row for table in tables for row in table.to_pylist()])


def _grouped(rows: list[dict[str, Any]]) -> Pictures:
    """Pictures by their image_id, each with the captions of all its rows, in the order of their uids."""
    rows.sort(key=lambda row: row["uid"])
    captions: dict[str, list[str]] = {}
    for row in rows:
        captions.setdefault(row["image_id"], []).append(row["caption"])
    places = {row["image_id"]: row["image"] for row in reversed(rows)}
    return Pictures(list(captions), [places[key] for key in captions], None, list(captions.values()))
