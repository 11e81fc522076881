"""The language of the caption, as one prediction that `caption_language` and `caption_language_score` read."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.signal import LanguageModel, signal

PREDICTION = pa.struct([("language", pa.string()), ("score", pa.float32())])


@signal(PREDICTION, version=2)
def language_prediction(caption: pa.Array, *, backend: LanguageModel = "fasttext") -> pa.Array:
    """Top language of each caption with its probability: struct {language: string, score: float32 in [0, 1]}.

    `backend`: "fasttext", lid.176.ftz over the whole caption in lower case (titles in Capitals mislead it);
    "fasttext:FILE", a fastText model as it is (DataComp's rule with its lid.176.bin); "langdetect", seeded, some
    hundred times slower; "cld3"; "MODULE:FUNCTION", your own: see curation.models.language.
    Codes are ISO 639 without script or region. Newlines count as spaces. Null for a null caption, for one without any
    letter (empty, digits, emoji), and where the model knows nothing of the text. Short texts are guesses: of captions
    of 1 to 3 words docs/language.md says how many are right, so bound the score or the length, too. RecipeError for
    another backend and for a function that answers anything else; MissingModelError where file or library is missing.

    >>> found = language_prediction(pa.array(["ein Hund im Park", "1234", None])).to_pylist()
    >>> found[0]["language"], found[1:]
    ('de', [None, None])
    """
    from curation.models.language import load

    lettered = pc.fill_null(pc.match_substring_regex(caption, r"\p{L}"), False)
    texts = pc.replace_substring(caption.filter(lettered), "\n", " ")
    found = load(backend)(texts.to_pylist())
    languages = pa.array([one and one[0] for one in found], pa.string())
    scores = pa.array([one and one[1] for one in found], pa.float32())
    predictions = pa.StructArray.from_arrays([languages, scores], fields=list(PREDICTION), mask=languages.is_null())
    there = np.asarray(lettered)
    return predictions.take(pa.array(np.cumsum(there) - 1, mask=~there))
