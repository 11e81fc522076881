"""MinHash: signatures estimate the similarity of captions, and bands bring near ones together."""

import numpy as np

from curation.methods.minhash import bands, jaccard, shingles, signatures

CAPTION = "a brown dog lies on the green grass of a wide park in the afternoon sun"


def variants() -> list[str]:
    """The caption with its last words replaced, from none to all."""
    words = CAPTION.split()
    return [" ".join([*words[: len(words) - n], *(f"other{k}" for k in range(n))]) for n in range(len(words) + 1)]


def test_signatures_estimate_the_similarity():
    texts = variants()
    found = signatures(texts, 512)
    exact = np.array([jaccard(shingles(texts[0]), shingles(text)) for text in texts])
    estimate = (found == found[0]).mean(axis=1)
    assert exact[0] == 1 and exact[-1] < 0.1 and ((exact > 0.3) & (exact < 0.8)).sum() > 3
    assert np.abs(estimate - exact).max() < 4 * 0.5 / 512**0.5  # four standard deviations of a binomial share


def test_a_signature_is_of_its_caption_alone():
    texts = [*variants(), "", "x", "日本語の説明文"]
    together = signatures(texts)
    assert all(np.array_equal(signatures([text])[0], row) for text, row in zip(texts, together))
    assert signatures([]).shape == (0, 128)


def test_near_captions_share_a_band_and_far_ones_none():
    texts = [CAPTION, CAPTION + ".", "stock market falls", "red car"]
    keys = bands(signatures(texts), 4)
    shared = [len(set(keys[0].tolist()) & set(row.tolist())) for row in keys[1:]]
    assert shared[0] > 0 and shared[1:] == [0, 0]
    assert len(set(keys[0].tolist())) == 32
