"""WATs: the same pairs as from their WARCs, two ways of decoding that agree, damage, and what is odd in JSON."""

import gzip
import json
import random
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from fastwarc import ArchiveIterator
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import BadItemError
from curation.sources import crawl
from curation.sources.found import caption_text
from curation.sources.urls import absolute_url, base_of

PAGE = "http://a.org/dir/page.html"
# Texts in which a WAT and its WARC differ, and why.
DIFFERENCES = {
    "clueweb09-japanese-quirk": 0,
    "commoncrawl-2020-multilingual": 1,  # gb2312 is read as gb18030, where the same bytes are another dot
    "kiwix-2024-redirects": 1,  # the extractor took UTF-8 for something else
}
# Placeholders, whose files are in attributes that a WAT does not have.
PLACEHOLDERS = {"kiwix-2024-redirects": 139}


def envelope(links: list[dict], head: dict | None = None, headers: dict | None = None) -> dict[str, Any]:
    """A record as Common Crawl lays it out: the links far inside, lists of objects before and behind them."""
    html = {"Head": head or {"Metas": [{"name": "viewport", "content": "width=device-width"}]}, "Links": links}
    response = {"Headers": headers or {}, "HTML-Metadata": html, "Entity-Length": "1"}
    extra = {"F-Extra": [{"Name": "sl", "Value": "d32c"}]}
    return {"Envelope": {"Payload-Metadata": {"HTTP-Response-Metadata": response}}, "Container": {"Gzip": extra}}


def img(src: str | None = "x.jpg", **texts: str) -> dict[str, str]:
    return {"path": "IMG@/src", **({} if src is None else {"url": src}), **texts}


def wat(*records: dict | bytes, url: str = PAGE) -> list[bytes]:
    return [member(each, url) for each in records]


def member(record: dict | bytes, url: str = PAGE) -> bytes:
    is_bytes = isinstance(record, bytes)
    body = record if is_bytes else json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
    head = f"WARC/1.0\r\nWARC-Type: metadata\r\nWARC-Target-URI: {url}\r\nContent-Type: application/json\r\n"
    return gzip.compress(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body + b"\r\n\r\n", 1)


def read(tmp_path: Path, rows: Callable, members: list[bytes], **limits: int) -> Any:
    path = tmp_path / "a.warc.wat.gz"
    path.write_bytes(b"".join(members))
    return rows(crawl.read(str(path), None, **limits))


def texts_of(result: Any) -> Counter:
    return Counter(
        (row["document"], row["caption_kind"], row["caption"], row["license"], row["extra"].get("page_language"))
        for row in result.found
        if row["caption_kind"] in ("alt", "title")
    )


def test_the_pairs_are_those_of_the_warc(data: Path, rows: Callable, sink: Any) -> None:
    paths = [path for path in sorted((data / "wat").glob("*.warc.wat.gz")) if not path.name.startswith("genuine")]
    assert len(paths) == 9
    for path in paths:
        name = path.name.partition(".warc.")[0] if "ia-2008" not in path.name else "ia-2008"
        of_wat = rows(crawl.read(str(path), None))
        of_warc = rows(crawl.read(str(data / "warc" / path.name.replace(".wat", "")), sink))
        assert (texts_of(of_wat) - texts_of(of_warc)).total() == DIFFERENCES.get(name, 0), name
        missing = (texts_of(of_warc) - texts_of(of_wat)).total() - DIFFERENCES.get(name, 0)
        assert missing == PLACEHOLDERS.get(name, 0), name
        urls = {(row["document"], row["url"]) for row in of_wat.found}
        for row in of_warc.found:
            in_both = row["caption_kind"] in ("alt", "title") and "url_from" not in row["extra"]
            assert not in_both or (row["document"], row["url"]) in urls or missing, name


@pytest.mark.parametrize("form", ["plain", "one gzip member", "zstd"])
def test_every_form_of_one_wat_gives_the_same(tmp_path: Path, rows: Callable, form: str) -> None:
    plain = [gzip.decompress(part) for part in pages(6)]
    content = {
        "plain": b"".join(plain),
        "one gzip member": gzip.compress(b"".join(plain)),
        "zstd": b"".join(map(zstandard.compress, plain)),
    }[form]
    result = read(tmp_path, rows, [content])
    assert [row["caption"] for row in result.found] == [f"{what} {n}" for n in range(6) for what in ("dog", "cat")]
    assert not result.rejected


def test_records_of_common_crawl_itself(data: Path, rows: Callable) -> None:
    assert rows(crawl.read(str(data / "wat/genuine-cc-main-2024-22-request.warc.wat.gz"), None)) == ([], [])


