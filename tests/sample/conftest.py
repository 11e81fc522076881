"""Small packages laid out like the real ones, so that the sample's scripts run whole."""

import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "sample"))  # the scripts import each other as siblings

import build  # noqa: E402 - needs the line above

SVG = """<svg xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata><dc:title>{title}</dc:title>
<dc:creator><cc:Agent><dc:title>{author}</dc:title></cc:Agent></dc:creator></metadata></svg>"""

# Path -> (title, author, colour) of the small clip art collection; WordNet below knows some of the words.
DRAWINGS = {
    "animals/dog_01": ("Dog", "A Painter", (130, 80, 40)),
    "animals/gatto_a_pain_01": ("", "A Painter", (10, 10, 10)),
    "food/fruit/apple_b_drawer_01": ("Part of the Fruit Collection", "B Drawer", (215, 30, 35)),
    "tools/gadget": ("A thing of no use at all", "B Drawer", (40, 90, 210)),
    "office/hound": ("Dog", "A Painter", (40, 90, 210)),
}


def wordnet_files(folder: Path) -> None:
    """WordNet's files with three nouns; the heads of lines are those of wndb(5)."""
    folder.mkdir(parents=True)
    (folder / "index.noun").write_text(
        "  1 licence\n"
        "apple n 1 1 @ 1 0 00000200  \ndog n 2 1 @ 2 1 00000100 00000300  \nuse n 1 1 @ 1 0 00000300  \n"
        "thing n 1 1 @ 1 0 00000300  \n"
    )
    (folder / "data.noun").write_text(
        "  1 licence\n00000100 05 n 01 dog 0 000 | barks\n00000200 13 n 01 apple 0 000 | fruit\n"
        "00000300 09 n 01 use 0 000 | use\n"
    )
    for part in ("verb", "adj", "adv"):
        (folder / f"index.{part}").write_text(f"no{part} {part[0]} 1 0 1 0 00000400  \n")
    (folder / "noun.exc").write_text("mice mouse\n")


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DIR with the packages that clip art and scenes need."""
    work = tmp_path_factory.mktemp("work")
    packages = work / "packages"
    wordnet_files(packages / "wordnet-base/usr/share/wordnet")
    for path, (title, author, colour) in DRAWINGS.items():
        png = packages / "openclipart-png/usr/share/openclipart/png" / f"{path}.png"
        svg = packages / "openclipart-svg/usr/share/openclipart/svg" / f"{path}.svg"
        for file in (png, svg):
            file.parent.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGBA", (100, 80))
        ImageDraw.Draw(image).ellipse((10, 10, 70, 70), fill=colour)
        image.save(png)
        svg.write_text(SVG.format(title=title, author=author))
    (png.parent / "link.png").symlink_to(png)
    for name in ("openclipart-png", "openclipart-svg", "wordnet-base"):
        (packages / name / "_done.json").write_text('{"version": "1", "sha256": ""}')
    return work


@pytest.fixture(scope="session")
def real() -> Path:
    """The real unpacked packages."""
    packages = ROOT / "work/sample/packages"
    needed = {name for names in build.NEEDS.values() for name in names}
    missing = sorted(name for name in needed if not (packages / name / "_done.json").is_file())
    if missing:
        pytest.skip(f"{packages} lacks {missing}: run sample/fetch.py first")
    return packages
