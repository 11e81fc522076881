"""The rules of §9.2 on the synthetic articles that three public extractors disagree on, and on cases made like them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curation.sources.found import license_group
from tests.sources.jats.conftest import Rows, article, fig


@pytest.fixture(scope="session")
def oracle(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "oracles/jats_extraction_small.json").read_text())


# What the rules call for: caption and file of each pair, in order.
EXPECTED = {
    "simple": [("Growth of E. coli cells at 37 °C.", "t-g001.jpg")],
    "title_and_paragraphs": [("Main title. First panel (A). Second panel (B).", "t-g001.jpg")],
    "fig_group": [("Panel A.", "t-g001.jpg"), ("Group caption.", "t-g002.jpg")],
    "alternatives": [("Alt cap.", "t-g001.jpg")],
    "inline_markup": [("H2O and bold, see [1]; x=2.", "t-g001.jpg")],
    "context_multi": [("One.", "t-g001.jpg"), ("Two.", "t-g002.jpg")],
    "equation_and_logo": [("Fig.", "t-g001.jpg")],
}


def shown(rows: Rows) -> list[tuple[str, str | None]]:
    return [(r["caption"], r["image"] and r["image"]["uri"].rpartition("/")[2]) for r in rows.found]


def test_every_article_of_the_oracle_has_an_answer(oracle: dict) -> None:
    assert set(oracle["articles"]) == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_captions_and_files(oracle: dict, read: Callable, jpeg: bytes, name: str) -> None:
    case = oracle["articles"][name]
    rows = read(case["xml"].encode(), dict.fromkeys(case["image_files"], jpeg))
    assert shown(rows) == EXPECTED[name]
    assert rows.rejected == []
    for row in rows.found:
        assert (row["license"], row["license_group"]) == ("http://creativecommons.org/licenses/by/4.0/", "commercial")
        number = int(name and case["xml"].partition('"pmc">')[2].partition("<")[0])
        assert row["document"] == f"PMC{number}"
        assert {k: row["extra"][k] for k in ("pmid", "pmcid", "keywords", "journal", "language", "article_type")} == {
            "pmid": str(number + 4000), "pmcid": f"PMC{number}", "keywords": "alpha; beta", "journal": "Test J",
            "language": "en", "article_type": "research-article",
        }  # fmt: skip
        assert row["extra"]["title"] == f"Test article {number - 1000}"


def test_a_caption_of_a_group_is_told(oracle: dict, read: Callable, jpeg: bytes) -> None:
    case = oracle["articles"]["fig_group"]
    own, of_group = read(case["xml"].encode(), dict.fromkeys(case["image_files"], jpeg)).found
    assert (own["caption_kind"], own["extra"]["group_caption"]) == ("caption", "Group caption.")
    assert "caption_level" not in own["extra"]
    assert (of_group["caption_kind"], of_group["extra"]["caption_level"]) == ("group_caption", "group")
    assert "group_caption" not in of_group["extra"]


def test_citing_paragraphs_come_once_and_whole(oracle: dict, read: Callable, jpeg: bytes) -> None:
    case = oracle["articles"]["context_multi"]
    one, two = read(case["xml"].encode(), {}).found
    first = "See Fig. 1 and Fig. 2 for more detail (1)."
    assert one["context"] == f"{first}\nAgain (Fig. 1) nested.\nRepeat Fig. 1, 1b."
    assert two["context"] == first
    simple = read(oracle["articles"]["simple"]["xml"].encode(), {}).found
    assert simple[0]["context"] == "As Figure 1 shows, cells grow."


def test_license_groups(oracle: dict) -> None:
    groups = oracle["licence_groups(biomedica)"]
    ours = {raw: license_group(raw) for raw in groups}
    assert ours == groups | {"cc by": "commercial"}  # we normalise case first


CASES = {
    "list_items": (
        fig("With list.<list><list-item><p>a first</p></list-item><list-item><p>b second</p></list-item></list>"),
        [("With list. a first b second", "g1.jpg")],
    ),
    "whitespace_caption": (
        fig("\n  Line one\n\tline two. </p>\n<p>  Next.  "),
        [("Line one line two. Next.", "g1.jpg")],
    ),
    "two_graphics": (
        fig("Both.", more='<graphic xlink:href="g2"/>'),
        [("Both.", "g1.jpg"), ("Both.", "g2.jpg")],
    ),
    "nested_graphic": (
        "<fig id='F1'><caption><p>Deep.</p></caption><p><graphic xlink:href='g1'/></p></fig>",
        [("Deep.", "g1.jpg")],
    ),
    "missing_file_and_gif": (
        fig("One.", "a", "g3") + fig("Two.", "b", "g4") + fig("Three.", "c", "g5"),
        [("One.", "g3.gif"), ("Two.", "g4.JPG"), ("Three.", None)],
    ),
    "thumbnail_beside": (fig("One.", href="g6"), [("One.", "g6.jpg")]),
    "other_case": (fig("One.", href="G1"), [("One.", "g1.jpg")]),
    "extension_in_href": (
        fig("One.", "a", "g1.tif") + fig("Two.", "b", "g6.gif") + fig("Three.", "c", "g1.jpg"),
        [("One.", "g1.jpg"), ("Two.", "g6.gif"), ("Three.", "g1.jpg")],
    ),
    "inline_graphic_and_formula": (
        "<fig id='F1'><caption><p>A<inline-graphic xlink:href='g2'/> B</p></caption>"
        "<disp-formula><graphic xlink:href='g2'/></disp-formula><graphic xlink:href='g1'/>"
        "<supplementary-material><graphic xlink:href='g2'/></supplementary-material></fig>",
        [("A B", "g1.jpg")],
    ),
    "fig_type_scheme": (fig("S.").replace("<fig ", "<fig fig-type='scheme' "), [("S.", "g1.jpg")]),
    "xml_lang_de": (fig("Ein Bild.").replace("<fig ", "<fig xml:lang='de' "), [("Ein Bild.", "g1.jpg")]),
    "table_wrap": (
        "<table-wrap id='T1'><caption><p>T.</p></caption><graphic xlink:href='g2'/></table-wrap>" + fig("F."),
        [("F.", "g1.jpg")],
    ),
    "no_id": (fig("One.").replace(' id="F1"', "") + fig("Two.", href="g2"), [("One.", "g1.jpg"), ("Two.", "g2.jpg")]),
    "floats_group": (
        f"</body><floats-group>{fig('F.')}</floats-group><body>",
        [("F.", "g1.jpg")],
    ),
}
FILES = ("g1.jpg", "g2.jpg", "g3.gif", "g4.JPG", "g6.gif", "g6.jpg")


@pytest.fixture
def files(jpeg: bytes) -> dict[str, bytes]:
    return {name: b"GIF89a" + bytes(40) if name.endswith("gif") else jpeg for name in FILES}


@pytest.mark.parametrize("name", CASES)
def test_cases_of_the_rules(read: Callable, files: dict, name: str) -> None:
    body, wanted = CASES[name]
    rows = read(article(body), files)
    assert shown(rows) == wanted
    assert rows.rejected == []


def test_several_graphics_are_panels(read: Callable, files: dict) -> None:
    rows = read(article(CASES["two_graphics"][0]), files)
    assert [row["identity"] for row in rows.found] == ["pmc:PMC7/F1#1", "pmc:PMC7/F1#2"]
    assert [(r["extra"]["panel"], r["extra"]["panel_count"]) for r in rows.found] == [("1", "2"), ("2", "2")]


@pytest.mark.parametrize(
    ("caption", "error"),
    [
        ("", "no_caption"),
        ("<caption/>", "no_caption"),
        ("<caption><p>   </p></caption>", "no_caption"),
        ("<caption><p>1.</p></caption>", "no_letters"),
    ],
)
def test_no_caption_is_one_drop_and_never_inherited(read: Callable, files: dict, caption: str, error: str) -> None:
    bare = f'<fig id="F2"><label>Figure 2</label>{caption}<graphic xlink:href="g2"/></fig>'
    rows = read(article(fig("One.") + bare + fig("Three.", "F3", "g3")), files)
    assert [row["caption"] for row in rows.found] == ["One.", "Three."]
    assert rows.errors() == [("#F2", error)]


def test_a_missing_id_is_the_ordinal(read: Callable) -> None:
    bare = fig("A.").replace(' id="F1"', "")
    rows = read(article(bare + fig("B.", "fig-3") + bare.replace("A.", "C.") + fig("D.", "fig-3")))
    ids = ["fig-1", "fig-3", "fig-3-", "fig-4"]
    assert [row["identity"] for row in rows.found] == [f"pmc:PMC7/{id}#1" for id in ids]


def test_tables_only_when_asked_for(read: Callable, files: dict) -> None:
    rows = read(article(CASES["table_wrap"][0]), files, table_images=True)
    assert [(r["caption"], r["caption_kind"], r["identity"]) for r in rows.found] == [
        ("T.", "table", "pmc:PMC7/T1#1"), ("F.", "caption", "pmc:PMC7/F1#1"),
    ]  # fmt: skip


def test_tags_are_kept(read: Callable, files: dict) -> None:
    (scheme,) = read(article(CASES["fig_type_scheme"][0]), files).found
    (german,) = read(article(CASES["xml_lang_de"][0]), files).found
    assert scheme["extra"]["figure_type"] == "scheme"
    assert (scheme["extra"]["language"], german["extra"]["language"]) == ("en", "de")


def test_what_is_missing_is_said(read: Callable, files: dict) -> None:
    rows = read(article(CASES["missing_file_and_gif"][0]), files)
    assert [row["extra"].get("image_error") for row in rows.found] == [None, None, "missing_file"]
    assert [row["extra"]["href"] for row in rows.found] == ["g3", "g4", "g5"]