@pytest.mark.parametrize("indent", [None, 1])
def test_another_layout_is_decoded_in_full_and_gives_the_same(
    data: Path, tmp_path: Path, rows: Callable, indent: int | None
) -> None:
    """Half of the fields of each object before, half behind, blanks after each sign: none of it is cut out then."""
    for path in sorted((data / "wat").glob("*.wat.gz")):
        members = []
        for item in ArchiveIterator(str(path), parse_http=False):
            if str(item.record_type) == "metadata":
                text = json.dumps(json.loads(item.reader.read()), indent=indent, sort_keys=True)
                members.append(member(text.encode(), item.headers.get("WARC-Target-URI") or ""))
        ours, other = rows(crawl.read(str(path), None)), read(tmp_path, rows, members)
        keyed = [
            sorted(str({**row, "extra": sorted(row["extra"].items())}) for row in each.found) for each in (ours, other)
        ]
        assert keyed[0] == keyed[1], path.name
        assert Counter(error for _, error in ours.errors()) == Counter(error for _, error in other.errors())


TEXT = st.text(st.sampled_from('ab{}[]",:\\/ \n\r\t\0é犬😀%<&') | st.characters(codec="utf-8"), max_size=12)
WORDS = st.sampled_from(['IMG@/src"', '{"path":"IMG@/src"', '"}]', '"Links":[', "G@", "icen", '"rel":"license'])
LINK = st.fixed_dictionaries(
    {"path": st.sampled_from(["IMG@/src", "IMG@/src", "A@/href", "LINK@/href"])},
    optional={
        "url": st.sampled_from(
            [
                *(
                    "a.jpg",
                    "/b/c.png?d=1",
                    "//e.org/f",
                    "k//l",
                    "/m?",
                    "https://g.org/h.gif",
                    "data:x",
                    "../i",
                    "x/./y",
                ),
                *("http://g.org/a/../b", "http://g.org:80/b", "//g.org/%2e/b", "a/%2E%2e/b", "%2e/b", "/%2E/b"),
                *("/.b?/../c", "http://g.org/%2fb", "//g.org/b?/.c"),
            ]
        )
        | TEXT
        | WORDS,
        "alt": TEXT | WORDS,
        "title": TEXT | WORDS,
        "rel": TEXT | WORDS,
    },
)


@settings(deadline=None, max_examples=300)
@given(st.lists(LINK, max_size=6), st.booleans())
def test_any_strings_give_what_plain_python_makes_of_them(
    tmp_path_factory: pytest.TempPathFactory, links: list[dict], escaped: bool
) -> None:
    record = json.dumps(envelope(links), ensure_ascii=escaped, separators=(",", ":")).encode()
    path = tmp_path_factory.mktemp("wat") / "a.wat.gz"
    path.write_bytes(member(record))
    found = [row for batch in crawl.read(str(path), None) for row in batch.to_pylist()]
    pairs, rejected = Counter(), 0
    for link in links:
        texts = [link.get(kind, "").replace("\r\n", "\n").replace("\r", "\n") for kind in ("alt", "title")]
        if link["path"] != "IMG@/src" or not "".join(texts).strip():
            continue
        try:
            url, good = absolute_url(base_of(PAGE), link.get("url")), []
            for kind, text in zip(("alt", "title"), texts):
                if any(map(str.isalpha, text)):
                    good.append((url, kind, caption_text(text)[0]))
            pairs.update(good)
            rejected += not good
        except BadItemError:
            rejected += 1
    assert Counter((row["url"], row["caption_kind"], row["caption"]) for row in found if "url" in row) == pairs
    assert sum("error" in row for row in found) == rejected


def test_what_a_page_says(tmp_path: Path, rows: Callable) -> None:
    metas = [
        {"name": "HTML@/lang", "content": " de-AT "},
        {"http-equiv": "Content-Language", "content": "en"},
        {"name": "Robots", "content": "NoAI, follow"},
        {"name": "tdm-reservation", "content": "1"},
    ]
    links = [img("x.jpg", alt="ein Hund", title="Rex"), {"path": "A@/href", "url": "t", "rel": "nofollow License"}]
    headers = {"X-Robots-Tag": ["noimageai", "bot: noml"], "Content-Language": "fr"}
    first = envelope(links, {"Metas": metas, "Base": "/b/"}, headers)
    second = envelope([img(alt="a dog"), {"path": "A@/href", "url": "https://creativecommons.org/licenses/by/4.0/"}])
    result = read(tmp_path, rows, wat(first, second))
    assert [(row["url"], row["caption_kind"], row["caption"], row["license"]) for row in result.found] == [
        ("http://a.org/b/x.jpg", "alt", "ein Hund", "http://a.org/b/t"),
        ("http://a.org/b/x.jpg", "title", "Rex", "http://a.org/b/t"),
        ("http://a.org/dir/x.jpg", "alt", "a dog", "https://creativecommons.org/licenses/by/4.0/"),
    ]
    said = {"page_language": "de-AT", "opt_out": "noai,noimageai,tdm-reservation"}
    assert [row["extra"] for row in result.found] == [said, said, {}]
    assert [row["license_group"] for row in result.found] == ["other", "other", "commercial"]


def test_items_that_are_no_pairs(tmp_path: Path, rows: Callable) -> None:
    links = [img(alt="---"), img("data:x", alt="a cow"), img(None, alt="no source"), img(alt=""), img()]
    links += [img("javascript:x", alt="a pig"), img(alt="5", title="a cat"), img(alt=" "), img(alt="x" * 5000)]
    result = read(tmp_path, rows, wat(envelope(links)))
    assert result.errors() == [("0#0", "no_letters"), ("0#1", "data_url"), ("0#2", "no_url"), ("0#3", "bad_url")]
    assert [(row["caption_kind"], row["caption"][:5], len(row["caption"])) for row in result.found] == [
        ("title", "a cat", 5),
        ("alt", "xxxxx", 4096),
    ]
    assert result.found[1]["extra"] == {"caption_cut": "5000"}


