"""Which column of a table holds what: by the names in common use, and by what the values look like."""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import BadItemError
from curation.sources.columns import WEB_URL, as_text

# Names as written by LAION, DataComp, CC3M/CC12M, RedCaps, WIT, img2dataset, webdataset and Hugging Face tables,
# lower-cased; the first that a table has is taken.
IMAGE_URL_NAMES = ("image_url", "img_url", "imageurl", "image_link", "image_src")
URL_NAMES = (*IMAGE_URL_NAMES, "url", "src", "link")  # beside one of an image, a plain name is the page's
CAPTION_NAMES = (
    *(
        "caption",
        "captions",
        "text",
        "txt",
        "alt_text",
        "alt",
        "sentence",
        "sentences",
        "caption_text",
        "image_caption",
    ),
    *("caption_reference_description", "caption_alt_text_description", "caption_attribution_description"),
    *("image_description", "title", "description", "label_text"),
)
# Further texts for the same picture, as LAION-COCO's top_caption, RedCaps' raw_caption, Recap-DataComp's re_caption, or
# caption_de: a suffix of two letters is a language (ISO 639-1), but `id` tells rows apart before it is Indonesian.
OTHER_CAPTION = re.compile(
    r"(?!num_|n_|has_|is_)(?:(?:.*_)?captions?|text|txt|alt)(?:[_-]?\d+|[_-](?P<language>(?!id)[a-z]{2})(?:[_-][a-z]{2,4})?)?"
    r"|caption_(?:reference|attribution|alt_text)_description"
)
IMAGE_NAMES = ("image", "images", "image_bytes", "img", "jpg", "jpeg", "png", "webp", "picture", "image_data", "bytes")
PATH_NAMES = ("image_path", "img_path", "file_name", "filename", "file_path", "filepath", "path", "local_path", "file")
LICENSE_NAMES = ("license", "licence", "license_url", "image_license")
KEY_NAMES = ("key", "__key__", "id", "uid", "sample_id", "image_id")
CONTEXT_NAMES = ("context_section_description", "context_page_description")
USUAL_NAMES = frozenset(
    URL_NAMES + CAPTION_NAMES + IMAGE_NAMES + PATH_NAMES + LICENSE_NAMES + KEY_NAMES + CONTEXT_NAMES
)
KINDS = {
    "alt": "alt",
    "alt_text": "alt",
    "caption_alt_text_description": "alt",
    "title": "title",
}  # every other column of captions holds a "caption"


class Layout(NamedTuple):
    """The column of each role; null where there is none, or, in what the user names, where it is to be found."""

    caption: str | None = None
    url: str | None = None
    image: str | None = None
    path: str | None = None
    license: str | None = None
    key: str | None = None
    context: str | None = None
    others: tuple[str, ...] = ()  # further columns of captions
    instead: tuple[str, ...] = ()  # those of them that stand in, row by row, where the caption is missing

    @property
    def columns(self) -> set[str]:
        """All columns that have a role."""
        return {name for name in (*self[:-2], *self.others) if name is not None}


def caption_kind(column: str) -> str:
    """What the name of a column says of the captions in it: `alt`, `title` or `caption`.

    >>> caption_kind("ALT_TEXT"), caption_kind("TEXT")
    ('alt', 'caption')
    """
    return KINDS.get(column.lower(), "caption")


def language_of(column: str) -> str | None:
    """The ISO 639-1 code that the name of a column of captions ends in; null for none.

    >>> language_of("caption_de"), language_of("text_pt_br"), language_of("text_id"), language_of("caption")
    ('de', 'pt', None, None)
    """
    found = OTHER_CAPTION.fullmatch(column.lower())
    return found["language"] if found else None


def may_have_role(column: str, named: Layout) -> bool:
    """Whether a column is NAMED, or has one of the usual names."""
    name = column.lower()
    return column in named.columns or name in USUAL_NAMES or OTHER_CAPTION.fullmatch(name) is not None


def may_be_lists(column: str, named: Layout) -> bool:
    """Whether each item of a list in the column of this name may be a caption or an image of its own."""
    name = column.lower()
    usual = name in CAPTION_NAMES + IMAGE_NAMES or OTHER_CAPTION.fullmatch(name) is not None
    return usual or column in (named.caption, named.image, named.path)


