"""Figures and what belongs to them; articles and what they say of themselves."""

from collections.abc import Callable

import pytest

from curation.sources.jats.citing import CONTEXT_CHARS
from tests.sources.jats.conftest import HEAD, article, fig


def meta(read: Callable, front: str, root: str = "") -> dict:
    """The pair of an article with this article-meta."""
    start = f'<article xmlns:xlink="http://www.w3.org/1999/xlink" {root}><front>'
    return read(f"{start}<article-meta>{front}</article-meta></front><body>{fig()}</body></article>".encode()).found[0]


@pytest.mark.parametrize(
    ("ids", "identity", "document"),
    [
        ("<article-id pub-id-type='pmc'>12</article-id>", "pmc:PMC12/F1#1", "PMC12"),
        ("<article-id pub-id-type='pmcid'>PMC12.2</article-id>", "pmc:PMC12/F1#1", "PMC12"),
        ("<article-id pub-id-type='doi'>10.1/AbC</article-id>", "doi:10.1/abc/F1#1", "10.1/AbC"),
        ("<article-id pub-id-type='pmid'>99</article-id>", "pmid:99/F1#1", "pmid:99"),
        ("<article-id pub-id-type='pmc'>x</article-id><article-id pub-id-type='pmid'>9</article-id>",
         "pmid:9/F1#1", "pmid:9"),
        ("<related-article><article-id pub-id-type='pmc'>13</article-id></related-article>", "jats:", "article.xml"),
        ("", "jats:", "article.xml"),
    ],
)  # fmt: skip
def test_identity(read: Callable, ids: str, identity: str, document: str) -> None:
    row = meta(read, ids)
    assert row["document"] == document
    assert row["identity"] == identity if identity != "jats:" else row["identity"].startswith("jats:")


@pytest.mark.parametrize(
    ("dates", "date"),
    [
        ("<pub-date pub-type='ppub'><year>2010</year></pub-date>", "2010"),
        ("<pub-date pub-type='ppub'><year>2010</year></pub-date><pub-date pub-type='epub'><day>3</day><month>2</month>"
         "<year>2009</year></pub-date>", "2009-02-03"),
        ("<pub-date date-type='pub'><month>11</month><year>2009</year></pub-date>", "2009-11"),
        ("<pub-date><month>May</month><year>2009</year></pub-date>", "2009"),
        ("<pub-date><season>Winter</season></pub-date>", None),
    ],
)  # fmt: skip
def test_date(read: Callable, dates: str, date: str | None) -> None:
    assert meta(read, dates)["extra"].get("date") == date


BY, NC = "http://creativecommons.org/licenses/by/4.0/", "https://creativecommons.org/licenses/by-nc/4.0"


@pytest.mark.parametrize(
    ("permissions", "raw", "group"),
    [
        (f"<license xlink:href='{BY}'/>", BY, "commercial"),
        (f"<license license-type='open-access' xlink:href='{NC}'><license-p>T</license-p></license>", NC,
         "noncommercial"),
        (f"<license><license-p>See <ext-link xlink:href='{NC}'>it</ext-link>.</license-p></license>", NC,
         "noncommercial"),
        (f"<license><license-p>Under CC ({BY}), for all.</license-p></license>", BY, "commercial"),
        (f"<license><ali:license_ref xmlns:ali='http://www.niso.org/schemas/ali/1.0/'>{BY}</ali:license_ref></license>",
         BY, "commercial"),
        ("<license license-type='CC BY-NC-ND'/>", "CC BY-NC-ND", "noncommercial"),
        ("<license xlink:href='http://x.org/userlicense'><p>Creative Commons Attribution License.</p></license>",
         "Creative Commons Attribution License.", "commercial"),
        ("<license xlink:href='http://x.org/tdm'/>", "http://x.org/tdm", "other"),
        (f"<license xlink:href='http://x.org/tdm'/><license xlink:href='{BY}'/>", BY, "commercial"),
        (f"<license xlink:href='{BY}'/><license xlink:href='{NC}'/>", NC, "noncommercial"),
        (f"<license xlink:href='{BY}'><license-p>Not for commercial use: CC BY-NC.</license-p></license>",
         "Not for commercial use: CC BY-NC.", "noncommercial"),
        (f"<license xlink:href='{BY}'><license-p>{'word ' * 300}CC BY-NC</license-p></license>", ("word " * 300)[:1000],
         "noncommercial"),
        ("<copyright-statement>X. Distributed under the Creative Commons Attribution License.</copyright-statement>",
         "X. Distributed under the Creative Commons Attribution License.", "commercial"),
        ("<copyright-statement>© All rights reserved</copyright-statement>", "© All rights reserved", "other"),
        ("", None, "other"),
    ],
)  # fmt: skip
def test_license(read: Callable, permissions: str, raw: str | None, group: str) -> None:
    row = meta(read, f"<permissions>{permissions}</permissions>")
    assert (row["license"], row["license_group"]) == (raw, group)


