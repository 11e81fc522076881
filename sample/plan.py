"""What a scene shows: things, how many, where, on what; and the sentence that says so.

A plan is drawn from a scene's own uniforms, so it depends on the seed and the scene's number alone.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import shapes
from PIL import Image

# Cells of a layout as (left, top, right, bottom) shares of the picture.
LAYOUTS = {
    "one": ((0.0, 0.0, 1.0, 1.0),),
    "row": ((0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)),
    "column": ((0.0, 0.0, 1.0, 0.5), (0.0, 0.5, 1.0, 1.0)),
    "row_of_three": ((0.0, 0.0, 0.34, 1.0), (0.33, 0.0, 0.67, 1.0), (0.66, 0.0, 1.0, 1.0)),
    "one_over_two": ((0.0, 0.0, 1.0, 0.5), (0.0, 0.5, 0.5, 1.0), (0.5, 0.5, 1.0, 1.0)),
}
LAYOUT_CHANCES = ("one",) * 9 + ("row",) * 4 + ("column",) * 4 + ("row_of_three", "one_over_two")
COUNT_CHANCES = (1,) * 13 + (2,) * 4 + (3,) * 3 + (4,) * 2  # for scenes of one kind of thing
BACKDROP_CHANCES = ("plain",) * 5 + ("gradient",) * 2 + ("stripes", "dots", "checks")
NUMBERS = {2: "two", 3: "three", 4: "four"}
CORNERS = {
    "in the top left corner": (0.0, 0.0), "in the top right corner": (1.0, 0.0), "in the middle": (0.5, 0.5),
    "in the bottom left corner": (0.0, 1.0), "in the bottom right corner": (1.0, 1.0),
}  # fmt: skip

# {0} to {2} are the things by cell. A phrase takes a manner ("a drawing of") before it, a sentence does not.
PHRASES = {
    "one": ("{0}",),
    "row": ("{0} to the left of {1}", "{1} to the right of {0}", "{0} next to {1}", "{1} beside {0}", "{0} and {1}"),
    "column": ("{0} above {1}", "{1} below {0}", "{0} over {1}", "{1} under {0}", "{0} and {1}"),
    "row_of_three": ("{0}, {1} and {2}", "{1} between {0} and {2}", "{0} to the left of {1} and {2}"),
    "one_over_two": ("{0} above {1} and {2}", "{1} and {2} below {0}", "{2}, {1} and {0}"),
}
SENTENCES = {
    "one": ("nothing but {0}",),
    "row": ("on the left {0}, on the right {1}",),
    "column": ("at the top {0}, at the bottom {1}",),
    "row_of_three": ("from left to right: {0}, {1}, {2}",),
    "one_over_two": ("at the top {0}, below it {1} and {2}",),
}
MANNERS = ("a drawing of ", "a picture of ", "an illustration of ", "clip art of ", "an image of ")
DISTANCE = 110  # levels of RGB between a thing's mean colour and a background's: nearer, it is hard to see


class Draws:
    """Uniforms in [0, 1) of one scene, in order, from a hash keyed by seed and scene number; no state is shared."""

    def __init__(self, seed: int, scene: int) -> None:
        digest = hashlib.shake_256(f"{seed}\0scene\0{scene}".encode()).digest(8 * 128)  # a scene uses under 60
        words = (int.from_bytes(digest[start : start + 8], "big") for start in range(0, len(digest), 8))
        self.uniforms: Iterator[float] = ((word >> 11) / 2**53 for word in words)

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return next(self.uniforms) < probability

    def between(self, low: float, high: float) -> float:
        """A value from low to high."""
        return low + (high - low) * next(self.uniforms)

    def pick(self, options: Sequence) -> object:
        """One of the options."""
        return options[int(next(self.uniforms) * len(options))]


@dataclass(frozen=True)
class Item:
    """A thing that can be placed: RGBA picture, name, plural ("" where not counted), colour word, mean RGB."""

    image: Image.Image
    name: str
    plural: str
    colour: str
    mean: tuple[float, ...]


@dataclass(frozen=True)
class Group:
    """`count` times one thing in one cell; `size` is small, big or ""; `coloured`: the caption tells its colour."""

    item: Item
    count: int
    size: str
    coloured: bool


@dataclass(frozen=True)
class Plan:
    """A whole scene. `corner` is a key of CORNERS or ""."""

    layout: str
    groups: tuple[Group, ...]
    corner: str
    backdrop: shapes.Backdrop
    caption: str


def plan(names: Sequence[str], catalogue: dict[str, list[Item]], draws: Draws) -> Plan:
    """A scene of things of the catalogue: names are equally likely, then the drawings of a name."""
    layout = draws.pick(LAYOUT_CHANCES)
    groups: list[Group] = []
    for _ in LAYOUTS[layout]:
        groups.append(pick_group(names, catalogue, groups, layout, draws))
    alone = layout == "one" and groups[0].count == 1 and groups[0].size == "small"
    corner = draws.pick(tuple(CORNERS)) if alone else ""
    backdrop = pick_backdrop([group.item.mean for group in groups], draws)
    return Plan(layout, tuple(groups), corner, backdrop, caption(layout, groups, corner, backdrop, draws))


def pick_group(
    names: Sequence[str], catalogue: dict[str, list[Item]], others: list[Group], layout: str, draws: Draws
) -> Group:
    """A thing that the scene does not have yet: a plain shape with a chance of 3 in 10, else clip art."""
    taken = {group.item.name for group in others}
    pool = shapes.NAMES if draws.chance(0.3) else names
    start = int(draws.between(0, len(pool)))
    name = next(name for name in (*pool[start:], *pool[:start]) if name not in taken)
    item = draws.pick(catalogue[name])
    count = draws.pick(COUNT_CHANCES) if layout == "one" or draws.chance(0.2) else 1
    size = draws.pick(("", "", "small", "big"))
    coloured = draws.chance(0.95 if name in shapes.NAMES else 0.6)
    return Group(item, count if item.plural else 1, "" if count > 1 else size, coloured)


def pick_backdrop(means: list[tuple[float, ...]], draws: Draws) -> shapes.Backdrop:
    """A background whose colours stand off from every thing's mean colour, as far as there are such colours."""
    kind = draws.pick(BACKDROP_CHANCES)
    clear = [
        name
        for name, rgb in shapes.COLOURS.items()
        if all(sum((a - b) ** 2 for a, b in zip(rgb, mean, strict=True)) > DISTANCE**2 for mean in means)
    ]
    if len(clear) < 2:
        return shapes.Backdrop("plain", "white", "white")
    first = "white" if "white" in clear and draws.chance(0.15) else draws.pick(clear)
    second = draws.pick([name for name in clear if name != first])
    return shapes.Backdrop(kind, first, first if kind == "plain" else second)