def choose(batch: pa.RecordBatch, named: Layout) -> Layout:
    """The layout of a table, seen from its first rows.

    Raises BadItemError `missing_column` where a named column is not there, `wrong_type` where the one of the captions
    or the URLs holds no text, `no_columns` where no caption, or neither URL nor image, can be found,
    `duplicate_columns` where two columns have one name.
    """
    if len(set(batch.schema.names)) < batch.num_columns:
        raise BadItemError("duplicate_columns", f"the table has {batch.schema.names}")
    missing = sorted(named.columns - set(batch.schema.names))
    if missing:
        raise BadItemError("missing_column", f"no column {missing}; the table has {batch.schema.names}")
    for name in (named.caption, named.url):
        if name is not None and not is_text(batch.column(name)):
            raise BadItemError("wrong_type", f"column {name} is {batch.column(name).type}, wanted text")

    def first(names: Iterable[str], fits: Callable[[pa.Array], bool]) -> str | None:
        columns = {name.lower(): name for name in reversed(batch.schema.names)}
        found = (columns[name] for name in names if name in columns and fits(batch.column(columns[name])))
        return next(found, None)

    further = [
        name for name in batch.schema.names if OTHER_CAPTION.fullmatch(name.lower()) and is_text(batch.column(name))
    ]
    caption = named.caption or first(CAPTION_NAMES, is_text) or next(iter(further), None)
    url = named.url or first(IMAGE_URL_NAMES + IMAGE_NAMES, holds_urls)
    url = url or first(URL_NAMES, holds_urls) or first(URL_NAMES, is_text) or first(PATH_NAMES, holds_urls)
    image = named.image or first(IMAGE_NAMES, is_bytes)
    path = named.path
    if path is None and image is None and url is None:  # beside a URL, a path is where a downloader put its copy
        path = first(PATH_NAMES + IMAGE_NAMES, is_path)
    if caption is None or (url is None and image is None and path is None):
        raise BadItemError(
            "no_columns",
            f"found caption: {caption}, url: {url}, image: {image}, path: {path}; the table has {batch.schema.names}: "
            "name them with caption_column and url_column, image_column or path_column",
        )
    license, key = named.license or first(LICENSE_NAMES, is_text), named.key or first(KEY_NAMES, is_key)
    context = named.context or first(CONTEXT_NAMES, is_path)
    roles = (caption, url, image, path, license, key, context)
    others = tuple(name for name in further if name not in roles)
    instead = () if named.caption else tuple(n for n in others if not pa.types.is_nested(batch.column(n).type))
    return Layout(*roles, others, instead)


def is_text(column: pa.Array) -> bool:
    """Whether a column holds texts, or lists of texts; bytes may be texts too, in Parquet without the string mark."""
    kind = element(column.type)
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    return any(check(kind) for check in text) or (holds_bytes(kind) and not pa.types.is_nested(kind))


def is_path(column: pa.Array) -> bool:
    """Whether a column holds texts that are no image files."""
    return is_text(column) and not is_bytes(column)


def is_bytes(column: pa.Array) -> bool:
    """Whether a column holds image files: bytes that are no text, or structs with a field `bytes`, or lists of them."""
    kind = element(column.type)
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0
    if not holds_bytes(kind) or pa.types.is_nested(kind):
        return False
    values = pc.list_flatten(column) if kind != column.type else column
    if values.null_count == len(values):
        return True
    try:
        values.cast(pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        return True
    return False


def is_key(column: pa.Array) -> bool:
    """Whether a column can name rows: texts or whole numbers."""
    return pa.types.is_integer(column.type) or (is_text(column) and not pa.types.is_nested(column.type))


def holds_urls(column: pa.Array) -> bool:
    """Whether most of the values of a text column are http or https URLs."""
    if not is_path(column) or pa.types.is_nested(column.type):
        return False
    values = as_text(column).drop_null()
    return 2 * (pc.sum(pc.match_substring_regex(values, WEB_URL)).as_py() or 0) > len(values)


def holds_bytes(kind: pa.DataType) -> bool:
    """Whether values of this type may be whole image files, or hold them at any depth."""
    if pa.types.is_nested(kind):
        return any(holds_bytes(kind.field(i).type) for i in range(kind.num_fields))
    if pa.types.is_dictionary(kind):
        return holds_bytes(kind.value_type)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)


def element(kind: pa.DataType) -> pa.DataType:
    """The type of the elements of a list type, else the type itself."""
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return kind.value_type if is_list else kind
