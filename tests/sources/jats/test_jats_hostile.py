"""Articles made to do harm: each costs itself, little time and memory, and opens nothing but itself."""

import gzip
import json
import os
import socket
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from curation.sources import jats
from tests.sources.archives import many_in_tar, many_in_zip, overlapping, tar, zipped
from tests.sources.jats.conftest import HEAD, Rows, article, fig

CANARY = "canary-5f0e"
PACKED = b"\x1f\x8b"
READ = """
import json, sys, time
from curation.sources import jats, kind_of
class Sink:
    def add(self, data, extension):
        return {"uri": "pool", "offset": 0, "length": len(data)}
import curation.sources.jats.text, pylatexenc.latex2text, encodings.utf_16, encodings.idna
touched = []
def hook(event, args):
    if event == "open" and not str(args[0]).startswith((folder, sys.prefix, sys.base_prefix, "/proc/self")):
        touched.append(str(args[0]))
    if event.startswith("socket."):
        touched.append(event)
folder = sys.argv[1].rpartition("/")[0]
sys.addaudithook(hook)
for uri in sys.argv[1:]:
    start()
    first, count, began, before = None, 0, time.process_time(), peak()
    kind_of(uri)
    for batch in jats.read(uri, Sink()):
        for row in batch.to_pylist():
            first, count = first or row.get("error") or "pair", count + 1
            assert "canary" not in str(row)
    print(json.dumps([first, count, touched, time.process_time() - began, peak() - before]))
"""


@pytest.fixture
def harmless(tmp_path: Path, bounded: Callable, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple]]:
    """Read files in a process of its own: of each what came of it first, and how many rows; none touches anything.

    `seconds` are some ten times what a file takes on an idle machine, `mb` is what its reading adds to the memory.
    """
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "secret").write_text(CANARY)
    os.mkfifo(tmp_path / "pipe")

    def harmless(files: list[bytes] | dict[str, bytes], seconds: float = 10, mb: float = 100) -> list[tuple]:
        uris = []
        for number, given in enumerate(files):
            data = files[given] if isinstance(files, dict) else given
            name = given if isinstance(files, dict) else f"{number}.xml.gz" if data[:2] == PACKED else f"{number}.xml"
            (tmp_path / name).write_bytes(data)
            uris.append(str(tmp_path / name))
        came = [json.loads(line) for line in bounded(READ, *uris).lines]
        assert len(came) == len(files)
        for first, count, touched, cpu_s, more_mb in came:
            assert not touched
            assert cpu_s < seconds, (first, count)
            assert more_mb < mb, (first, count)
        return [(first, count) for first, count, *_ in came]

    return harmless


def doctype(declared: str, body: str = fig("&x;")) -> bytes:
    return f"<?xml version='1.0'?><!DOCTYPE article [{declared}]>{HEAD}{body}</body></article>".encode()


LAUGHS = "<!ENTITY l0 'ha'>" + "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 12))
ENTITIES = {
    "billion laughs": doctype(LAUGHS, fig("&l11;")),
    "billion laughs in an attribute": doctype(LAUGHS, fig(href="&l11;")),
    "quadratic": doctype(f"<!ENTITY x '{'a' * 100_000}'>", fig("&x;" * 100_000)),
    "file": doctype("<!ENTITY x SYSTEM 'FOLDER/secret'>"),
    "passwd": doctype("<!ENTITY x SYSTEM 'file:///etc/passwd'>"),
    "http": doctype("<!ENTITY x SYSTEM 'http://127.0.0.1:9/x'>"),
    "parameter": doctype("<!ENTITY % p SYSTEM 'http://127.0.0.1:9/x.dtd'> %p;"),
    "blank before the name": doctype("<! ENTITY x 'y'>"),
    "utf-16": doctype("<!ENTITY x SYSTEM 'file:///etc/passwd'>").decode().encode("utf-16"),
    "utf-16 laughs": doctype(LAUGHS, fig("&l11;")).decode().encode("utf-16"),
}
REFUSED = {"quadratic": "no_article"}  # the root is not among the first bytes


def test_declared_entities_are_refused(harmless: Callable, tmp_path: Path) -> None:
    came = harmless([data.replace(b"FOLDER", str(tmp_path).encode()) for data in ENTITIES.values()])
    assert dict(zip(ENTITIES, came)) == {name: (REFUSED.get(name, "entities"), 1) for name in ENTITIES}


def test_an_external_dtd_is_not_fetched(harmless: Callable, tmp_path: Path) -> None:
    places = ("http://127.0.0.1:9/x.dtd", "file:///etc/passwd", "secret", f"{tmp_path}/pipe")
    declared = [f"<!DOCTYPE article PUBLIC '-//NLM//DTD JATS v1.3//EN' '{place}'>" for place in places]
    assert harmless([each.encode() + article(fig()) for each in declared]) == [("pair", 1)] * 4


