"""Which column of a table holds what: by the names in common use, and by what the values look like."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import BadItemError
from curation.sources.columns import WEB_URL, as_text

# Names as written by LAION, DataComp, CC3M/CC12M, img2dataset, webdataset and Hugging Face tables, lower-cased; the
# first that a table has is taken.
URL_NAMES = ("url", "image_url", "img_url", "imageurl", "image_link", "image_src", "src", "link")
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
    *("image_description", "title", "description", "label_text"),
)
IMAGE_NAMES = ("image", "images", "image_bytes", "img", "jpg", "jpeg", "png", "webp", "picture", "image_data", "bytes")
PATH_NAMES = ("image_path", "img_path", "file_name", "filename", "file_path", "filepath", "path", "local_path", "file")
LICENSE_NAMES = ("license", "licence", "license_url", "image_license")
KEY_NAMES = ("key", "__key__", "id", "uid", "sample_id", "image_id")
KINDS = {"alt": "alt", "alt_text": "alt", "title": "title"}  # every other column of captions holds a "caption"


class Layout(NamedTuple):
    """The column of each role; null where there is none, or, in what the user names, where it is to be found."""

    caption: str | None = None
    url: str | None = None
    image: str | None = None
    path: str | None = None
    license: str | None = None
    key: str | None = None
    context: str | None = None

    @property
    def caption_kind(self) -> str:
        """What the name of the caption's column says of it: `alt`, `title` or `caption`."""
        return KINDS.get(self.caption.lower(), "caption")


def choose(batch: pa.RecordBatch, named: Layout) -> Layout:
    """The layout of a table, seen from its first rows.

    Raises BadItemError `missing_column` where a named column is not there, `wrong_type` where the one of the captions
    or the URLs holds no text, `no_columns` where no caption, or neither URL nor image, can be found,
    `duplicate_columns` where two columns have one name.
    """
    if len(set(batch.schema.names)) < batch.num_columns:
        raise BadItemError("duplicate_columns", f"the table has {batch.schema.names}")
    missing = sorted({name for name in named if name is not None} - set(batch.schema.names))
    if missing:
        raise BadItemError("missing_column", f"no column {missing}; the table has {batch.schema.names}")
    for name in (named.caption, named.url):
        if name is not None and not is_text(batch.column(name)):
            raise BadItemError("wrong_type", f"column {name} is {batch.column(name).type}, wanted text")

    def first(names: Iterable[str], fits: Callable[[pa.Array], bool]) -> str | None:
        columns = {name.lower(): name for name in reversed(batch.schema.names)}
        found = (columns[name] for name in names if name in columns and fits(batch.column(columns[name])))
        return next(found, None)

    caption = named.caption or first(CAPTION_NAMES, is_text)
    url = named.url or first(URL_NAMES, is_text) or first(IMAGE_NAMES + PATH_NAMES, holds_urls)
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
    return Layout(caption, url, image, path, license, key, named.context)


def is_text(column: pa.Array) -> bool:
    """Whether a column holds texts, or lists of texts; bytes may be texts too, in Parquet without the string mark."""
    kind = element(column.type)
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    return any(check(kind) for check in text) or (holds_bytes(kind) and not pa.types.is_struct(kind))


def is_path(column: pa.Array) -> bool:
    """Whether a column holds texts that are no image files."""
    return is_text(column) and not is_bytes(column)


def is_bytes(column: pa.Array) -> bool:
    """Whether a column holds image files: bytes that are no text, or structs with a field `bytes`, or lists of them."""
    kind = element(column.type)
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0
    if not holds_bytes(kind):
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
    """Whether values of this type may be whole image files."""
    kind = element(kind)
    if pa.types.is_struct(kind):
        return any(holds_bytes(kind.field(i).type) for i in range(kind.num_fields))
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)


def element(kind: pa.DataType) -> pa.DataType:
    """The type of the elements of a list type, else the type itself."""
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return kind.value_type if is_list else kind
