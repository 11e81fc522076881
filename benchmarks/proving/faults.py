"""What goes wrong with pairs on the web, and how often: what each fault makes of a scene.

Where a share is published it stands beside the rate. All together are kinder than the web, of whose pairs the best
published filters keep 10 to 30 % (arXiv:2304.14108, tables 3 and 4): of ours 28 % are whole and seen once.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from planting import captions, pictures
from planting.pairs import keyed

from proving.scene import Scene, ground, scene
from proving.things import Things

RATES = {
    "swapped": 0.15,  # assumption; the caption of another scene, as where a page's alt texts slip by one
    "language": 0.15,  # LAION-5B: 2.26 of 5.85 billion pairs are in another known language
    "parrot": 0.12,  # arXiv:2312.14232: half of LAION-2B's pictures show text, a third repeat words of the caption
    "placeholder": 0.08,  # assumption; "IMG_2041.JPG", "click to enlarge"
    "furniture": 0.05,  # assumption; what shops and agencies put around a description
    "numbers": 0.05,  # assumption; article numbers, sizes and prices among the words (arXiv:2309.13770)
    "duplicate_exact": 0.05,  # arXiv:2303.12733: 700 million of LAION-2B's pictures are copies of others
    "duplicate_edited": 0.06,  # the same, or cropped, resized, compressed, mirrored, with a watermark
    "solid": 0.02,  # assumption; spacers, banners, pictures that failed to load
    "broken": 0.02,  # assumption; cut files, pages in place of a picture
    "tiny": 0.02,  # assumption; thumbnails of at most 28 px
}
CLEAN = "clean"
WORDS = (  # of the place, by no means of the picture
    "buy {} now with free shipping", "{} - stock photo", "{} | royalty free image", "{} for sale online store",
    "best price on {}", "{} - my photo blog", "download {} wallpaper free hd", "{} sold out",
)  # fmt: skip
TINY = (14, 28)  # px of the side


class Pair(NamedTuple):
    """What the pool gets: the fault, the encoded picture and the caption."""

    fault: str
    data: bytes
    caption: str


def fault_of(seed: int, number: int) -> str:
    """The fault of the pair of that number: of each as many as RATES says, a pair has one at most."""
    uniform, sum_ = keyed(seed, "fault", number) / 2**64, 0.0
    for name, rate in RATES.items():
        sum_ += rate
        if uniform < sum_:
            return name
    return CLEAN


def pair(things: Things, seed: int, number: int) -> Pair:
    """The pair of that number: a function of the things, the seed and the number alone."""
    fault = fault_of(seed, number)
    made = MADE.get(fault)
    if made is None:
        whole = scene(things, seed, number)
        return Pair(fault, whole.jpeg, whole.caption)
    return Pair(fault, *made(things, seed, number, np.random.default_rng(keyed(seed, fault, number))))


def _swapped(things: Things, seed: int, number: int, draw: np.random.Generator) -> tuple[bytes, str]:
    other = scene(things, seed, int(draw.integers(1 << 39, 1 << 40)))
    return scene(things, seed, number).jpeg, other.caption


def _language(things: Things, seed: int, number: int, draw: np.random.Generator) -> tuple[bytes, str]:
    """A stamp's real caption in another language; of a thing in the scene, where there is a stamp of it."""
    whole = scene(things, seed, number)
    names = next((name for name in whole.names if name in things.foreign), "")
    return whole.jpeg, str(draw.choice(np.array(things.foreign[names], object)))


def _parrot(things: Things, seed: int, number: int, draw: np.random.Generator) -> tuple[bytes, str]:
    """The caption written over the scene, or, of every second, on its background alone."""
    whole = scene(things, seed, number)
    shown = ground(things, seed, number) if draw.random() < 0.5 else whole.jpeg
    return pictures.lettered(shown, whole.caption, draw)[1], whole.caption


def _placeholder(things: Things, seed: int, number: int, draw: np.random.Generator) -> tuple[bytes, str]:
    return scene(things, seed, number).jpeg, captions.placeholder("", draw)[1]


def _furniture(things: Things, seed: int, number: int, draw: np.random.Generator) -> tuple[bytes, str]:
    """Words of a shop or an agency around one name, often of another thing than those shown."""
    whole = scene(things, seed, number)
    name = whole.names[0] if draw.random() < 0.5 else things.names[int(draw.integers(len(things.names)))]
    return whole.jpeg, WORDS[int(draw.integers(len(WORDS)))].format(name)


def _numbers(things: Things, seed: int, number: int, draw: np.random.Generator) -> tuple[bytes, str]:
    whole = scene(things, seed, number)
    return whole.jpeg, captions.stuffed(whole.caption, draw)[1]


def _source(things: Things, seed: int, number: int, draw: np.random.Generator) -> Scene:
    """The scene that a copy is of: one before it, the earlier the more often, so that a few are copied many times."""
    return scene(things, seed, int(number * draw.random() ** 2))


def _copy(things: Things, seed: int, number: int, draw: np.random.Generator) -> tuple[bytes, str]:
    whole = _source(things, seed, number, draw)
    return whole.jpeg, whole.caption if draw.random() < 0.5 else captions.respaced(whole.caption, draw)


def _edited(things: Things, seed: int, number: int, draw: np.random.Generator) -> tuple[bytes, str]:
    whole = _source(things, seed, number, draw)
    return pictures.edited(whole.jpeg, whole.caption, draw)[1], whole.caption


def _solid(things: Things, seed: int, number: int, draw: np.random.Generator) -> tuple[bytes, str]:
    return pictures.solid(b"", "", draw)[1], scene(things, seed, number).caption


def _broken(things: Things, seed: int, number: int, draw: np.random.Generator) -> tuple[bytes, str]:
    whole = scene(things, seed, number)
    return pictures.broken(whole.jpeg, "", draw)[1], whole.caption


def _tiny(things: Things, seed: int, number: int, draw: np.random.Generator) -> tuple[bytes, str]:
    whole = scene(things, seed, number)
    side = int(draw.integers(TINY[0], TINY[1] + 1))
    return pictures.saved(pictures.opened(whole.jpeg).resize((side, side)), "JPEG"), whole.caption


MADE: dict[str, Callable[[Things, int, int, np.random.Generator], tuple[bytes, str]]] = {
    "swapped": _swapped,
    "language": _language,
    "parrot": _parrot,
    "placeholder": _placeholder,
    "furniture": _furniture,
    "numbers": _numbers,
    "duplicate_exact": _copy,
    "duplicate_edited": _edited,
    "solid": _solid,
    "broken": _broken,
    "tiny": _tiny,
}