def test_a_figure_taken_from_elsewhere_has_its_own_license(read: Callable) -> None:
    other = fig(id="F2", more="<permissions><copyright-statement>© Elsevier</copyright-statement></permissions>")
    nc = fig(id="F3", more=f"<permissions><license xlink:href='{NC}'/></permissions>")
    terms = "<permissions><copyright-statement>© Elsevier</copyright-statement></permissions>"
    of_graphic = fig(id="F4").replace('"g1"/>', f'"g1">{terms}</graphic>')
    group = f"<fig-group>{fig(id='F5')}{terms}</fig-group>"
    rows = read(article(fig() + other + nc + of_graphic + group)).found
    assert [row["license_group"] for row in rows] == ["commercial", "other", "noncommercial", "other", "other"]


def test_a_figure_of_a_translation(read: Callable) -> None:
    """SciELO: a sub-article with the same figures, their captions in another language."""
    part = (
        "<sub-article article-type='translation' xml:lang='pt'><front-stub><permissions>"
        f"<license xlink:href='{NC}'/></permissions></front-stub><body>{fig('Uma figura.')}</body></sub-article>"
    )
    own, translated = read(article(fig("A figure."), part)).found
    assert (own["extra"]["language"], translated["extra"]["language"]) == ("en", "pt")
    assert (own["license_group"], translated["license_group"]) == ("commercial", "noncommercial")
    assert own["identity"] != translated["identity"]  # the id stands twice in the file
    assert translated["extra"]["part"] == "translation"


GROUP = (
    '<fig-group id="G"><fig xml:lang="pt"><label>Figura 1</label><caption><title>Um mapa.</title></caption></fig>'
    '<fig xml:lang="en"><caption><title>A map.</title></caption><graphic xlink:href="g1"/></fig></fig-group>'
)


def test_a_caption_in_another_language_shows_the_same_image(read: Callable, jpeg: bytes) -> None:
    rows = read(article(f"<p>See <xref rid='G'>Fig 1</xref>.</p>{GROUP}"), {"g1.jpg": jpeg})
    assert [(r["caption"], r["extra"]["language"]) for r in rows.found] == [("Um mapa.", "pt"), ("A map.", "en")]
    assert len({row["identity"] for row in rows.found}) == len({row["image"]["uri"] for row in rows.found}) == 1
    assert [row["context"] for row in rows.found] == ["See Fig 1."] * 2
    assert rows.rejected == []


def test_a_neighbours_image_is_not_borrowed(read: Callable) -> None:
    for around in ("<sec>{}</sec>", "<fig-group>{}</fig-group>"):
        rows = read(article(around.format(GROUP.replace("<fig-group id", "<p id").replace("</fig-group>", "</p>"))))
        assert rows.errors() == [("#fig-1", "no_graphic")]
    same = read(article(GROUP.replace('"pt"', '"en"')))
    assert same.errors() == [("#fig-1", "no_graphic")]


def test_several_captions_of_one_figure(read: Callable) -> None:
    more = "<caption xml:lang='fr'><p>Un chat.</p></caption><alt-text>cat on mat</alt-text><alt-text/>"
    (row,) = read(article(fig("A cat.", more=more))).found
    assert (row["caption"], row["captions"]) == (
        "A cat.",
        [
            {"text": "Un chat.", "kind": "translation", "model": None, "language": "fr", "negative": False},
            {"text": "cat on mat", "kind": "alt", "model": None, "language": "en", "negative": False},
        ],
    )