def test_bad_records_cost_themselves(tmp_path: Path, rows: Callable) -> None:
    good = envelope([img(alt="a dog")])
    whole = json.dumps(good, separators=(",", ":")).encode()
    bad = {
        "bad_json": [
            whole.replace(b'"}]', b'"', 1),
            whole[:-9],
            whole.replace(b'"Envelope":{', b'"Envelope":[{').replace(b',"Container"', b'],"Container"'),
            b'{"HTML-Metadata":' + b"[" * 100_000 + whole,
            b'{"Envelope":7,"HTML-Metadata":[{"path":"IMG@/src","alt":"x"}]}',
        ],
        "too_large": [whole + b" " * 5000],
    }
    for error, records in bad.items():
        for number, record in enumerate(records):
            limits = {"page_bytes": 200_000 if error == "bad_json" else 5000}
            result = read(tmp_path, rows, wat(good, record, good), **limits)
            assert [row["caption"] for row in result.found] == ["a dog"] * 2, (error, number)
            assert [found for _, found in result.errors()] == [error], (error, number)


def test_strings_that_are_no_text(tmp_path: Path, rows: Callable) -> None:
    whole = json.dumps(envelope([img(alt="a DOG x")]), separators=(",", ":")).encode()
    for raw, caption in ((b"\xff\xfe", "a \ufffd\ufffd x"), (rb"\ud800", "a ? x"), (rb"\ud83d\ude00", "a 😀 x")):
        result = read(tmp_path, rows, wat(whole.replace(b"DOG", raw)))
        assert [row["caption"] for row in result.found] == [caption]


def test_a_url_that_is_no_text(tmp_path: Path, rows: Callable) -> None:
    whole = json.dumps(envelope([img("SRC.jpg", alt="a dog"), img(alt="a cat")]), separators=(",", ":")).encode()
    result = read(tmp_path, rows, wat(whole.replace(b"SRC", rb"\ud800")))
    assert (len(result.found), result.errors()) == (1, [("0#0", "bad_url")])


def test_how_many_images_a_page_may_have(tmp_path: Path, rows: Callable) -> None:
    record = envelope([img(f"{n}.jpg", alt="a dog") for n in range(11)])
    result = read(tmp_path, rows, wat(record), page_images=10)
    assert (len(result.found), result.errors()) == (10, [("0", "too_many_images")])
    assert not read(tmp_path, rows, wat(record), page_images=11).rejected


def pages(count: int) -> list[bytes]:
    """Records with two pairs and enough noise that each takes some hundred bytes."""
    noise = random.Random(0)
    words = ["".join(chr(noise.randrange(97, 123)) for _ in range(600)) for _ in range(count)]
    records = [
        envelope([img(alt=f"dog {n}"), {"path": "A@/href", "url": words[n]}, img(alt=f"cat {n}")]) for n in range(count)
    ]
    return [member(record) for record in records]


def test_a_cut_wat_keeps_the_records_before_and_says_so(tmp_path: Path, rows: Callable) -> None:
    parts = pages(6)
    ends = [sum(map(len, parts[: n + 1])) for n in range(len(parts))]
    whole = b"".join(parts)
    for cut in sorted({*random.Random(1).sample(range(1, len(whole)), 100), *ends}):
        result = read(tmp_path, rows, [whole[:cut]])
        before = sum(end <= cut for end in ends)
        captions = [row["caption"] for row in result.found]
        # A record may be there in full but for the checksum of its gzip member.
        assert captions in (
            [f"{what} {n}" for n in range(many) for what in ("dog", "cat")] for many in (before, before + 1)
        )
        assert bool(result.rejected) == (cut not in ends), cut


def test_damage_costs_the_records_it_hits(tmp_path: Path, rows: Callable) -> None:
    parts = pages(12)
    whole = b"".join(parts)
    starts = [sum(map(len, parts[:n])) for n in range(len(parts) + 1)]
    chance = random.Random(2)
    for _ in range(100):
        at = chance.randrange(len(whole) - 64)
        content = bytearray(whole)
        content[at : at + 64] = chance.randbytes(64)
        hit = {n for n in range(len(parts)) if starts[n] < at + 64 and at < starts[n + 1]}
        result = read(tmp_path, rows, [bytes(content)])
        wanted = {f"{what} {n}" for n in range(12) if n not in hit for what in ("dog", "cat")}
        assert wanted <= {row["caption"] for row in result.found}, (at, result.rejected)
        assert result.rejected


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    peaks = []
    for times in (1, 5):
        path = tmp_path / "a.wat.gz"
        path.write_bytes(b"".join(pages(40)) * 70 * times)
        list(crawl.read(str(path), None))
        tracemalloc.start()
        for _ in crawl.read(str(path), None):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0]