def test_the_library_opens_nothing_where_nothing_is_refused_before(tmp_path: Path, bounded: Callable) -> None:
    """The parser alone, as it is set up: a pipe that it opened would never end, a connection would be seen."""
    os.mkfifo(tmp_path / "pipe")
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        for place in (url, f"file://{tmp_path}/pipe", f"{tmp_path}/pipe"):
            for declared in (f"<!ENTITY x SYSTEM '{place}'>", f"<!ENTITY % p SYSTEM '{place}'> %p;"):
                code = "start()\nfrom curation.sources.jats.article import parser\nfrom lxml import etree\n"
                code += f"etree.fromstring({doctype(declared)!r}, parser())\nprint('read')"
                assert bounded(code).lines == ["read"]
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_names_that_the_dtd_declares_are_read_as_html_has_them(read: Callable[..., Rows]) -> None:
    data = b"<!DOCTYPE article SYSTEM 'archivearticle.dtd'>" + article(fig("Caf&eacute;&nbsp;&mdash; &unheard; 5"))
    assert read(data).found[0]["caption"] == "Café — &unheard; 5"


def test_xinclude_is_refused(harmless: Callable, tmp_path: Path) -> None:
    include = f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{tmp_path}/secret" parse="text"/>'
    assert harmless([article(fig(include))]) == [("xinclude", 1)]


def test_deep_nesting_is_refused(harmless: Callable) -> None:
    depths = (300, 10_000, 100_000, 3_000_000)
    came = harmless([article("<sec>" * depth + fig() + "</sec>" * depth) for depth in depths])
    assert came == [("too_deep", 1)] * 3 + [("too_large", 1)]


def test_depth_is_read_to_the_limit(read: Callable[..., Rows]) -> None:
    for tag in ("sec", "p", "italic", "mml:mrow", "fig-group", "list-item", "alternatives", "xref"):
        for depth, error in ((250, None), (251, "too_deep")):  # article, body, fig, caption, p, italic around or below
            around = "<sec>" * depth + f'<fig id="F1"><caption><p><{tag}>x</{tag}></p></caption>'
            rows = read(article(around + '<graphic xlink:href="g"/></fig>' + "</sec>" * depth))
            assert [r["error"] for r in rows.rejected] == ([error] if error else [])
            assert [r["caption"] for r in rows.found] == ([] if error else ["x"])
        inside = f"<{tag}>" * 245 + "x" + f"</{tag}>" * 245
        assert read(article(fig(inside))).rejected == []


def test_size_is_refused(harmless: Callable) -> None:
    files = [
        article("<p>" + "a" * (100 << 20) + "</p>" + fig()),  # one element of 100 MB
        article("<p>" + "a" * (60 << 20) + "</p>" + fig()),  # and one below the limit of bytes
        article(fig() + "<!--" + "a" * (60 << 20) + "-->"),
        article("<a/>" * (15 << 20)),  # more nodes than memory
        article("<a " + " ".join(f'a{n}=""' for n in range(4 << 20)) + "/>"),
        gzip.compress(bytes(300 << 20)),  # unpacks to more than 200 times its size
    ]
    assert harmless(files, mb=400) == [("too_large", 1)] * 6


def test_size_is_read_to_the_limit() -> None:
    from curation.sources.jats.article import XML_BYTES, parse

    filler = b"".join(b"<p>%s</p>" % (b"a" * 9_000_000) for _ in range(8))
    start, end = article("").split(b"</body>")
    data = (start + filler)[: XML_BYTES - len(end) - 11] + b"</p></body>" + end
    assert len(data) == XML_BYTES
    assert len(parse(data)) == 1


def test_much_of_everything(harmless: Callable) -> None:
    """Below the limits: what is long is cut, what is many is counted, and nothing grows with their product."""
    figures = "".join(fig(f"Caption {n}", f"F{n}") for n in range(10_001))
    cited = " ".join(f'<xref rid="F{n}">{n}</xref>' for n in range(10_000))
    members = "".join(f'<fig id="F{n}"/>' for n in range(50_000))
    caption = f"<caption><p>{'word ' * 200_000}</p></caption>"
    graphics = "".join(f'<graphic xlink:href="g{n}"/>' for n in range(100_000))
    files = {
        article(fig() + "<a/>" * 2_900_000): ("pair", 1),
        article(figures): ("pair", 10_001),
        article(f"<p>{'word ' * 200_000}{cited}</p>{figures}"): ("pair", 10_001),
        article(f"<fig-group>{members}{caption}</fig-group>"): ("no_graphic", 10_001),
        article(f"<fig-group>{members}{caption}</fig-group>".replace("id=", 'xml:lang="pt" id=')): (
            "no_graphic",
            10_001,
        ),
        article(fig("word " * 800, more=graphics)): ("pair", 256),
    }
    assert harmless(list(files), mb=1000, seconds=60) == list(files.values())