def test_graphics_of_a_group_have_its_caption(read: Callable) -> None:
    group = "<fig-group id='G'><caption><p>All.</p></caption><graphic xlink:href='a'/>" + fig("One.") + "</fig-group>"
    rows = read(article(group)).found
    assert [(r["identity"], r["caption"], r["caption_kind"]) for r in rows] == [
        ("pmc:PMC7/G#1", "All.", "group_caption"), ("pmc:PMC7/F1#1", "One.", "caption"),
    ]  # fmt: skip


def test_nested_figures_keep_their_graphics(read: Callable) -> None:
    inner = fig("Inner.", "F2", "g2")
    rows = read(article(fig("Outer.", more=inner + "<graphic xlink:href='g3'/>"))).found
    assert [(r["caption"], r["extra"]["href"]) for r in rows] == [("Outer.", "g1"), ("Outer.", "g3"), ("Inner.", "g2")]


@pytest.mark.parametrize(
    ("graphics", "href"),
    [
        ("<graphic xlink:href='a.tif'/><graphic xlink:href='a.png'/>", "a.png"),
        ("<graphic xlink:href='a.tif'/><graphic xlink:href='b.png' specific-use='scielo-web'/>"
         "<graphic xlink:href='c.jpg' content-type='scielo-267x140'/>", "b.png"),
        ("<graphic xlink:href=''/><graphic xlink:href='b.tif'/>", "b.tif"),
        ("<graphic xlink:href='a'/><graphic xlink:href='b.jpg'/>", "b.jpg"),
        ("<graphic xlink:href='a.thumbnail.jpg'/><graphic xlink:href='a.tif'/>", "a.tif"),
        ("<media><graphic xlink:href='no'/></media><textual-form/><graphic xlink:href='b.gif'/>", "b.gif"),
    ],
)  # fmt: skip
def test_alternatives(read: Callable, graphics: str, href: str) -> None:
    body = f"<fig id='F1'><caption><p>Alt.</p></caption><alternatives>{graphics}</alternatives></fig>"
    (row,) = read(article(body)).found
    assert (row["extra"]["href"], row["extra"]["panel_count"]) == (href, "1")


def test_of_alternatives_the_one_with_a_file_is_taken(read: Callable, jpeg: bytes) -> None:
    body = "<fig id='F1'><caption><p>Alt.</p></caption><alternatives><graphic xlink:href='a.jpg'/>"
    (row,) = read(article(body + "<graphic xlink:href='b.tif'/></alternatives></fig>"), {"b.jpg": jpeg}).found
    assert row["image"]["uri"].endswith("/b.jpg")


def test_one_file_in_two_formats_is_one_panel(read: Callable) -> None:
    (row,) = read(article(fig(href="f1.gif", more="<graphic xlink:href='f1.jpg'/>"))).found
    assert row["extra"]["href"] == "f1.jpg"


def test_a_web_address_becomes_the_url(read: Callable) -> None:
    (row,) = read(article(fig(href="https://x.org/a/b.jpg"))).found
    assert (row["url"], row["image"], row["extra"]["image_error"]) == ("https://x.org/a/b.jpg", None, "missing_file")
    assert row["identity"] == "pmc:PMC7/F1#1"


def test_what_a_figure_carries(read: Callable) -> None:
    more = "<attrib>Photo: <bold>N. N.</bold></attrib>"
    (row,) = read(article(fig(more=more).replace("<caption>", "<label>Fig.\u00a01</label><caption>"))).found
    assert {k: row["extra"][k] for k in ("figure", "label", "attrib", "doi", "href")} == {
        "figure": "F1", "label": "Fig. 1", "attrib": "Photo: N. N.", "doi": "10.1/X", "href": "g1",
    }  # fmt: skip


def test_paragraphs_that_cite(read: Callable) -> None:
    shown = fig("Shown with <xref rid='F2'>Fig. 2</xref>.")
    body = (
        "<p>A list: <list><list-item><p>one <i><xref rid='F2 F1'>Figs 1, 2</xref></i></p></list-item></list></p>"
        f"<p>Before {shown} after <xref rid='F1'>1</xref>"
        "<fn><p>A note.</p></fn>.</p>"
        "<p>Again.</p><p>Again<xref rid='F1'/>.</p><p>Again<xref rid='F1'/>.</p>"
        + fig("Two.", "F2")
        + "<table-wrap><table><tr><td><xref rid='F1'>1</xref></td></tr></table></table-wrap>"
    )
    one, two = read(article(body)).found
    assert one["context"] == "A list: one Figs 1, 2\nBefore after 1.\nAgain."
    assert two["context"] == "A list: one Figs 1, 2\nShown with Fig. 2."
    assert read(article(fig())).found[0]["context"] is None


