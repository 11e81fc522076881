"""Scenes: captions are true of the pixels, bytes depend on seed and number alone, clip art is what its name says."""

import doctest
import re
import tarfile
from pathlib import Path

import clipart
import numpy as np
import plan
import pytest
import scenes
import shapes
import titles
import wordnet


@pytest.fixture(scope="module")
def shape_items(work: Path) -> dict[str, list[plan.Item]]:
    """The catalogue's shapes, whose colours are known to the pixel."""
    return {name: scenes.catalogue(work)[name] for name in shapes.NAMES}


@pytest.mark.parametrize("module", [titles, wordnet], ids=lambda module: module.__name__)
def test_docstring_examples(module: object) -> None:
    outcome = doctest.testmod(module)
    assert outcome.attempted > 0 and outcome.failed == 0


def mask(pixels: np.ndarray, colour: str) -> np.ndarray:
    """Where (H, W, 3) is within 8 levels of a named colour, the rounding of edges aside."""
    return np.abs(pixels.astype(int) - shapes.COLOURS[colour]).max(axis=-1) <= 8


def plain_scenes(items: dict[str, list[plan.Item]], count: int) -> list[tuple[plan.Plan, np.ndarray]]:
    """Scenes on plain backgrounds whose things differ in colour from each other; the edges of black things are gray."""
    found = []
    for number in range(count):
        draws = plan.Draws(7, number)
        scene = plan.plan(shapes.NAMES, items, draws)
        colours = [group.item.colour for group in scene.groups]
        if scene.backdrop.kind == "plain" and len(set(colours)) == len(colours) and "gray" not in colours:
            found.append((scene, np.asarray(scenes.render(scene, draws))))
    return found


def test_every_thing_is_in_its_cell_and_nowhere_else(shape_items: dict) -> None:
    checked = 0
    for scene, pixels in plain_scenes(shape_items, 400):
        for group, cell in zip(scene.groups, plan.LAYOUTS[scene.layout], strict=True):
            rows, columns = np.nonzero(mask(pixels, group.item.colour))
            left, top, right, bottom = (round(edge * scenes.SIDE) for edge in cell)
            assert len(rows) > 30 * group.count, scene.caption
            assert left - 2 <= columns.min() and columns.max() <= right + 2, scene.caption
            assert top - 2 <= rows.min() and rows.max() <= bottom + 2, scene.caption
            checked += 1
    assert checked > 150


def test_what_the_caption_says_of_places_is_true_of_the_pixels(shape_items: dict) -> None:
    axis = {"left of": 1, "right of": 1, "above": 0, "below": 0, "under": 0, "over": 0}
    words, seen = "|".join(shapes.COLOURS), set()
    for scene, pixels in plain_scenes(shape_items, 1500):
        found = re.search(rf"({words}) \w+ (?:to the )?({'|'.join(axis)}) .*?({words})\b", scene.caption)
        named = [group.item.colour for group in scene.groups if group.coloured]
        if len(scene.groups) != 2 or len(named) != 2 or found is None:
            continue
        if {found[1], found[3]} != set(named):
            continue
        first, second = (np.argwhere(mask(pixels, colour)).mean(axis=0)[axis[found[2]]] for colour in found.group(1, 3))
        assert (first < second) == (found[2] in ("left of", "above", "over")), scene.caption
        seen.add(found[2])
    assert seen == set(axis)


def test_captions_name_every_thing_with_its_number(shape_items: dict) -> None:
    for number in range(500):
        scene = plan.plan(shapes.NAMES, shape_items, plan.Draws(3, number))
        for group in scene.groups:
            wanted = f"{plan.NUMBERS[group.count]} " if group.count > 1 else ""
            noun = group.item.plural if group.count > 1 else group.item.name
            assert re.search(rf"\b{wanted}.*\b{noun}\b", scene.caption), scene.caption
        assert "  " not in scene.caption and "{" not in scene.caption
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", scene.caption)


