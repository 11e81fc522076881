"""The pictures of an evaluation set, wherever they lie: folders, tars, lists of paths, pools."""

import os
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from curation.errors import RecipeError
from curation.files import absolute, join, local_path
from curation.schema import IMAGE
from curation.shards.walk import member_text, tar_samples

MOST_FILES = 10_000_000  # of a folder: more is no evaluation set
PICTURES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff")
SHOWN = 5  # entries in a message
WANTED = "wanted a folder of pictures or tars, a tar, a .txt list of paths, or a pool"


def evaluation_items(source: str) -> pa.Table:
    """item (its name in the set), caption (null where there is none), image (a pointer) and set of a NAME=PATH.

    In the order of the names; RecipeError where PATH holds no picture. A PATH alone may have an = after a slash.
    """
    name, equals, path = source.partition("=")
    if not equals or "/" in name:
        name, path = "", source
    folder = absolute(path)
    name = name or folder.rpartition("/")[2]
    rows = _pool_rows(folder) if _is_pool(folder) else list(_rows(folder))
    if not rows:
        raise RecipeError(f"calibrate: {path} has no pictures; {WANTED}")
    schema = pa.schema([("item", pa.string()), ("caption", pa.string()), ("image", IMAGE)])
    table = pa.Table.from_pylist(rows, schema)
    return table.append_column("set", pa.repeat(pa.scalar(name), len(table)))


def _is_pool(folder: str) -> bool:
    from curation.pool import POOL
    from curation.records import read_record

    path = local_path(folder)
    return not (path and os.path.isfile(path)) and read_record(join(folder, POOL)) is not None


def _pool_rows(folder: str) -> list[dict[str, Any]]:
    from curation.session import spark_session
    from curation.single import open_table

    rows = open_table(folder)
    frame = rows.select(spark_session(rows.count), ["uid", "document", "caption", "image"])
    found = frame.where("image is not null").orderBy("document", "uid").toArrow()
    return [{"item": row["document"], "caption": row["caption"], "image": row["image"]} for row in found.to_pylist()]


def _rows(uri: str) -> Iterator[dict[str, Any]]:
    path = local_path(uri)
    if path is None or not os.path.exists(path):
        raise RecipeError(f"calibrate: no {uri} on this machine; {WANTED}")
    if os.path.isdir(path):
        for name in _files(path):
            yield from (
                _tar_rows(join(uri, name), f"{name}/") if name.endswith(".tar") else [_row(name, join(uri, name))]
            )
    elif path.endswith(".tar"):
        yield from _tar_rows(uri, "")
    elif path.endswith(".txt"):
        with open(path, encoding="utf-8") as file:
            for line in filter(None, map(str.strip, file)):
                yield _row(line, absolute(os.path.join(os.path.dirname(path), line)))
    else:
        raise RecipeError(f"calibrate: {uri} is a file of another kind; {WANTED}")


def _files(folder: str) -> list[str]:
    """The files of a folder, links to files as well: it was named by whoever calls, and snapshots of the Hugging Face
    hub consist of links. RecipeError for any other entry, which would be missing from the set without a word.
    """
    from curation.sources.folders import list_folder

    files, rejects = list_folder(folder, MOST_FILES)
    linked = {each.item for each in rejects if os.path.isfile(os.path.join(folder, each.item))}
    other = sorted(f"{each.item} ({each.detail})" for each in rejects if each.item not in linked)
    if other:
        told = ", ".join(other[:SHOWN])
        raise RecipeError(
            f"calibrate: {folder}: {len(other)} entries cannot be read: {told}; wanted files, or links to files"
        )
    return sorted([*files, *linked])


def _row(item: str, uri: str, offset: int = 0, length: int | None = None, caption: str | None = None) -> dict[str, Any]:
    return {"item": item, "caption": caption, "image": {"uri": uri, "offset": offset, "length": length}}


def _tar_rows(uri: str, before: str) -> Iterator[dict[str, Any]]:
    """The pictures of a plain tar by their names in it, each with the text of the same name, if there is one."""
    path = local_path(uri)
    for _, members in sorted(tar_samples(path).items()):
        image = next((members[kind] for kind in PICTURES if kind in members), None)
        if image is not None:
            text = member_text(path, members["txt"]) if "txt" in members else None
            yield _row(before + image.name, uri, image.offset, image.bytes, text)
