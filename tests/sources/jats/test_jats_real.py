"""Real articles: every figure with a caption is a pair, no caption is changed, every image of a figure is found."""

from pathlib import Path

import pytest

from tests.sources.jats.real import Came, Held, came, held, packages, report

# Named by their own digests, of which the article says nothing: which is which cannot be known.
NAMELESS = "1414-431X-bjmbr-e11439.zip"


@pytest.fixture(scope="module")
def accounts(data: Path) -> dict[str, tuple[Held, Came]]:
    """What each article and package holds, and what came of it."""
    return {path.name: (held(path), came(path)) for path in packages(data / "jats")}


def test_figures_with_a_caption_become_pairs(accounts: dict[str, tuple[Held, Came]]) -> None:
    for name, (there, found) in accounts.items():
        assert len(found.pairs) == sum(bool(figure.caption) for figure in there.figures), name
        assert list(found.rejects.values()) == ["no_caption" for figure in there.figures if not figure.caption], name
    assert sum(len(found.pairs) for _, found in accounts.values()) > 500


def test_captions_are_whole_and_their_own(accounts: dict[str, tuple[Held, Came]]) -> None:
    compared = 0
    for name, (there, found) in accounts.items():
        captions = {figure.id: figure.caption for figure in there.figures if figure.id and not figure.formulas}
        ids = [figure.id for figure in there.figures]
        for id, rows in found.pairs.items():
            if id in captions and ids.count(id) == 1:
                compared += 1
                assert {row["caption"] for row in rows} == {captions[id][:4096]}, name
    assert compared > 450


def test_images_of_figures_are_in_pairs(accounts: dict[str, tuple[Held, Came]]) -> None:
    for name, (there, found) in accounts.items():
        assert found.images == {stem for stem, holder in there.images.items() if holder == "fig"}, name
        assert name == NAMELESS or "nothing" not in there.images.values()
    assert sum(len(found.images) for _, found in accounts.values()) > 60


def test_paragraphs_that_cite_are_kept(accounts: dict[str, tuple[Held, Came]]) -> None:
    for name, (there, found) in accounts.items():
        cited = {figure.id for figure in there.figures if figure.cited and figure.id in found.pairs}
        assert cited <= {id for id, rows in found.pairs.items() if rows[0]["context"]}, name


def test_articles_say_who_they_are(accounts: dict[str, tuple[Held, Came]]) -> None:
    for name, (_, found) in accounts.items():
        for row in (row for rows in found.pairs.values() for row in rows):
            assert row["license"], name
            assert row["license_group"] in ("commercial", "noncommercial"), name
            assert row["extra"]["title"], name
            # The sample of an editor is no published article.
            assert name == "manuscript.xml" or row["extra"]["journal"], name
            assert row["identity"].startswith("jats:" if name == "manuscript.xml" else ("pmc:", "doi:")), name


def test_the_report_counts(data: Path) -> None:
    lines = dict(reversed(line.split(maxsplit=1)) for line in report(data / "jats/PMC3192425-zookeys"))
    assert (lines["articles"], lines["figures"], lines["figures with pairs"]) == ("1", "9", "9")
