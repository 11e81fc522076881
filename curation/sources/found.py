"""What every source gives: pairs found and items rejected, as record batches of two schemas.

A reader is a generator `read(uri, images, *, settings...)` of record batches, each of schema FOUND or REJECTED. Every
input item yields at least one FOUND row or exactly one REJECTED row; what is wrong with the file itself is a REJECTED
row whose item is "".
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from curation.errors import BadItemError
from curation.headers import LIMITS
from curation.schema import CAPTIONS, EXTRA, IMAGE
from curation.sources.packing import tell_if_blameless

FOUND = pa.schema(
    [
        pa.field("identity", pa.string(), False),
        pa.field("url", pa.string()),
        pa.field("image", IMAGE),
        pa.field("caption", pa.string(), False),
        pa.field("caption_kind", pa.string(), False),
        pa.field("document", pa.string(), False),
        pa.field("license", pa.string()),
        pa.field("license_group", pa.string()),
        pa.field("context", pa.string()),
        pa.field("captions", CAPTIONS),
        pa.field("extra", EXTRA),
    ]
)
REJECTED = pa.schema(
    [pa.field("item", pa.string(), False), pa.field("error", pa.string(), False), pa.field("detail", pa.string())]
)

CAPTION_CHARS = 4096  # characters of a caption that are kept: over 50 times CLIP's 77 tokens
IMAGE_BYTES = LIMITS.bytes  # a larger image would not be decoded, so it is not copied either
DETAIL_CHARS = 300  # assumption: enough to see what was wrong, little enough for a million rejected rows

MAGIC = (
    (re.compile(rb"\xff\xd8\xff"), "jpg"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "png"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "webp"),
    (re.compile(rb"GIF8[79]a"), "gif"),
    (re.compile(rb"BM....\0\0\0\0", re.DOTALL), "bmp"),
    (re.compile(rb"II\*\0|MM\0\*"), "tif"),
)

_DASHES = re.compile("[\u2010-\u2015\u2043\u2212]")
_ELEMENTS = r"(by(?:[\W_]*(?:nc|nd|sa))*+)(?![^\W\d_])"  # whatever joins them, for a lost one would give more away
_CC_URL = re.compile(r"creativecommons\.org/(?:licenses|publicdomain)/([a-z%+_-]+)")
_CC_TEXT = re.compile(rf"\bcc[ _-]*{_ELEMENTS}|\bcc[ _-]*(0|zero)\b")
_CC_BARE = re.compile(rf"{_ELEMENTS}(?:[ _-]*\d\.\d)?(?: (?:international|unported|generic|licen[cs]e))*")
_CC_WORDS = (  # the long names of the licence elements, as on creativecommons.org
    (re.compile(r"creative\s*commons?"), "cc"),
    (re.compile(r"non[\W_]*commercial"), "nc"),
    (re.compile(r"share[\W_]*alike"), "sa"),
    (re.compile(r"no[\W_]*deriv(?:ative)?s?(?: works)?"), "nd"),
    (re.compile(r"attribution"), "by"),
)
_BAN = re.compile(r"(?<![^\W\d_])nc(?![^\W\d_])|no[nt]?[\W_]*(?:for[\W_]*)?commerc|pas d\W*utilisation commerc")


class ImageSink(Protocol):
    """Where images go that are not a raw byte range of any file."""

    def add(self, data: bytes, extension: str) -> dict[str, Any]:
        """Copy the bytes once into the pool; the pointer {uri, offset, length} to them."""


class Found(NamedTuple):
    """One pair, as a row of FOUND. `extra` maps names to strings."""

    identity: str
    caption: str
    caption_kind: str
    document: str
    url: str | None = None
    image: dict[str, Any] | None = None
    license: str | None = None
    license_group: str | None = None
    context: str | None = None
    captions: list[dict[str, Any]] | None = None
    extra: dict[str, str] | None = None


class Several(NamedTuple):
    """Pairs without images that share all but their URL (and identity), caption and kind, as rows of FOUND."""

    urls: list[str]
    texts: list[str]
    kinds: list[str]
    document: str
    license: str | None
    license_group: str | None
    extra: dict[str, str] | None


class Reject(NamedTuple):
    """One input item that is no pair, as a row of REJECTED."""

    item: str
    error: str
    detail: str | None = None


def batches(items: Iterable[Found | Several | Reject], rows: int = 5000) -> Iterator[pa.RecordBatch]:
    """Record batches of about ROWS rows, each of schema FOUND or REJECTED; order is kept within each sort of item."""
    made = {Found: _found, Several: _found_of_several, Reject: _rejected}
    kept: dict[type, list] = {sort: [] for sort in made}
    size = dict.fromkeys(made, 0)
    for item in items:
        sort = type(item)
        kept[sort].append(item)
        size[sort] += len(item.urls) if sort is Several else 1
        if size[sort] >= rows:
            yield made[sort](kept[sort])
            kept[sort].clear()
            size[sort] = 0
    yield from (made[sort](items) for sort, items in kept.items() if items)


def until_broken(items: Iterable[Any]) -> Iterator[Any]:
    """The items up to the point where the file cannot be read any further, which becomes a last, rejected item.

    Wrap only what reads the source: an error in writing the pool must stop the job. Raises OutputError where there is
    no room for temporary files, PermissionError where the right to read lacks.
    """
    try:
        yield from items
    except BadItemError as error:
        yield Reject("", error.code, error.detail)
    except (OSError, EOFError, pa.ArrowException) as error:
        tell_if_blameless(error)
        yield Reject("", "bad_file", str(error))


def _found(items: list[Found]) -> pa.RecordBatch:
    columns = dict(zip(Found._fields, zip(*items)))
    columns["extra"] = [e and list(e.items()) for e in columns["extra"]]
    return pa.RecordBatch.from_arrays([_array(columns[field.name], field.type) for field in FOUND], schema=FOUND)


def _found_of_several(items: list[Several]) -> pa.RecordBatch:
    columns = dict(zip(Several._fields, zip(*items)))
    columns["extra"] = [e and list(e.items()) for e in columns["extra"]]
    of_item = pa.array(np.repeat(np.arange(len(items)), [len(item.urls) for item in items]))
    url, caption, kind = (
        _array(list(chain.from_iterable(columns[name])), pa.string()) for name in ("urls", "texts", "kinds")
    )
    arrays = {"identity": url, "url": url, "caption": caption, "caption_kind": kind}
    for field in FOUND:
        if field.name in columns:
            arrays[field.name] = _array(columns[field.name], field.type).take(of_item)
    return pa.RecordBatch.from_arrays(
        [arrays.get(field.name, pa.nulls(len(url), field.type)) for field in FOUND], schema=FOUND
    )


def _rejected(items: list[Reject]) -> pa.RecordBatch:
    columns = dict(zip(Reject._fields, zip(*items)))
    columns["detail"] = [d and d[:DETAIL_CHARS] for d in columns["detail"]]
    return pa.RecordBatch.from_arrays([_array(columns[field.name], field.type) for field in REJECTED], schema=REJECTED)


def _array(values: Iterable[Any], type: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, type)
    except UnicodeEncodeError:  # a lone surrogate, as JSON escapes and file names may hold
        return pa.array([encodable(value) for value in values], type)


def encodable(value: Any) -> Any:
    """The value with every string in it made valid UTF-8: a lone surrogate becomes a question mark."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {key: encodable(item) for key, item in value.items()}
    return type(value)(map(encodable, value)) if isinstance(value, list | tuple) else value


