"""Which of a list of prompts a picture is most like, and how like it picture and caption are."""

import numpy as np
import pyarrow as pa

from curation.methods.centroids import nearest_centroids
from curation.models.prompts import prompt_vectors
from curation.signal import ClipModel, File, signal
from curation.signals.embedding import Precision
from curation.vectors import as_matrix, exact_cosine

ADDED = {"precision": "fp32"}


@signal(pa.int32(), added=ADDED)
def prompt_class(
    image_embedding: pa.Array, *, prompts: File = ..., clip: ClipModel = "sample-clip", precision: Precision = "fp32"
) -> pa.Array:
    """Number, from 0, of the prompt whose vector is nearest to that of the picture, int32, shape (n,); null where the
    embedding is.

    `prompts` is a text file, a prompt a line ("a photo of a tench."); ties go to the first. CLIP's zero-shot classifier
    (arXiv:2103.00020), which ClipCov (arXiv:2403.12267) takes its latent classes from. RecipeError for a file without
    prompts or with one twice.
    """
    vectors = prompt_vectors(prompts, clip, precision)
    images, valid = as_matrix(image_embedding, vectors.shape[1])
    return pa.array(nearest_centroids(images, vectors).astype(np.int32), mask=~valid)


@signal(pa.float32(), added=ADDED)
def prompt_similarity(
    image_embedding: pa.Array,
    caption_embedding: pa.Array,
    prompt_class: pa.Array,
    *,
    prompts: File = ...,
    clip: ClipModel = "sample-clip",
    precision: Precision = "fp32",
) -> pa.Array:
    """Mean of the cosines of picture and caption to the prompt of `prompt_class`, float32, shape (n,), in [-1, 1]; null
    where one of them has no vector. ClipCov's likeness to the label (arXiv:2403.12267).
    """
    vectors = prompt_vectors(prompts, clip, precision)
    images, seen = as_matrix(image_embedding, vectors.shape[1])
    captions, said = as_matrix(caption_embedding, vectors.shape[1])
    label = vectors[np.asarray(prompt_class.fill_null(0))]
    mean = (exact_cosine(images, label) + exact_cosine(captions, label)) / 2
    return pa.array(mean.astype(np.float32), mask=~(seen & said & np.asarray(prompt_class.is_valid())))
