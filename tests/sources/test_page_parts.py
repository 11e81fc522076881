"""The parts of a page that are parsed alone give what a parse of all of it gives; which file an img element means."""

import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.sources import crawl
from curation.sources.archive import open_archive
from curation.sources.charset import utf8
from curation.sources.html import Page, essence, read_page
from curation.sources.http import opt_out
from curation.sources.tag_kinds import NAMES
from curation.sources.warc import records

URL = "http://a.org/dir/page.html"
NAMED = sorted({name for names in NAMES.values() for name in names.split()} | {"div", "section", "x-y", "u\u00e9"})
OFTEN = ["figure", "figcaption", "picture", "source", "img", "p", "li", "a", "table", "td", "select", "svg", "noscript"]
ENDS = ["", " class=x", " x='<img alt=q>'", "/", " =", ' a="', " href=http://creativecommons.org/licenses/by/4.0/"]
PIECES = [
    *(
        "<!--",
        "-->",
        "--!>",
        "<!-->",
        "<!--->",
        "<![CDATA[",
        "]]>",
        "<?x>",
        "<!doctype html>",
        "</",
        "<",
        "</>",
        "< img>",
    ),
    *("'", '"', ">", "/>", "text", " ", "\n", "&lt;img>", "\0", "<script><!--<script>", "</script>", "<plaintext>"),
    *("<img/src=a/alt=b>", "<img alt='x>y' src=c>", '<img src=a alt="d', "<iMg SRC=a ALT=e>", "<img alt=x\0y src=q>"),
    *("<figcaption>cap</figcaption>", "<source srcset='s 2x'>", "<base href=/b/>", "<html lang=en>", "<frameset>"),
    *(
        "<meta name=robots content=noai>",
        "<meta http-equiv=content-language content=fr>",
        "<image alt=i src=j>",
        "<br/>",
    ),
    *("<a rel=license href=/l>", "<a href=//creativecommons.org/licenses/by-nc/4.0>", "<link rel='License' href=m>"),
]
TAGS = st.builds(
    "<{}{}{}>".format, st.sampled_from(["", "", "/"]), st.sampled_from(NAMED + OFTEN * 4), st.sampled_from(ENDS)
)
IMAGES = st.builds(
    "<img src={} alt=t{}{}>".format, st.integers(0, 9), st.integers(0, 99), st.sampled_from(["", " srcset='q 2x'"])
)
SOUP = st.lists(st.sampled_from(PIECES) | TAGS | IMAGES | st.text(max_size=3), max_size=40).map("".join)
NESTED = st.recursive(
    IMAGES | st.sampled_from(PIECES),
    lambda inner: st.builds(
        "<{0}>{1}{2}</{0}>".format,
        st.sampled_from(
            [*OFTEN[:3], "figure", "div", "p", "ul", "li", "a", "button", "h2", "dl", "dt", "template", "script"]
        ),
        st.sampled_from(["", "<source srcset='p 3x'>", "<figcaption>A <b>dog</b></figcaption>"]),
        st.lists(inner, max_size=4).map("".join),
    ),
    max_leaves=20,
)


def in_any_order(page: Page) -> Page:
    """A table moves what does not belong into it in front of itself, so that images change places."""
    return page._replace(pictures=sorted(page.pictures))


@settings(deadline=None, max_examples=3000)
@given(SOUP | NESTED | st.tuples(NESTED, SOUP, NESTED).map("".join))
def test_any_page_gives_what_a_full_parse_gives(html: str) -> None:
    body = html.encode("utf-8", "replace")
    assert in_any_order(read_page(body, URL)) == in_any_order(read_page(body, URL, whole=True))


def test_real_pages_whole_and_mutilated_give_what_a_full_parse_gives(data: Path) -> None:
    chance, seen, doubted = random.Random(0), 0, 0
    for path in sorted((data / "warc").glob("*.warc.gz")):
        with open_archive(str(path)) as archive:
            pages = [
                item for item in records(archive, lambda r: crawl.PAGE_BYTES if "html" in r.kind else 0) if item.body
            ]
        for item in pages:
            cut = chance.randrange(len(item.body))
            moved = item.body[cut:] + item.body[: chance.randrange(len(item.body))]
            holes = b"".join(chance.sample(item.body.split(b">"), k=item.body.count(b">")))
            for body in (item.body, item.body[:cut], moved, holes[:50_000]):
                mine, full = (
                    in_any_order(read_page(body, item.url, item.said, whole=whole)) for whole in (False, True)
                )
                assert mine == full, (path.name, item.url)
            seen += 1
            doubted += essence(utf8(item.body, item.said.charset)) is None
    assert seen > 200
    assert doubted < seen / 10


def test_what_is_not_parsed_is_left_out() -> None:
    page = b"<!-- <img alt=c> --><script>'<img alt=s>'</script><p>text<img src=a alt=x><p><a href=b>far</a>"
    page += b"<noscript><img alt=y>"
    assert essence(page) == b"<!doctype html><img src=a alt=x><img alt=y>"
    assert essence(b"<p>no image<meta name=robots content=noai>") == b""
    assert essence(b"<figure><table><tr><td><img alt=x></table><figcaption>in doubt</figcaption></figure>") is None


