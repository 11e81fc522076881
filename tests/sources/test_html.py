"""Pages: what counts as a picture with a text, URLs, charsets."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import BadItemError
from curation.sources.charset import decode
from curation.sources.html import CLIMB, DEPTH, read_page
from curation.sources.http import Said, said
from curation.sources.urls import absolute_url, base_of, normal_url

PAGE = "http://a.org/dir/page.html"


def texts(html: str) -> list[tuple[str | None, list[tuple[str, str]]]]:
    pictures = read_page(html.encode(), PAGE).pictures
    return [(picture.urls[0].url if picture.urls else None, picture.texts) for picture in pictures]


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ("<img src=a alt='a dog'>", [("a", [("alt", "a dog")])]),
        ("<IMG SRC=a ALT='a dog' alt=second>", [("a", [("alt", "a dog")])]),
        ("<img src=a alt=' a\n&amp; b '>", [("a", [("alt", " a\n& b ")])]),
        ("<img src=a alt=x title=y>", [("a", [("alt", "x"), ("title", "y")])]),
        ("<img src=a alt title=''><img src=a alt=' '><img src=a>", []),
        ("<img alt=x>", [(None, [("alt", "x")])]),
        ("<p><img src=a alt=x <p>", [("a", [("alt", "x")])]),
        ("<!-- <img src=a alt=x> --><script>'<img src=a alt=x>'</script><style><img src=a alt=x></style>", []),
        ("<template><img src=a alt=x></template><textarea><img src=a alt=x></textarea><title><img alt=x></title>", []),
        ("<noscript><img src=a alt=x></noscript>", [("a", [("alt", "x")])]),
        ("<table><img src=a alt=x><tr><td>", [("a", [("alt", "x")])]),
        ("<img src=a alt='x\0y'>", [("a", [("alt", "x\ufffdy")])]),
    ],
)
def test_which_images_have_texts(html: str, found: list) -> None:
    assert texts(html) == found


@pytest.mark.parametrize(
    ("html", "caption"),
    [
        ("<figure><img src=a><figcaption>A  <b>big</b>\n dog.</figcaption></figure>", "A big dog."),
        ("<figure><figcaption>First</figcaption><div><a><img src=a></a></div></figure>", "First"),
        ("<figure><img src=a><figcaption><p>One.</p><p>Two.</p>x<br>y</figcaption></figure>", "One. Two. x y"),
        ("<figure><img src=a><figcaption>s<script>no</script><style>no</style><!--no--></figcaption></figure>", "s"),
        ("<figure><figure><img src=a><figcaption>in</figcaption></figure><figcaption>out</figcaption></figure>", "in"),
        ("<figure><figure><img src=a></figure><figcaption>out</figcaption></figure>", "out"),
        ("<figure>" + "<div>" * (CLIMB - 1) + "<img src=a></figure>", None),
        ("<figure><img src=a></figure><figcaption>stray</figcaption>", None),
        ("<figure><figcaption>of it <img src=a></figcaption></figure>", None),
        ("<figure><img src=a><figcaption> </figcaption></figure>", None),
    ],
)
def test_figure_captions(html: str, caption: str | None) -> None:
    assert texts(html) == ([("a", [("figcaption", caption)])] if caption else [])


@pytest.mark.parametrize(("depth", "seen"), [(CLIMB - 1, True), (CLIMB, False)])
def test_how_deep_in_a_figure(depth: int, seen: bool) -> None:
    html = "<figure><figcaption>deep</figcaption>" + "<div>" * depth + "<img src=a>"
    assert bool(texts(html)) == seen


@pytest.mark.parametrize("tag", ["div", "table><tr><td", "figure", "figure><figcaption", "b", "a", "x/", "li", "svg"])
@pytest.mark.parametrize("times", [4_900, 300_000])
def test_hostile_nesting_takes_little_time(tag: str, times: int) -> None:
    texts("<figure><img src=a alt=x>")  # compiled, which takes seconds where it is not cached
    html = f"<{tag}>" * times + "<img src=a alt=x>" * 100 + "<div></div>" * (times // 3)
    begin = time.process_time()
    try:
        assert len(texts(html)) == 100
    except BadItemError as error:
        assert error.code == "too_deep"
        assert times == 300_000 or "figcaption" in tag
    assert time.process_time() - begin < 5


@pytest.mark.parametrize(
    "html",
    [
        "<div><p>x</div>" * 20_000,
        "<ul>" + "<li>x" * 20_000 + "</ul>",
        "<table>" + "<tr><td>x<td><br>" * 20_000,
        "<svg>" + "<path d='1'/>" * 20_000 + "</svg>",
        "<div>" * (DEPTH - 1) + "<i></i>" * 20_000,
    ],
)
def test_long_pages_are_not_deep(html: str) -> None:
    page = html + "<img src=a alt=x>"
    assert len(read_page(page.encode(), PAGE, whole=True).pictures) == len(texts(page)) == 1
    with pytest.raises(BadItemError, match="too_deep"):
        read_page((page + "<div>" * (DEPTH + 1)).encode(), PAGE, whole=True)


def test_base_and_license() -> None:
    html = """<head><base href="/b/"></head><a rel="nofollow license" href="terms.html">t</a>
    <link rel=license href="//creativecommons.org/licenses/by-sa/4.0/"><img src=a alt=x>"""
    page = read_page(html.encode(), PAGE)
    assert (page.base, page.license) == ("http://a.org/b/", "http://creativecommons.org/licenses/by-sa/4.0/")
    page = read_page(b"<base target=_top><a rel=license href=t.html>t</a><img alt=x>", PAGE)
    assert (page.base, page.license) == (PAGE, "http://a.org/dir/t.html")
    assert read_page(b"<a href=x>no licence</a><img alt=x>", PAGE).license is None


@pytest.mark.parametrize(
    ("src", "url"),
    [
        ("x.jpg", "http://a.org/dir/x.jpg"),
        ("/x.jpg", "http://a.org/x.jpg"),
        ("../../x.jpg?a=1&b=2#frag", "http://a.org/x.jpg?a=1&b=2"),
        ("//b.org/x.jpg", "http://b.org/x.jpg"),
        ("?q", "http://a.org/dir/page.html?q"),
        (" \n https://B.org/X.jpg \t", "https://b.org/X.jpg"),
        ("https://b.org", "https://b.org/"),
        ("x\ny.jpg", "http://a.org/dir/xy.jpg"),
        ("x y.jpg", "http://a.org/dir/x%20y.jpg"),
        ("x%20y.jpg", "http://a.org/dir/x%20y.jpg"),
        (r"images\x.jpg", "http://a.org/dir/images/x.jpg"),
        (r"..\x.jpg?a=x\y", "http://a.org/x.jpg?a=x%5Cy"),
        (r"\\b.org\x.jpg", "http://b.org/x.jpg"),
        (r"http:\\b.org\x.jpg", "http://b.org/x.jpg"),
        (r"C:\x.jpg", "bad_url"),
        ("é.jpg", "http://a.org/dir/%C3%A9.jpg"),
        ("http://bücher.de/é", "http://xn--bcher-kva.de/%C3%A9"),
        ("HTTP://b.org/x", "http://b.org/x"),
        ("http://b.org/d/../x.jpg", "http://b.org/x.jpg"),
        ("http://b.org/./x.jpg?a=/../b", "http://b.org/x.jpg?a=/../b"),
        ("//b.org/d/%2e%2E/x.jpg", "http://b.org/x.jpg"),
        ("/d/%2E/x.jpg", "http://a.org/d/x.jpg"),
        ("%2e./x.jpg", "http://a.org/x.jpg"),
        ("http://b.org/d/..", "http://b.org/"),
        ("http://b.org/.well-known/...", "http://b.org/.well-known/..."),
        ("http://b.org:80/x", "http://b.org/x"),
        ("https://b.org:443/x", "https://b.org/x"),
        ("https://b.org:80/x", "https://b.org:80/x"),
        ("http://b.org:/x", "http://b.org/x"),
        ("http://b.org:8080/x", "http://b.org:8080/x"),
        ("http://:80/x", "bad_url"),
        ("", "no_url"),
        (" ", "no_url"),
        (None, "no_url"),
        ("data:image/gif;base64,R0", "data_url"),
        (" DATA:,x", "data_url"),
        ("javascript:void(0)", "bad_url"),
        ("file:///etc/passwd", "bad_url"),
        ("blob:http://a.org/1", "bad_url"),
        ("http://[bad", "bad_url"),
        ("http://", "no_url"),
        ("#top", "no_url"),
        ("http://b org/x", "bad_url"),
    ],
)
def test_absolute_urls(src: str | None, url: str) -> None:
    try:
        assert absolute_url(base_of(PAGE), src) == url
    except BadItemError as error:
        assert error.code == url


@settings(deadline=None)
@given(st.text(max_size=30))
def test_urls_are_stable_ascii_or_refused(src: str) -> None:
    try:
        url = absolute_url(base_of(PAGE), src)
    except BadItemError as error:
        assert error.code in ("no_url", "data_url", "bad_url")
    else:
        assert url.startswith("http") and url.isascii() and " " not in url and "#" not in url
        assert normal_url(url) == url == absolute_url(base_of("http://elsewhere.org/"), url)


TRUTH = {
    "windows-1252": "Ein schöner Hünd — “déjà vu”",
    "iso-8859-1": "Ein schöner Hünd, déjà vu",
    "iso-8859-2": "Žluťoučký kůň",
    "windows-1251": "Красивая собака",
    "koi8-r": "Красивая собака",
    "shift_jis": "美しい犬の写真",
    "euc-jp": "美しい犬の写真",
    "iso-2022-jp": "美しい犬の写真",
    "gb18030": "美丽的狗",
    "gb2312": "美丽的狗",
    "gbk": "美麗的狗",
    "big5": "美麗的狗",
    "euc-kr": "아름다운 개",
    "tis-620": "สุนัขสวย",
    "windows-1256": "كلب جميل",
    "utf-8": "美しい犬 Hünd собака",
}


@pytest.mark.parametrize("label", TRUTH)
@pytest.mark.parametrize("where", ["header", "meta", "both wrong header"])
def test_declared_charsets(label: str, where: str) -> None:
    text = f"<meta charset={label if where != 'header' else 'x'}><img src=a alt='{TRUTH[label]}'>"
    header = {"header": label.upper(), "meta": None}.get(where, "utf-8" if label != "iso-2022-jp" else None)
    assert decode(text.encode(label), header) == text


@pytest.mark.parametrize("label", ["Shift_JIS", "windows-1251", "iso-8859-2", "iso-2022-jp"])
def test_the_declaration_of_xml(label: str) -> None:
    rest = f"<html xmlns='http://www.w3.org/1999/xhtml'><img src='a' alt='{TRUTH[label.lower()]}'/></html>"
    for head in (f'<?xml version="1.0" encoding="{label}"?>', f"\n<?xml version='1.0' encoding = '{label}' ?>\n"):
        assert decode((head + rest).encode(label), None) == head + rest
    text = f"<?xml version='1.0' encoding='koi8-r'?><meta charset={label}>{rest}"
    assert decode(text.encode(label), None) == text
    later = f"<p><?xml encoding='{label}'?>é."
    assert decode(later.encode("cp1252"), None) == later


def test_the_charset_of_a_header_that_was_sent_twice() -> None:
    assert said(None, "text/html; charset=sjis, text/html").charset == "sjis"


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-8", "utf-8-sig"])
def test_undeclared_unicode(codec: str) -> None:
    text = "<html><head><title>x</title></head><img src=a alt='ein Hünd 犬'>"
    assert decode(text.encode(codec), None) == text
    assert decode(text.encode(codec), "iso-8859-1") == text


@pytest.mark.parametrize("label", ["", "nonsense", "hex", "rot13", "utf-7", "unicode_escape", "idna", "a\0b", "utf8;x"])
def test_labels_that_mean_nothing(label: str) -> None:
    assert decode(b"caf\xe9 \\u0041 +AGE-", label) == "café \\u0041 +AGE-"


def test_a_page_that_was_cut_within_a_character() -> None:
    assert decode("ein Hünd 犬".encode()[:-1], None) == "ein Hünd "


@settings(deadline=None)
@given(st.binary(max_size=60), st.none() | st.sampled_from(["utf-8", "shift_jis", "utf-16", "big5", "iso-2022-jp"]))
def test_any_bytes_become_valid_text(body: bytes, header: str | None) -> None:
    decode(body, header).encode()
    read_page(body, PAGE, Said(header))