def test_uniforms_are_uniform_and_depend_on_seed_and_number() -> None:
    values = np.array([list(plan.Draws(0, number).uniforms) for number in range(300)])
    assert values.min() >= 0 and values.max() < 1
    assert abs(values.mean() - 0.5) < 0.01 and abs(values.std() - 12**-0.5) < 0.01
    assert len(np.unique(values)) == values.size
    assert next(plan.Draws(1, 0).uniforms) != next(plan.Draws(0, 0).uniforms)


def test_tars_are_equal_twice_and_a_longer_run_begins_alike(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "PER_TAR", 4)
    result = scenes.write_scenes(work, 10, 5, "a")
    assert result["scenes"] == 10 and result["tars"] == 3
    scenes.write_scenes(work, 10, 5, "b")
    scenes.write_scenes(work, 6, 5, "short")
    scenes.write_scenes(work, 4, 6, "other")
    files = {path.name: path.read_bytes() for path in (work / "scenes").iterdir()}
    assert all(files[f"a-0000{index}.tar"] == files[f"b-0000{index}.tar"] for index in range(3))
    assert files["short-00000.tar"] == files["a-00000.tar"] != files["other-00000.tar"]
    assert not [name for name in files if name.endswith(".part")]


def test_a_member_is_a_byte_range_of_its_tar(work: Path) -> None:
    (work / "scenes").mkdir(exist_ok=True)
    path = scenes.write_tar(work, 0, "range", 3, 0)
    content = path.read_bytes()
    with tarfile.open(path) as tar:
        members = tar.getmembers()
    names = [f"{number:09d}.{suffix}" for number in range(3) for suffix in ("jpg", "txt")]
    assert [member.name for member in members] == names
    jpeg, caption = (content[member.offset_data : member.offset_data + member.size] for member in members[:2])
    assert jpeg.startswith(b"\xff\xd8\xff") and caption.decode().isprintable()
    assert {(member.mtime, member.uid, member.mode) for member in members} == {(0, 0, 0o644)}


def test_clip_art_is_chosen_by_name_and_folder(work: Path) -> None:
    found = [(cutout.name, cutout.plural, cutout.kind, cutout.colour) for cutout in clipart.cutouts(work)]
    # The dog in office/ is an animal in a folder of artifacts: left out, as are words that are no things.
    assert found == [("dog", "dogs", "animal", "brown"), ("apple", "apples", "food", "red")]


@pytest.mark.parametrize("colour", shapes.COLOURS)
def test_a_named_colour_is_called_by_its_name(colour: str) -> None:
    pixels = np.full((4, 4, 4), 255, np.uint8)
    pixels[..., :3] = shapes.COLOURS[colour]
    assert clipart.colour_name(pixels) == colour


def test_two_halves_have_no_common_colour_name_but_outlines_do_not_count() -> None:
    pixels = np.full((4, 4, 4), 255, np.uint8)
    pixels[:2, :, :3], pixels[2:, :, :3] = shapes.COLOURS["red"], shapes.COLOURS["blue"]
    assert clipart.colour_name(pixels) == ""
    pixels[2:, :, 3] = 0  # clear pixels have no colour
    assert clipart.colour_name(pixels) == "red"
    pixels[2:3, :, 3], pixels[2:3, :, :3] = 255, 0
    assert clipart.colour_name(pixels) == "red"


PLURALS = {
    "apple": "apples", "box": "boxes", "candy": "candies", "toy": "toys", "mouse": "mice", "police man": "police men",
    "scissors": "", "milk": "", "glass": "glasses", "bus": "buses", "brown fish": "brown fishes",
}  # fmt: skip


@pytest.mark.parametrize("singular, plural", PLURALS.items())
def test_plurals(work: Path, singular: str, plural: str) -> None:
    assert wordnet.load(work / "packages/wordnet-base").plural(singular) == plural


def test_the_real_collection_gives_hundreds_of_names(real: Path) -> None:
    english = wordnet.load(real / "wordnet-base")
    assert english.things["dog"][0] == "animal" and english.plural("mouse") == "mice"
    names = {name for _, name, _ in clipart.choose(titles.drawings(real), english)}
    assert len(names) > 350 and {"apple", "butterfly", "umbrella", "teddy bear"} <= names
