"""The models and files that settings name, by kind: digests for keys, names that hold in any folder, descriptions.

clip        a CLIP model (curation.models.clip_source)
language    a language model (curation.models.language)
file        a file, or a folder whose files count one level deep
scorer      a model that gives a picture, a caption or an embedding one number (curation.models.scorers)
faces       a face detector (curation.models.faces)
"""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from curation.errors import RecipeError
from curation.files import absolute, local_path


def digest(kind: str, name: str) -> str:
    """64 hex that stand for the content behind a name. MissingModelError or RecipeError where it is not there."""
    if kind == "clip":
        from curation.models import clip_source

        return clip_source.digest(name)
    if kind == "language":
        from curation.models import language

        return language.digest(name)
    if kind == "scorer":
        from curation.models import scorers

        return scorers.digest(name)
    if kind == "faces":
        from curation.models import faces

        return faces.digest(name)
    return file_digest(name)


def absolute_name(kind: str, name: str) -> str:
    """The name with the path in it, if it has one, made absolute.

    >>> absolute_name("language", "fasttext:/models/../lid.bin"), absolute_name("language", "langdetect")
    ('fasttext:/lid.bin', 'langdetect')
    """
    if kind == "clip":
        from curation.models import clip_source

        return clip_source.absolute_name(name)
    if kind == "language":
        from curation.models import language

        return language.absolute_name(name)
    if kind == "scorer":
        from curation.models import scorers

        return scorers.absolute_name(name)
    if kind == "faces":
        from curation.models import faces

        return faces.absolute_name(name)
    return absolute(name)


def describe(kind: str, name: str) -> dict[str, Any]:
    """What a value depends on, as JSON: name and digest at least; of a CLIP model also how it runs here."""
    if kind == "clip":
        from curation.models.clip import load

        return load(name).describe()
    if kind == "scorer":
        from curation.models import scorers

        return scorers.describe(name)
    return {"name": name, "digest": digest(kind, name)}


def unread(kinds: dict[str, str], settings: dict[str, Any], reads: tuple[str, ...]) -> set[str]:
    """Which of a signal's inputs its scorer does not read; RecipeError where it reads none of them."""
    from curation.models import scorers

    for setting in (name for name, kind in kinds.items() if kind == "scorer"):
        wanted = scorers.reads(settings[setting])
        used = {name for name in reads if name == wanted or name.endswith(f"_{wanted}")}
        if not used:
            raise RecipeError(
                f"{setting} = {settings[setting]!r}: a scorer that reads {wanted}, wanted one of {list(reads)}"
            )
        return set(reads) - used
    return set()


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