def first(html: str, images: int = 1) -> list[tuple[str, str]]:
    found = [[tuple(each) for each in picture.urls] for picture in read_page(html.encode(), URL).pictures]
    assert len(found) == images
    return found[0]


@pytest.mark.parametrize(
    ("html", "urls"),
    [
        ("src=a", [("a", "src")]),
        ("src=a srcset='b 1x, c 2x'", [("c", "srcset"), ("b", "srcset"), ("a", "src")]),
        ("src=a srcset='b 100w,c 2000w'", [("c", "srcset"), ("b", "srcset"), ("a", "src")]),
        ("src=a srcset='b, c 1.5x'", [("c", "srcset"), ("b", "srcset"), ("a", "src")]),
        ("src=a srcset='b?x=1,2 2x, c'", [("b?x=1,2", "srcset"), ("c", "srcset"), ("a", "src")]),
        ("src=a srcset='b 1.5x%2C c 2x'", [("a", "src")]),
        ("src=a srcset='data:image/png;base64,xx 2x, b 3x'", [("b", "srcset"), ("a", "src")]),
        ("src=a srcset=' , ,'", [("a", "src")]),
        ("src=a data-src=b", [("b", "data-src"), ("a", "src")]),
        (
            "src=a data-original=b data-srcset='c 1x, d 2x'",
            [("d", "data-srcset"), ("c", "data-srcset"), ("b", "data-original"), ("a", "src")],
        ),
        ("src=a data-src='b_{width}x.jpg'", [("a", "src")]),
        ("data-lazy-src=b", [("b", "data-lazy-src")]),
        ("src=''", []),
    ],
)
def test_which_files_an_image_may_be(html: str, urls: list[tuple[str, str]]) -> None:
    assert first(f"<img alt=x {html}>") == urls


def test_the_sources_of_a_picture_element() -> None:
    html = """<picture><source srcset='big.avif 4x' type=image/avif><source srcset='b.webp 3x' type=image/webp>
    <source media=print srcset='c.jpg 2x'><img src=a alt=x></picture><img src=z alt=y>"""
    assert first(html, 2) == [("b.webp", "picture"), ("c.jpg", "picture"), ("a", "src")]


def test_a_set_of_many_thousand_candidates_takes_little_time() -> None:
    assert len(first(f"<img alt=x src=a srcset='{', '.join(f'{n}.jpg {n}w' for n in range(100_000))}'>")) < 100
    assert len(first(f"<img alt=x src=a srcset='{'a(' * 100_000}'>")) < 100
    assert len(first(f"<picture>{'<source srcset=x>' * 20_000}<img alt=x src=a></picture>")) < 100


def test_a_long_descriptor() -> None:
    assert first(f"<img alt=x src=a srcset='b {'1' * 1_000_000}, c 2x'>") == [("c", "srcset"), ("a", "src")]


@pytest.mark.parametrize(
    ("robots", "reservations", "terms"),
    [
        (["NoAI,NOINDEX"], [], "noai,noindex"),
        (["none"], [], "noindex"),
        (["otherbot: noai"], [], None),
        (["*: noai", "googlebot: noindex"], [], "noai"),
        (["max-snippet: -1, noimageindex"], [], "noimageindex"),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST"], [], None),
        (["index, follow", None, ""], ["0"], None),
        (["noml"], [" 1 "], "noml,tdm-reservation"),
    ],
)
def test_opt_outs(robots: list[str | None], reservations: list[str], terms: str | None) -> None:
    assert opt_out(robots, reservations) == terms


@pytest.mark.parametrize(
    ("html", "license"),
    [
        ("<a href=//creativecommons.org/licenses/by/4.0/>", "http://creativecommons.org/licenses/by/4.0/"),
        ("<a href=//creativecommons.org/licenses/by/4.0/><a href=//creativecommons.org/licenses/by-nc/4.0/>", None),
        ("<a href=//creativecommons.org/about>", None),
        ("<a rel=licensed href=x>", None),
        ("<a rel='nofollow LICENSE' href=x>", "http://a.org/dir/x"),
        ("<svg><a rel=license href=x></a></svg>", "http://a.org/dir/x"),
        ("<!-- <a rel=license href=x> -->", None),
    ],
)
def test_the_licence_of_a_page(html: str, license: str | None) -> None:
    assert read_page(f"<img src=a alt=x>{html}".encode(), URL).license == license


def test_pages_take_time_in_their_length() -> None:
    """Nothing in it goes back and forth: eight times the page takes well under thirty times as long."""
    read_page(b"<img alt=x><figure>", URL)
    for piece in (
        b"<a <",
        b"<!--",
        b"<![CDATA[",
        b"<svg><a>",
        b"<figure><img alt=x>",
        b"&#",
        b"<p",
        b"='\"",
        b"<script><!--",
    ):
        seconds = []
        for times in (20_000, 160_000):
            begin = time.process_time()
            essence(piece * times)
            seconds.append(time.process_time() - begin)
        assert seconds[1] < 0.5 + 30 * seconds[0], piece
