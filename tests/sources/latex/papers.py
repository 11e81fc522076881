"""Papers made for tests: a folder with a main file and small pictures, and what the reader makes of it."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from PIL import Image

from curation.sources import latex
from curation.sources.found import FOUND

PREAMBLE = "\\documentclass{article}\n"


class Copies:
    """An image sink that keeps what it is given."""

    def __init__(self) -> None:
        self.data: list[bytes] = []

    def add(self, data: bytes, extension: str) -> dict:
        self.data.append(data)
        return {"uri": "pool", "offset": len(self.data) - 1, "length": len(data)}


class Result(NamedTuple):
    found: list[dict]
    rejected: list[dict]
    copies: list[bytes]

    def captions(self) -> dict[str, str]:
        """Captions by file; files are the last part of their names."""
        return {row["extra"]["file"].rpartition("/")[2]: row["caption"] for row in self.found}

    def errors(self) -> list[tuple[str, str]]:
        return [(row["item"], row["error"]) for row in self.rejected]


def picture(colour: str = "red", format: str = "PNG", size: tuple[int, int] = (8, 6)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, format)
    return file.getvalue()


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def collect_files(folder: Path) -> dict[str, int]:
    """All files below a folder, with their sizes."""
    return {str(path): path.lstat().st_size for path in sorted(folder.rglob("*"))}


def collect(batches: Iterable[pa.RecordBatch], copies: Copies) -> Result:
    found, rejected = [], []
    for batch in batches:
        batch.validate(full=True)
        rows = batch.to_pylist()
        if batch.schema.equals(FOUND):
            found += [row | {"extra": dict(row["extra"] or ())} for row in rows]
        else:
            rejected += rows
    return Result(found, rejected, copies.data)


def read(uri: Path | str, **settings: object) -> Result:
    copies = Copies()
    return collect(latex.read(str(uri), copies, **settings), copies)


def read_body(folder: Path, body: str, *pictures: str, preamble: str = "", **settings: object) -> Result:
    """A paper with this body and pictures of these names, each of another colour."""
    text = f"{PREAMBLE}{preamble}\\begin{{document}}\n{body}\n\\end{{document}}\n"
    shades = {name: picture(f"rgb({n * 9 % 250}, {n * 5 % 250}, 90)") for n, name in enumerate(pictures)}
    return read(write(folder, {"main.tex": text, **shades}) / "main.tex", **settings)
