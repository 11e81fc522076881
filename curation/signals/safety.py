"""Scores of pictures and captions by models of the operator's own: safety, watermarks, beauty (docs/safety.md)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from curation.signal import Scorer, signal

Pictures = list[np.ndarray | None] | None


def _scorer(setting: str, *inputs: str) -> Callable[[dict[str, Any]], dict[str, None]]:
    """What `instead` of a signal is whose scorer reads one of these inputs."""

    def instead(settings: dict[str, Any]) -> dict[str, None]:
        from curation.models.scorers import unread

        return unread(setting, settings[setting], inputs)

    return instead


@signal(pa.float32(), instead=_scorer("nsfw", "image_embedding", "pixels_bounded"))
def nsfw_score(image_embedding: pa.Array | None, pixels_bounded: Pictures, *, nsfw: Scorer = "open_nsfw") -> pa.Array:
    """How likely the picture is not safe for work, float32, shape (n,), in [0, 1] for the packaged model; null where
    the picture is.

    `nsfw` is a name or file of curation.models.scorers. The packaged one, Yahoo's Open-NSFW (2016), reads the pixels
    and knows pornography alone; its authors call below 0.2 safe and above 0.8 not safe. LAION's and DataComp's is a
    head on ViT-L/14 embeddings. A head's score is what its file declares. MissingModelError where it is not there.
    """
    return _score(nsfw, {"image_embedding": image_embedding, "pixels_bounded": pixels_bounded})


@signal(pa.float32(), instead=_scorer("watermark", "image_embedding", "pixels_bounded"))
def watermark_score(image_embedding: pa.Array | None, pixels_bounded: Pictures, *, watermark: Scorer = ...) -> pa.Array:
    """How likely the picture has a watermark, float32, shape (n,), as the file `watermark` says; null where the picture
    is.

    LAION-5B's aesthetic subsets keep < 0.8 of its own classifier of pixels (arXiv:2210.08402).
    """
    return _score(watermark, {"image_embedding": image_embedding, "pixels_bounded": pixels_bounded})


@signal(pa.float32(), instead=_scorer("aesthetic", "image_embedding", "pixels_bounded"))
def aesthetic_score(image_embedding: pa.Array | None, pixels_bounded: Pictures, *, aesthetic: Scorer = ...) -> pa.Array:
    """How well people would like the picture, float32, shape (n,), as the file `aesthetic` says; null where the picture
    is.

    LAION's predictors are heads on CLIP embeddings that give marks from about 1 to 10 (arXiv:2210.08402); its aesthetic
    subset keeps > 7.
    """
    return _score(aesthetic, {"image_embedding": image_embedding, "pixels_bounded": pixels_bounded})


@signal(pa.float32(), instead=_scorer("q16", "image_embedding"))
def q16_score(image_embedding: pa.Array, *, q16: Scorer = ...) -> pa.Array:
    """Probability that the picture is inappropriate, float32, shape (n,), in [0, 1]; null where the embedding is.

    `q16` is a file with the array `prompts` (2, d): the two tuned prompt vectors, positive first, for the CLIP model of
    the embedding. Q16 (arXiv:2202.06675), section 3; its published lists hold what has >= 0.9 with ViT-B/16.
    """
    return _score(q16, {"image_embedding": image_embedding})


@signal(pa.float32(), instead=_scorer("toxicity", "caption", "caption_embedding"))
def caption_toxicity(
    caption: pa.Array | None, caption_embedding: pa.Array | None, *, toxicity: Scorer = ...
) -> pa.Array:
    """How toxic the caption is, float32, shape (n,), as the file `toxicity` says; null where the caption is.

    A fastText classifier gives the probability of its declared label; a list of words 1 for a caption that holds one,
    else 0; a head what it declares, of the caption's embedding. No list and no model comes with the package: report
    what each removes by language before it decides (arXiv:2104.08758 finds that lists remove dialects and groups).
    """
    return _score(toxicity, {"caption": caption, "caption_embedding": caption_embedding})


def _score(name: str, inputs: dict[str, pa.Array | Pictures]) -> pa.Array:
    from curation.models.scorers import score

    return score(name, inputs)
