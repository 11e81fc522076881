"""The language code of the caption."""

import pyarrow as pa
import pyarrow.compute as pc

from curation.signal import signal


@signal(pa.string(), stored=False)
def caption_language(language_prediction: pa.Array) -> pa.Array:
    """Language code of each caption, string (`en`); null where `language_prediction` has none.

    >>> caption_language(pa.array([{"language": "en", "score": 0.9}, None])).to_pylist()
    ['en', None]
    """
    return pc.struct_field(language_prediction, "language")