def test_text_that_is_hard_to_read(harmless: Callable) -> None:
    formulas = ("{" * 4000, "{" * 100_000, r"\frac" * 500, r"\begin{a}" * 400, "$" * 3000, "\\" * 4001, r"\left(" * 600)
    files = [article(fig(f"One <tex-math>{formula}</tex-math> two.")) for formula in formulas]
    files.append(article(fig("a" + "\u0301\u0323" * 400_000)))
    files.append(b"<!--" * 1_000_000)
    files.append(b"<!DOCTYPE article [" + b"]" * 1_000_000 + article(fig()))
    assert harmless(files, mb=200) == [("pair", 1)] * 8 + [("no_article", 1)] * 2


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<article",
        b"<article>" + b"\0" * 100 + b"</article>",
        article(fig("\ud800".encode("utf-8", "surrogatepass").decode("latin-1"))),
        article(fig("x")).replace(b"caption.", b"\xff\xfe"),
        article(fig("x")).replace(b">x<", b">\xff<"),
        article(fig("x")).replace(b">x<", b">\x01<"),
        b"<?xml version='1.0' encoding='klingon'?>" + article(fig()),
        article(fig())[:-30],
        article(fig()) + b"<article/>",
        article("<fig><caption></fig>"),
        article(fig(href="http://[URL]/a.jpg")),
        article(fig("x <mml:math><mml:mover><!-- x --></mml:mover></mml:math>")),
    ],
)
def test_broken_articles_cost_themselves(read: Callable[..., Rows], data: bytes) -> None:
    rows = read(data)
    assert len(rows.found) + len(rows.rejected) == 1
    assert all(row["error"] in ("bad_xml", "no_article") for row in rows.rejected)


NAMES = ("/etc/passwd.xml", "../secret.xml", "a/../../secret.xml", "C:\\secret.xml")
KINDS = {"secret.xml": tarfile.SYMTYPE, "g1.jpg": tarfile.LNKTYPE, "pipe.xml": tarfile.FIFOTYPE, "d": tarfile.CHRTYPE}


def test_packages_that_lead_elsewhere_give_what_is_their_own(harmless: Callable, jpeg: bytes) -> None:
    files = dict.fromkeys(NAMES, article(fig("No."))) | {"a.nxml": article(fig("One.")), "g1.jpg": jpeg}
    packages = {
        "p.tar": tar(files, kinds=KINDS),
        "p.tar.gz": tar(files, "w:gz", KINDS),
        "p.zip": zipped(files),
        "p.meca": zipped(files),
    }
    assert harmless(packages) == [("pair", 9)] * 2 + [("pair", 5)] * 2


def test_packages_that_are_too_much(harmless: Callable) -> None:
    links, empty = many_in_tar(100_000, b"2"), many_in_tar(100_000, b"0")
    one = {"a.xml": article(fig("One."))}
    bomb = zipped({"0.xml": article("<p>" + "a" * (100 << 20) + "</p>")})
    for _ in range(5):
        bomb = zipped({f"{n}.zip": bomb for n in range(16)})
    packages = {
        "links.tar": (links, "not_a_file", 10_002),
        "empty.tar.gz": (gzip.compress(empty, 1), "too_many_members", 2),
        "empty.zip": (many_in_zip(100_000), "too_many_members", 2),
        "overlapping.zip": (overlapping(100), "overlapping", 101),
        "bomb.tar.gz": (gzip.compress(tar({"a.xml": bytes(300 << 20)})), "too_large", 1),
        "large.zip": (zipped({"a.xml": article("<p>" + "a" * (100 << 20) + "</p>")}), "too_large", 1),
        "large.tar": (tar({"b.xml": article("<p>" + "a" * (100 << 20) + "</p>")} | one), "pair", 2),
        "42.zip": (bomb, "nested_archive", 16 * 16),
        "image.zip": (zipped({"a.xml": article(fig()), "g1.jpg": b"\xff\xd8\xff" + bytes(300 << 20)}), "pair", 1),
        "entities.zip": (zipped({"laughs.xml": ENTITIES["billion laughs"]} | one), "pair", 2),
    }
    came = harmless({name: data for name, (data, *_) in packages.items()}, mb=200, seconds=20)
    assert dict(zip(packages, came)) == {name: (first, rows) for name, (_, first, rows) in packages.items()}


def test_one_bad_article_costs_one(tmp_path: Path, rows: Callable, sink: object) -> None:
    whole = [article(fig(f"Caption {number}")) for number in range(5)]
    files = {f"{number}.xml": data[:-20] if number == 2 else data for number, data in enumerate(whole)}
    (tmp_path / "p.zip").write_bytes(zipped(files))
    found = rows(jats.read(str(tmp_path / "p.zip"), sink))
    assert [row["caption"] for row in found.found] == [f"Caption {n}" for n in (0, 1, 3, 4)]
    assert found.errors() == [("2.xml", "bad_xml")]
