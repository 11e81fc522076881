"""How sure the language of the caption is."""

import pyarrow as pa
import pyarrow.compute as pc

from curation.signal import signal


@signal(pa.float32(), stored=False)
def caption_language_score(language_prediction: pa.Array) -> pa.Array:
    """Probability of the caption's language by the model, float32, in [0, 1]; null where there is no prediction.

    >>> caption_language_score(pa.array([{"language": "en", "score": 0.5}, None])).to_pylist()
    [0.5, None]
    """
    return pc.struct_field(language_prediction, "score").cast(pa.float32())
