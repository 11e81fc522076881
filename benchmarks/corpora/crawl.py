"""Archives for `crawl.py` from the real ones in shared/data: their pages, and WATs as Common Crawl lays them out."""

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
from fastwarc import ArchiveIterator
from fastwarc.warc import WarcRecord

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
WATS = sorted((DATA / "wat").glob("*.wat.gz"))
WARCS = sorted((DATA / "warc").glob("*.warc.gz"))
CAPTIONS = DATA / "tables" / "laion-style-10k.parquet"  # columns URL and TEXT: what pages of the web say of images
LAID_OUT = "commoncrawl-2020-multilingual.warc.wat.gz"  # whose requests and metadata go with every page
PAGES = "ia-2008-archive.org.warc.wat.gz"  # whose pages have as many links as those of common crawls
ADDED = 7  # pairs a page on average; with its own that makes the 11.6 a page of common crawls
SEED = 7  # any number: it only has to stay the same


def joined_wats(times: int) -> bytes:
    """All real WATs one after the other, some times over."""
    return b"".join(path.read_bytes() for path in WATS) * times


def laid_out_wat(pages: int) -> bytes:
    """A WAT of PAGES pages with a request, a response and a metadata record each.

    The responses are the real ones that have links, in turn, with real pairs of URL and caption put among their links.
    """
    draw = random.Random(SEED)
    table = pq.read_table(CAPTIONS, columns=["URL", "TEXT"]).drop_null()
    pairs = list(zip(table["URL"].to_pylist(), table["TEXT"].to_pylist()))
    responses = [(url, text) for url, text in _json_records(WATS[0].parent / PAGES) if b'"Links":[' in text]
    others = dict(_others(WATS[0].parent / LAID_OUT))
    made = []
    for number in range(pages):
        url, text = responses[number % len(responses)]
        record = json.loads(text)
        links = record["Envelope"]["Payload-Metadata"]["HTTP-Response-Metadata"]["HTML-Metadata"]["Links"]
        for _ in range(draw.randrange(2 * ADDED + 1)):
            src, alt = draw.choice(pairs)
            links.insert(draw.randrange(len(links) + 1), {"path": "IMG@/src", "url": src, "alt": alt})
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        for content in (others["request"], text, others["metadata"]):
            made.append(gzip.compress(_wat_record(url, content), 6))
    return b"".join(made)


def _json_records(path: Path) -> Iterator[tuple[str, bytes]]:
    for record in ArchiveIterator(str(path), parse_http=False):
        if str(record.record_type) == "metadata":
            yield (record.headers.get("WARC-Target-URI") or "").strip("<>"), record.reader.read()


def _others(path: Path) -> Iterator[tuple[str, bytes]]:
    """The sort and the JSON of each record that is about no response."""
    for _, text in _json_records(path):
        payload = json.loads(text)["Envelope"]["Payload-Metadata"]
        if "HTTP-Request-Metadata" in payload:
            yield "request", text
        elif "WARC-Metadata-Metadata" in payload:
            yield "metadata", text


def _wat_record(url: str, content: bytes) -> bytes:
    head = f"WARC/1.0\r\nWARC-Type: metadata\r\nWARC-Target-URI: {url}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content + b"\r\n\r\n"


def pages_warc(times: int) -> bytes:
    """The records of all real WARCs that are HTML pages, as they are, one gzip member each, some times over."""
    members = []
    for path in WARCS:
        for record in ArchiveIterator(str(path)):
            if _is_page(record):
                members.append(gzip.compress(_again(record), 6))
    return b"".join(members) * times


def _is_page(record: WarcRecord) -> bool:
    kind = (record.http_content_type or "") if record.http_headers else ""
    return str(record.record_type) == "response" and kind in ("text/html", "application/xhtml+xml")


def _again(record: WarcRecord) -> bytes:
    head = b"".join(b"%b: %b\r\n" % (name.encode(), value.encode()) for name, value in record.http_headers)
    content = b"HTTP/1.1 %d OK\r\n%b\r\n" % (record.http_headers.status_code or 200, head) + record.reader.read()
    url = (record.headers.get("WARC-Target-URI") or "").strip("<>").encode()
    begin = b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: %b\r\n" % url
    kind = b"Content-Type: application/http; msgtype=response\r\nContent-Length: %d\r\n\r\n" % len(content)
    return begin + kind + content + b"\r\n\r\n"
