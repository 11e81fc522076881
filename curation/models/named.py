"""The models and files that settings name, by kind: digests for keys, names that hold in any folder, descriptions.

clip        a CLIP model (curation.models.clip_source)
language    a language model (curation.models.language)
ocr         a reader of text in pictures (curation.models.ocr)
scorer      a model that gives a picture, a caption or an embedding one number (curation.models.scorers)
faces       a face detector (curation.models.faces)
evaluation  pictures of evaluation sets and a threshold (curation.models.evaluation)
function    a function from pictures and captions to answers (curation.models.mlm)
file        a file, or a folder whose files count one level deep
"""

import hashlib
import os
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from curation.errors import RecipeError
from curation.files import absolute, local_path
from curation.hashing import file_sha256

# Who knows the names of a kind. Imported when asked for: most runs name few kinds.
MODULES = {
    "clip": "curation.models.clip_source",
    "language": "curation.models.language",
    "ocr": "curation.models.ocr",
    "scorer": "curation.models.scorers",
    "faces": "curation.models.faces",
    "evaluation": "curation.models.evaluation",
    "function": "curation.models.mlm",
}
DESCRIBED = ("ocr", "scorer")  # of these there is more to tell than name and digest


def digest(kind: str, name: str) -> str:
    """64 hex that stand for the content behind a name. MissingModelError or RecipeError where it is not there."""
    return file_digest(name) if kind == "file" else import_module(MODULES[kind]).digest(name)


def identity(kind: str, name: str) -> str | list[str]:
    """What of a model goes into the keys of its values: its digest, of a CLIP model also how it is set up."""
    if kind != "clip":
        return digest(kind, name)
    from curation.models.clip_source import setup

    return [digest(kind, name), setup(name)]


def absolute_name(kind: str, name: str) -> str:
    """The name with the path in it, if it has one, made absolute.

    >>> absolute_name("language", "fasttext:/models/../lid.bin"), absolute_name("language", "langdetect")
    ('fasttext:/lid.bin', 'langdetect')
    """
    return absolute(name) if kind == "file" else import_module(MODULES[kind]).absolute_name(name)


def describe(kind: str, name: str, precision: str = "fp32") -> dict[str, Any]:
    """What a value depends on, as JSON: name and digest at least; of a CLIP model also how it runs here."""
    if kind == "clip":
        from curation.models.clip import here

        return here(name, precision).describe()
    if kind in DESCRIBED:
        return import_module(MODULES[kind]).describe(name)
    return {"name": name, "digest": digest(kind, name)}


def check_sizes(kinds: dict[str, str], settings: dict[str, Any], embedding: dict[str, Any]) -> None:
    """RecipeError where a scorer reads vectors of another size than the CLIP model behind its embedding gives."""
    from curation.models import clip_source, scorers

    for setting in (name for name, kind in kinds.items() if kind == "scorer"):
        wanted, clip = scorers.dim(settings[setting]), embedding["clip"]
        found = clip_source.resolve(clip).config["model_cfg"]["embed_dim"]
        if wanted not in (None, found):
            raise RecipeError(
                f"{setting} = {settings[setting]!r} reads vectors of {wanted} numbers, but clip = {clip!r} gives "
                f"{found}; set clip to the model that the head was made for"
            )


def file_digest(uri: str) -> str:
    """SHA-256 of a local file, or over names and digests of the files of a folder; RecipeError where there is none.

    A file is read once per path, size and time of change.
    """
    path = Path(local_path(uri) or uri)
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.is_file())
        listed = "".join(f"{file.name}\0{file_digest(str(file))}\n" for file in files)
        return hashlib.sha256(listed.encode("utf-8", "surrogateescape")).hexdigest()
    if not path.is_file():
        raise RecipeError(f"no file or folder {uri or '(no name given)'}; wanted a local path")
    stat = path.stat()
    return _content_digest(str(path), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _content_digest(path: str, size: int, mtime_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_key(value: Any) -> Any:
    """A setting that names a local file stands for the file's content, and a bound's `in_file` wherever it lies."""
    if isinstance(value, dict):
        given = {k: file_key(v) if isinstance(v, dict) else v for k, v in value.items()}
        return given | ({"in_file": _list_key(value["in_file"])} if "in_file" in value else {})
    if isinstance(value, list):
        return [file_key(each) for each in value]
    if isinstance(value, str) and os.path.isfile(local_path(value) or ""):
        return ["file", file_digest(value)]  # asked for several times in a run, and lists may be large
    return value


def _list_key(uri: str | None) -> Any:
    """RecipeError where there is no such list."""
    if uri is None or local_path(uri) is not None:
        return file_key(uri)
    try:
        return ["file", file_sha256(uri)]
    except FileNotFoundError as error:
        raise RecipeError(f"in_file = {uri!r}: no such file") from error
