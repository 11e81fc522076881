"""What every source gives: pairs found and items rejected, as record batches of two schemas.

A reader is a generator `read(uri, images, *, settings...)` of record batches, each of schema FOUND or REJECTED. Every
input item yields at least one FOUND row or exactly one REJECTED row; what is wrong with the file itself is a REJECTED
row whose item is "".
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from curation.errors import BadItemError
from curation.headers import LIMITS
from curation.schema import CAPTIONS, EXTRA, IMAGE

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

_CC_URL = re.compile(r"creativecommons\.org/(?:licenses|publicdomain)/([a-z-]+)")
_CC_TEXT = re.compile(r"\bcc[ _-]*(by(?:[ _-]+(?:nc|nd|sa))*)\b|\bcc[ _-]*(0|zero)\b")
_CC_BARE = re.compile(
    r"(by(?:[ _-]+(?:nc|nd|sa))*)(?:[ _-]*\d\.\d)?(?: (?:international|unported|generic|licen[cs]e))*"
)
_CC_WORDS = (  # the long names of the licence elements, as on creativecommons.org
    (re.compile(r"creative\s*commons?"), "cc"),
    (re.compile(r"non[ -]?commercial"), "nc"),
    (re.compile(r"share[ -]?alike"), "sa"),
    (re.compile(r"no[ -]?deriv(?:ative)?s?(?: works)?"), "nd"),
    (re.compile(r"attribution"), "by"),
    (re.compile(r"\s+"), " "),
)


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


class Reject(NamedTuple):
    """One input item that is no pair, as a row of REJECTED."""

    item: str
    error: str
    detail: str | None = None


def batches(items: Iterable[Found | Reject], rows: int = 5000) -> Iterator[pa.RecordBatch]:
    """Record batches of at most `rows` rows, each of schema FOUND or REJECTED; order is kept within each schema."""
    found: list[Found] = []
    rejected: list[Reject] = []
    for item in items:
        kept, schema = (found, FOUND) if isinstance(item, Found) else (rejected, REJECTED)
        kept.append(item)
        if len(kept) >= rows:
            yield _batch(kept, schema)
            kept.clear()
    if found:
        yield _batch(found, FOUND)
    if rejected:
        yield _batch(rejected, REJECTED)


def until_broken(items: Iterable[Any]) -> Iterator[Any]:
    """The items up to the point where the file cannot be read any further, which becomes a last, rejected item.

    Wrap only what reads the source: an error in writing the pool must stop the job.
    """
    try:
        yield from items
    except BadItemError as error:
        yield Reject("", error.code, error.detail)
    except (OSError, EOFError, pa.ArrowException) as error:
        yield Reject("", "bad_file", str(error))


def _batch(items: list[Found] | list[Reject], schema: pa.Schema) -> pa.RecordBatch:
    columns = dict(zip(items[0]._fields, zip(*items)))
    if "detail" in columns:
        columns["detail"] = [d and d[:DETAIL_CHARS] for d in columns["detail"]]
    arrays = [(_maps if field.name == "extra" else _array)(columns[field.name], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(values: Iterable[Any], type: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, type)
    except UnicodeEncodeError:  # a lone surrogate, as JSON escapes and file names may hold
        return pa.array([encodable(value) for value in values], type)


def _maps(values: Iterable[dict[str, str] | None], type: pa.DataType) -> pa.Array:
    """Maps, of which the pairs of one page or file share one: each is made an Arrow value once."""
    places: dict[int, int] = {}
    unique, index = [], []
    for value in values:
        place = places.setdefault(id(value), len(unique))
        if place == len(unique):
            unique.append(value if value is None else list(value.items()))
        index.append(place)
    return _array(unique, type).take(pa.array(index, pa.int32()))


def encodable(value: Any) -> Any:
    """The value with every string in it made valid UTF-8: a lone surrogate becomes a question mark."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {key: encodable(item) for key, item in value.items()}
    return type(value)(map(encodable, value)) if isinstance(value, list | tuple) else value


def caption_text(raw: str | None) -> tuple[str, dict[str, str]]:
    """A caption as it is stored, and what `extra` says of it: NUL removed, cut to 4,096 characters, else untouched.

    Where it was cut, extra holds `caption_cut`, the length before. Raises BadItemError `no_caption` for null or blank
    text and `no_letters` for text without any letter.

    >>> caption_text("a dog")
    ('a dog', {})
    """
    if raw and raw[0].isalpha() and len(raw) <= CAPTION_CHARS and "\0" not in raw:  # nearly all of them
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
    We differ from BIOMEDICA (arXiv:2501.07171) in normalising case, URLs and long names first. Where a text names
    several licences, one that forbids commercial use decides.

    >>> license_group("https://creativecommons.org/licenses/by-nc/4.0/"), license_group("CC BY-SA 3.0")
    ('noncommercial', 'commercial')
    """
    if raw is None:
        return None
    text = raw.strip().lower()
    names = _CC_URL.findall(text)
    if not names:
        for words, short in _CC_WORDS:
            text = words.sub(short, text)
        bare = _CC_BARE.fullmatch(text)
        names = [bare[1]] if bare else [elements or "zero" for elements, _ in _CC_TEXT.findall(text)]
    groups = {_group(name) for name in names} or {"other"}
    return next(g for g in ("noncommercial", "other", "commercial") if g in groups)


def _group(name: str) -> str:
    elements = set(re.split(r"[ _-]+", name))
    if name == "zero" or ("by" in elements and elements <= {"by", "sa", "nd"}):
        return "commercial"
    return "noncommercial" if "by" in elements and elements <= {"by", "nc", "sa", "nd"} else "other"
