"""Web archives made of the HTML manuals that Debian packages carry: pages and their pictures as response records.

Two runs give the same bytes: pages in path order, each followed by the pictures it is the first to show, record ids
derived from the URLs, one fixed date, and gzip members without a time.
"""

import gzip
import hashlib
import io
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from fastwarc import WarcRecord, WarcRecordType
from selectolax.lexbor import LexborHTMLParser

DATE = "2023-06-10T00:00:00Z"  # the day Debian 12 came out; any fixed instant would do
IMAGE_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif"}
LEVEL = 6  # zlib's default: pictures do not shrink, and pages shrink little more at 9


@dataclass(frozen=True)
class Manual:
    """An HTML manual: its package, its folder and the address of that folder for pages that do not say theirs."""

    package: str
    folder: str
    url: str


MANUALS = {
    "gimp-help": Manual("gimp-help-en", "usr/share/gimp/2.0/help/en", "https://docs.gimp.org/2.10/en/"),
    "debian-handbook": Manual(
        "debian-handbook", "usr/share/doc/debian-handbook/html", "https://debian-handbook.info/browse/"
    ),
}


def write_warc(manual: Manual, root: Path, target: Path, languages: list[str] | None = None) -> dict[str, int]:
    """Pages, pictures and bytes written to `target`, and what was left out: SVG pictures, links to nothing.

    `root` holds the unpacked package. `languages` keeps the pages under folders of these names, None keeps all.
    """
    folder = root / manual.folder
    counts = dict.fromkeys(("pages", "images", "svg_left_out", "missing_left_out"), 0)
    fresh, written = target.with_suffix(".part"), set()
    with fresh.open("wb") as out:
        out.write(info_record(target.name))
        for page in pages(folder, languages):
            html = page.read_bytes()
            tree = LexborHTMLParser(html)
            url = page_url(tree, manual, page.relative_to(folder))
            out.write(response_record(url, "text/html; charset=UTF-8", html))
            counts["pages"] += 1
            for image_url, file in new_images(tree, url, page, written, counts):
                out.write(response_record(image_url, IMAGE_TYPES[file.suffix.lower()], file.read_bytes()))
                counts["images"] += 1
    fresh.rename(target)
    print(f"{target}: {counts}", file=sys.stderr)
    return {**counts, "bytes": target.stat().st_size}


def pages(folder: Path, languages: list[str] | None) -> list[Path]:
    """The pages in path order, of all languages or of those named."""
    return [
        page
        for page in sorted(folder.rglob("*.html"))
        if languages is None or page.relative_to(folder).parts[0] in languages
    ]


def page_url(tree: LexborHTMLParser, manual: Manual, path: Path) -> str:
    """The page's canonical address where it states one, else its place under the manual's address."""
    link = tree.css_first("link[rel=canonical][href]")
    return link.attributes["href"] if link is not None else urljoin(manual.url, path.as_posix())


def new_images(
    tree: LexborHTMLParser, url: str, page: Path, written: set[str], counts: dict[str, int]
) -> Iterator[tuple[str, Path]]:
    """(URL as the page links it, file) of each picture that no earlier page showed; the rest goes into `counts`."""
    for node in tree.css("img[src]"):
        source = node.attributes["src"] or ""
        image_url = urljoin(url, source)
        if image_url in written:
            continue
        written.add(image_url)
        file = page.parent / unquote(urlsplit(source).path)
        if file.suffix.lower() == ".svg":
            counts["svg_left_out"] += 1
        elif file.suffix.lower() in IMAGE_TYPES and file.is_file():
            yield image_url, file
        else:
            counts["missing_left_out"] += 1


def info_record(name: str) -> bytes:
    """The record that opens an archive (WARC 1.1, section 6.2)."""
    content = b"software: curation sample\r\nformat: WARC File Format 1.1\r\n"
    return gzip_record(
        WarcRecordType.warcinfo, name, content, {"WARC-Filename": name, "Content-Type": "application/warc-fields"}
    )


def response_record(url: str, content_type: str, body: bytes) -> bytes:
    """A page or picture as the server would have sent it."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    headers = {"WARC-Target-URI": url, "Content-Type": "application/http; msgtype=response"}
    return gzip_record(WarcRecordType.response, url, head + body, headers, hashlib.sha1(body).digest())


def gzip_record(
    kind: WarcRecordType, identity: str, content: bytes, headers: dict[str, str], payload_digest: bytes | None = None
) -> bytes:
    """One record as a gzip member of its own, so that a reader can seek to it."""
    record = WarcRecord()
    urn = uuid.uuid5(uuid.NAMESPACE_URL, f"{int(kind)}:{identity}").urn.removeprefix("urn:")
    record.init_headers(record_type=kind, record_urn=urn.encode())
    for key, value in {"WARC-Date": DATE, **headers}.items():
        record.headers.set(key, value)
    record.set_bytes_content(content)
    plain = io.BytesIO()
    record.write(plain, checksum_data=True, payload_digest=payload_digest)
    return gzip.compress(plain.getvalue(), LEVEL, mtime=0)
