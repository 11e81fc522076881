"""How near a picture is to those of evaluation sets, and how much of its caption is in theirs."""

import numpy as np
import pyarrow as pa

from curation.methods.leakage import nearest_evaluation as nearest
from curation.methods.leakage import shared_ngrams
from curation.models.evaluation import load_evaluation
from curation.signal import EvaluationFile, File, signal
from curation.vectors import as_matrix

NEAREST = pa.struct([("set", pa.string()), ("item", pa.string()), ("score", pa.float64())])


@signal(NEAREST)
def nearest_evaluation(image_embedding: pa.Array, *, evaluation: EvaluationFile = ...) -> pa.Array:
    """The evaluation picture nearest to the picture: struct {set: string, item: string, score: float64, the cosine};
    null where the embedding is.

    `evaluation` is a file of `curate calibrate`, made with the same model, settings and version of image_embedding:
    RecipeError otherwise. The first of equal ones counts.
    """
    known = load_evaluation(evaluation)
    images, valid = as_matrix(image_embedding, known.vectors.shape[1])
    rows, scores = nearest(images[valid], known.vectors)
    found = known.items.select(["set", "item"]).take(pa.array(rows))
    columns = [found["set"].combine_chunks(), found["item"].combine_chunks(), pa.array(scores)]
    places = np.cumsum(valid) - 1
    return pa.StructArray.from_arrays(columns, fields=list(NEAREST)).take(pa.array(places, mask=~valid))


@signal(pa.int32())
def evaluation_ngrams(caption: pa.Array, *, evaluation: File = ...) -> pa.Array:
    """Runs of 8 words of the caption that captions of the evaluation sets have, too, int32, shape (n,); a caption of
    fewer words counts as one run. Null where the caption is.

    Words are runs of letters and digits in lower case. Classes' names as captions make every short caption that is
    one of them count: it is for reports.
    """
    found = shared_ngrams(caption.to_pylist(), load_evaluation(evaluation).ngrams)
    return pa.array(found, mask=np.asarray(caption.is_null()))
