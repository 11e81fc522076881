"""How much of the caption only repeats the text in the picture ("Parrot Captions", arXiv:2312.14232)."""

import numpy as np
import pyarrow as pa

from curation.methods import parrot
from curation.signal import signal


@signal(pa.float64(), stored=False)
def parrot_share(caption: pa.Array, image_text: pa.Array) -> pa.Array:
    """Share of the caption's different words that the picture shows, float64, shape (n,), in [0, 1].

    Words are runs of letters and digits in lower case; 0 where the picture shows no text. Null where the caption has no
    words, and where caption or picture is null. A caption with any share above 0 parrots (arXiv:2312.14232, section 3).

    >>> parrot_share(pa.array(["Keep Calm poster", "a cat"]), pa.array([["KEEP CALM"], []])).to_pylist()
    [0.6666666666666666, 0.0]
    """
    return _shares(caption, image_text, 0, 0)


@signal(pa.float64(), stored=False)
def parrot_share_fuzzy(
    caption: pa.Array, image_text: pa.Array, *, parrot_distance: int = 1, parrot_letters: int = 0
) -> pa.Array:
    """As `parrot_share`, but a word counts as shown when one at most `parrot_distance` edits away is: float64, (n,).

    An edit inserts, deletes or replaces one letter, so short words match many (`on`, `an`): words of fewer than
    `parrot_letters` letters have to be the same. The paper has neither number; both are ours.

    >>> parrot_share_fuzzy(pa.array(["Keep Calm"]), pa.array([["KEEEP", "COMB"]])).to_pylist()
    [0.5]
    """
    return _shares(caption, image_text, parrot_distance, parrot_letters)


def _shares(caption: pa.Array, image_text: pa.Array, distance: int, letters: int) -> pa.Array:
    shares = parrot.parrot_share(caption.to_pylist(), image_text.to_pylist(), distance, letters)
    return pa.array(shares, mask=np.isnan(shares))