def caption(layout: str, groups: list[Group], corner: str, backdrop: shapes.Backdrop, draws: Draws) -> str:
    """A sentence that is true of the scene; it may leave out the background, a colour, a size or the place."""
    things = [phrase(group, draws) for group in groups]
    if draws.chance(0.12):
        text = draws.pick(SENTENCES[layout]).format(*things)
    else:
        text = draws.pick(PHRASES[layout]).format(*things)
        text = draws.pick(MANNERS) + text if draws.chance(0.35) else text
    if corner and draws.chance(0.6):
        text += f" {corner}"
    if not draws.chance(0.6):
        return text
    ground = draws.pick(shapes.BACKDROPS[backdrop.kind]).format(backdrop.first, backdrop.second)
    place = f"{draws.pick(('on', 'against'))} {with_article(ground)}"
    return f"{place}, {text}" if draws.chance(0.12) else f"{text} {place}"


def phrase(group: Group, draws: Draws) -> str:
    """ "three red apples", "a small dog", "milk"."""
    size = group.size if draws.chance(0.8) else ""
    colour = group.item.colour if group.coloured else ""
    words = " ".join(word for word in (size, colour) if word)
    if group.count > 1:
        return " ".join(word for word in (NUMBERS[group.count], words, group.item.plural) if word)
    text = f"{words} {group.item.name}".strip()
    return with_article(text) if group.item.plural else text


def with_article(text: str) -> str:
    """ "an apple", "a pear"."""
    return f"{'an' if text[0] in 'aeiou' or text.startswith('lcd') else 'a'} {text}"
