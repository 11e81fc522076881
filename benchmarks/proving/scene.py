"""One captioned scene: what it shows is drawn from the seed and its number alone, and so is every byte of it.

In the pool things are as frequent as words are, 1 over their rank; in the test all are as frequent. Compositions that
a keyed hash sets aside are in the test alone: two things that stand together, or one thing in a number, size and place
on a background.
"""

import functools
import io
from collections.abc import Iterator
from typing import NamedTuple

import shapes
from PIL import Image
from plan import Draws, Plan, plan
from planting.pairs import keyed
from scenes import SIDE, render

from proving.things import Things

HELD_OUT = 0.1  # share of compositions that no pool shows
QUALITY = 90
REDRAWN = 1 << 40  # numbers of further tries are beyond those of scenes
TRIES = 100_000


class Scene(NamedTuple):
    """A scene's JPEG (128 x 128 px), its caption and the names of its things, the first one first."""

    jpeg: bytes
    caption: str
    names: tuple[str, ...]


def scene(things: Things, seed: int, number: int, *, test: bool = False) -> Scene:
    """The scene of that number, of the pool or of the test."""
    chosen, draws = planned(things, seed, number, test)
    return Scene(encoded(render(chosen, draws)), chosen.caption, tuple(group.item.name for group in chosen.groups))


def planned(things: Things, seed: int, number: int, test: bool) -> tuple[Plan, Draws]:
    """What the scene shows, and the uniforms to render it by."""
    names = things.names if test else frequent(things.names)
    return next((found, draws) for found, draws in _tries(names, things, seed, number) if held_out(found) == test)


def portrait(things: Things, seed: int, number: int, name: str) -> bytes:
    """The JPEG of a scene of the test that shows things of one name alone."""
    names = (name, *things.names[:4])  # a scene may want three of them, and is not taken then
    for found, draws in _tries(names, things, seed, number):
        if [group.item.name for group in found.groups] == [name] and held_out(found):
            return encoded(render(found, draws))
    raise AssertionError(f"{name}: none of {TRIES} scenes shows it alone in a composition of the test")


def _tries(names: tuple[str, ...], things: Things, seed: int, number: int) -> Iterator[tuple[Plan, Draws]]:
    for attempt in range(TRIES):
        draws = Draws(seed, number + attempt * REDRAWN)
        yield plan(names, things.items, draws), draws


@functools.cache
def frequent(names: tuple[str, ...]) -> tuple[str, ...]:
    """Each name as often as 1 over its rank says, the last once.

    >>> frequent(("a", "b", "c"))
    ('a', 'a', 'a', 'b', 'b', 'c')
    """
    return tuple(name for rank, name in enumerate(names, 1) for _ in range(round(len(names) / rank)))


def held_out(found: Plan) -> bool:
    """Whether the composition is one of those that only the test shows."""
    names = sorted(group.item.name for group in found.groups)
    more: tuple = ()
    if len(names) == 1:  # on its background alone some things have no composition in the test
        (group,), backdrop = found.groups, found.backdrop
        more = (backdrop.kind, backdrop.first, backdrop.second, group.count, group.size, found.corner)
    return keyed("composition", *names, *more) < HELD_OUT * 2**64


def encoded(image: Image.Image) -> bytes:
    """As JPEG."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def ground(things: Things, seed: int, number: int) -> bytes:
    """The JPEG of the background of a scene of the pool, with nothing on it."""
    found, draws = planned(things, seed, number, False)
    return encoded(shapes.draw_backdrop(found.backdrop, SIDE, int(draws.between(10, 28)), 0))