def test_a_long_context_is_cut(read: Callable) -> None:
    body = f"<p>{'word ' * 5000}<xref rid='F1'>1</xref></p>{fig()}"
    (row,) = read(article(body)).found
    assert len(row["context"]) == CONTEXT_CHARS
    assert row["extra"]["context_cut"] == str(CONTEXT_CHARS)


def test_a_long_caption_is_cut_and_counted(read: Callable) -> None:
    (row,) = read(article(fig("a" * 5000))).found
    assert (len(row["caption"]), row["extra"]["caption_cut"]) == (4096, "5000")


NAMESPACED = HEAD.replace("<article ", '<article xmlns="https://jats.nlm.nih.gov/ns/archiving/1.3/" ')
PREFIXED = (
    '<j:article xmlns:j="http://jats" xmlns:xlink="http://www.w3.org/1999/xlink"><j:fig><j:caption><j:p>A caption.'
    '</j:p></j:caption><j:graphic xlink:href="g"/></j:fig></j:article>'
)


@pytest.mark.parametrize(
    "data",
    [
        f"{NAMESPACED}{fig()}</body></article>",
        f"<?xml version='1.0'?><!-- <x> --><OAI-PMH xmlns='http://oai'>{NAMESPACED}{fig()}</body></article></OAI-PMH>",
        f"<pmc-articleset>{HEAD}{fig()}</body></article></pmc-articleset>",
        f"<!DOCTYPE article PUBLIC '-//NLM//DTD' 'x.dtd' [<!ATTLIST a b CDATA 'c'> <!-- ]> -->]><?pi?>{PREFIXED}",
    ],
)
def test_articles_wrapped_and_named_otherwise(read: Callable, data: str) -> None:
    rows = read(data.encode())
    assert [row["caption"] for row in rows.found] == ["A caption."]


def test_prefixes_that_the_dtd_declares(read: Callable) -> None:
    start = "\n <?xml version='1.0'?><!-- <article> --><!DOCTYPE article PUBLIC '-//NLM//DTD JATS' 'JATS.dtd'>"
    math = fig("It is <mml:math><mml:mi>x</mml:mi></mml:math>.")
    rows = read(f"{start}<article xml:lang='de'><body>{math}</body></article>".encode())
    assert [(r["caption"], r["extra"]["href"], r["extra"]["language"]) for r in rows.found] == [
        ("It is x.", "g1", "de")
    ]
    assert read(f"{start}<article><body>{math}<x:y/></body></article>".encode()).errors() == [("", "bad_xml")]


def test_what_is_said_of_one_panel_alone(read: Callable) -> None:
    own = "<graphic xlink:href='g2'><label>b.</label><caption><p>From the <b>side</b>.</p></caption></graphic>"
    one, two = read(article(fig("Two views.", more=own))).found
    assert (one["caption"], two["caption"]) == ("Two views.", "Two views.")
    assert "panel_caption" not in one["extra"]
    assert (two["extra"]["panel_label"], two["extra"]["panel_caption"]) == ("b.", "From the side.")


def test_an_image_that_is_called_media(read: Callable) -> None:
    media = "<media mimetype='{}' xlink:href='g{}'/>"
    body = "<fig id='F1'><caption><p>A caption.</p></caption>" + media.format("video", 1) + media.format("image", 2)
    assert [row["extra"]["href"] for row in read(article(f"{body}</fig>")).found] == ["g2"]


def test_a_set_of_articles(read: Callable) -> None:
    second = article(fig("Second.")).decode().replace(">7<", ">8<")
    rows = read(f"<pmc-articleset>{article(fig('First.')).decode()}{second}</pmc-articleset>".encode())
    assert [(r["caption"], r["document"]) for r in rows.found] == [("First.", "PMC7"), ("Second.", "PMC8")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "utf-8-sig"])
def test_encodings(read: Callable, encoding: str) -> None:
    declared = encoding.removesuffix("-sig")
    data = f"<?xml version='1.0' encoding='{declared}'?>{article(fig('Größe in µm.')).decode()}"
    assert read(data.encode(encoding)).found[0]["caption"] == "Größe in µm."