def is_plain(text: str) -> bool:
    """Whether a text is a caption as it stands: a letter in it, no NUL, not too long."""
    return len(text) <= CAPTION_CHARS and "\0" not in text and (text[:1].isalpha() or any(map(str.isalpha, text)))


def caption_text(raw: str | None) -> tuple[str, dict[str, str]]:
    """A caption as it is stored, and what `extra` says of it: NUL removed, cut to 4,096 characters, else untouched.

    Where it was cut, extra holds `caption_cut`, the length before. Raises BadItemError `no_caption` for null or blank
    text and `no_letters` for text without any letter.

    >>> caption_text("a dog")
    ('a dog', {})
    """
    if raw and is_plain(raw):
        return raw, {}
    if raw is None or not raw.strip():
        raise BadItemError("no_caption")
    text = raw.replace("\0", "")
    cut = {"caption_cut": str(len(text))} if len(text) > CAPTION_CHARS else {}
    text = text[:CAPTION_CHARS]
    if not any(map(str.isalpha, text)):
        raise BadItemError("no_letters" if text.strip() else "no_caption", text)
    return text, cut


def image_extension(data: bytes) -> str | None:
    """The extension that the first bytes of an image file call for: jpg, png, webp, gif, bmp or tif; else None.

    >>> image_extension(b"GIF89a...")
    'gif'
    """
    return next((extension for magic, extension in MAGIC if magic.match(data)), None)


def license_group(raw: str | None) -> str | None:
    """Group of a licence text or URL: `commercial`, `noncommercial`, `other`; null gives null (BIOMEDICA's groups).

    commercial = CC0, BY, BY-SA, BY-ND; noncommercial = BY-NC, BY-NC-SA, BY-NC-ND; all else, also blank, is other.
    We differ from BIOMEDICA (arXiv:2501.07171) in normalising case, dashes, URLs and long names first. Where a text
    names several licences, or one and a ban on commercial use beside it, what forbids commercial use decides.

    >>> license_group("https://creativecommons.org/licenses/by-nc/4.0/"), license_group("CC BY-SA 3.0")
    ('noncommercial', 'commercial')
    """
    if raw is None:
        return None
    text = _DASHES.sub("-", " ".join(unicodedata.normalize("NFKC", raw).lower().split()))
    names = _CC_URL.findall(text)
    if not names:
        for words, short in _CC_WORDS:
            text = words.sub(short, text)
        bare = _CC_BARE.fullmatch(text)
        names = [bare[1]] if bare else [elements or "zero" for elements, _ in _CC_TEXT.findall(text)]
    groups = {_group(name) for name in names} or {"other"}
    found = next(g for g in ("noncommercial", "other", "commercial") if g in groups)
    return "noncommercial" if found == "commercial" and _BAN.search(text) else found


def _group(name: str) -> str:
    elements = set(re.findall(r"by|nc|nd|sa|[^\W_]+|%", name))
    if name == "zero" or ("by" in elements and elements <= {"by", "sa", "nd"}):
        return "commercial"
    return "noncommercial" if "by" in elements and elements <= {"by", "nc", "sa", "nd"} else "other"
