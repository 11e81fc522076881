"""WAT bytes per second of `curation.sources.crawl` beside cc2dataset's parser, and HTML beside a full lexbor parse.

    python benchmarks/crawl.py [--rounds N]

WAT: the whole reader, from the file to Arrow batches with titles, licence, language and opt-outs, beside cc2dataset
1.5.0's `extract_documents_from_wat`, which gives URL and alt text alone. On a WAT in Common Crawl's layout, made of
real pages and real captions (the headline), and on the real WATs as they are. HTML: the pages of the real WARCs with
all fields of a pair, beside the same fields from a full parse by lexbor (selectolax) of each page (`peer`), both from
FastWARC's records; and beside that parse with src and alt alone (`bare`). `limit` is FastWARC's iteration over the same
file, nothing else. All sides run in this process, in turn, on one core, without the garbage collector; first their
results are compared. Rates are medians over the rounds of bytes of unpacked records per second of thread CPU time. The
last line on stdout is one JSON object.
"""

import argparse
import io
import json
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from corpora.crawl import DATA, joined_wats, laid_out_wat, pages_warc
from fastwarc import ArchiveIterator
from fastwarc.warc import WarcRecordType
from paired import in_turn, machine, peer_packages, say, thread_seconds
from selectolax.lexbor import LexborHTMLParser

from curation.errors import BadItemError
from curation.sources import crawl, html, warc
from curation.sources.archive import open_archive
from curation.sources.charset import decode
from curation.sources.found import FOUND, caption_text
from curation.sources.http import decoded, said
from curation.sources.urls import normal_url

PEER = ("cc2dataset==1.5.0", "pysimdjson==7.0.2", "loguru==0.7.3")
LIMIT_BYTES = 10 << 20  # a page, as the reader has it
MONTH_PAGES, MONTH_WATS = 2.64e9, 90_000  # Common Crawl, "December 2024 Crawl Archive Now Available"
ALL_WATS = 5_000_000  # of all months, as cc2dataset's own account counts them
SHOWN = 5  # differences that are printed
TARGETS = {"wat": 2.5, "html": 1.5}


def peer_parser() -> Callable:
    """cc2dataset's parser of a WAT; of what it needs Spark, pandas and fsspec are this environment's."""
    peer_packages("crawl", *PEER, dependencies=False)
    from cc2dataset.main import extract_documents_from_wat
    from loguru import logger

    logger.remove()
    return extract_documents_from_wat


def limit(path: Path, types: WarcRecordType) -> int:
    """The bytes of the records, read and nothing else."""
    with path.open("rb") as file:
        return sum(len(record.reader.read()) for record in ArchiveIterator(file, record_types=types, parse_http=False))


def ours(path: Path) -> list:
    """All batches of the reader."""
    return list(crawl.read(str(path), None))


def wat_differences(path: Path, parser: Callable) -> list[dict]:
    """Pairs of page, URL and alt text that only one side has, by what either calls a caption.

    URLs and ends of lines are brought into one form. Left out are pairs that the peer loses as wget named their page in
    angle brackets, with which it joins no URL.
    """
    kept = [row for batch in ours(path) if batch.schema.equals(FOUND) for row in batch.to_pylist()]
    mine = {(row["document"], row["url"], row["caption"]) for row in kept if row["caption_kind"] == "alt"}
    theirs = set()
    for link in parser(io.BytesIO(path.read_bytes()), "image"):
        try:
            text, _ = caption_text(link["alt"].replace("\r\n", "\n"))
        except BadItemError:  # no letter in it: a rejected row of ours
            continue
        theirs.add((link["page_url"].strip("<>"), normal_url(link["url"]), text))
    with path.open("rb") as file:
        names = [record.headers.get("WARC-Target-URI") or "" for record in ArchiveIterator(file, parse_http=False)]
    bracketed = {name.strip("<>") for name in names if name.startswith("<")}
    lost = [pair for pair in mine - theirs if pair[0] not in bracketed]
    return [{"ours_only": list(pair)} for pair in lost] + [{"peer_only": list(pair)} for pair in theirs - mine]


def fields(page: html.Page, url: str) -> list[tuple]:
    """What a page gives: for each text of each image its URLs, kind and words, and what holds for all of the page."""
    facts = (url, page.base, page.license, page.language, page.opt_out)
    return [(facts, tuple(picture.urls), *text) for picture in page.pictures for text in picture.texts]


def our_html(path: Path) -> list[tuple]:
    """The fields of every page by our reader."""
    found = []
    with open_archive(str(path)) as archive:
        for record in warc.records(archive, lambda record: LIMIT_BYTES):
            found += fields(html.read_page(record.body, record.url, record.said), record.url)
    return found


def full_html(path: Path) -> list[tuple]:
    """The same fields, each page parsed in full."""
    found = []
    for body, url, headers in _pages(path):
        found += fields(html.read_page(body, url, said(headers, headers.get("Content-Type") or ""), whole=True), url)
    return found


def bare_html(path: Path) -> list[tuple]:
    """URL, src and alt text of each image, each page parsed in full."""
    found = []
    for body, url, headers in _pages(path):
        tree = LexborHTMLParser(decode(body, said(headers, headers.get("Content-Type") or "").charset))
        images = [node.attributes for node in tree.css("img[alt]")]
        found += [(url, image.get("src"), image["alt"]) for image in images if image["alt"]]
    return found


def _pages(path: Path):
    with path.open("rb") as file:
        for record in ArchiveIterator(file, record_types=WarcRecordType.response):
            headers = record.http_headers
            body = record.reader.read()
            coding = (headers.get("Transfer-Encoding"), headers.get("Content-Encoding"))
            yield decoded(body, *coding, LIMIT_BYTES), record.headers["WARC-Target-URI"], headers


def compared(path: Path, sides: dict[str, Callable], rounds: int, types: WarcRecordType) -> dict:
    """Rates in MB/s of the sides and of the limit on one file, and ratios of `ours` to the others."""
    size = limit(path, types)
    seconds = in_turn(
        {**{name: lambda side=side: side(path) for name, side in sides.items()}, "limit": lambda: limit(path, types)},
        rounds,
        thread_seconds,
    )
    rates = {name: round(size / 1e6 / statistics.median(values), 1) for name, values in seconds.items()}
    by_round = [peer / mine for mine, peer in zip(seconds["ours"], seconds["peer"], strict=True)]
    return {
        "ratio": round(rates["ours"] / rates["peer"], 2),
        "ratio_range": [round(min(by_round), 2), round(max(by_round), 2)],
        "share_of_limit": round(rates["ours"] / rates["limit"], 2),
        "mb_per_s": rates,
        "mb": round(size / 1e6, 1),
    }


def cost(pages: int, mb: float, mb_per_s: float) -> dict:
    """Core hours of Common Crawl's WATs at the rate of a sample of so many pages and megabytes."""
    hours = mb / mb_per_s / pages * MONTH_PAGES / 3600
    return {"month": round(hours), "all_months": round(hours * ALL_WATS / MONTH_WATS)}


def benchmark(folder: Path, rounds: int) -> dict:
    """The whole measurement: make the files, compare the results, time all sides in turn."""
    parser, pages = peer_parser(), 1000
    for name, content in (("laid_out", laid_out_wat(pages)), ("real", joined_wats(3)), ("html", pages_warc(3))):
        (folder / name).write_bytes(content)
    results, unequal = {}, []
    for name in ("laid_out", "real"):
        say(f"WAT, {name}: comparing, then {rounds} rounds")
        path = folder / name
        unequal += wat_differences(path, parser)
        sides = {"ours": ours, "peer": lambda path: parser(io.BytesIO(path.read_bytes()), "image")}
        results[name] = compared(path, sides, rounds, WarcRecordType.metadata)
    say(f"HTML: comparing, then {rounds} rounds")
    mine, full = our_html(folder / "html"), full_html(folder / "html")
    unequal += [{"html": str(pair)} for pair in (Counter(mine) - Counter(full)) + (Counter(full) - Counter(mine))]
    sides = {"ours": our_html, "peer": full_html, "bare": bare_html}
    results["html"] = compared(folder / "html", sides, rounds, WarcRecordType.response)
    rates, mb = results["laid_out"]["mb_per_s"], results["laid_out"]["mb"]
    return {
        "name": "crawl",
        "ratio": results["laid_out"]["ratio"],
        "ours": rates["ours"],
        "peer": rates["peer"],
        "unit": "MB of unpacked WAT per second of thread CPU time, one core",
        "input": f"{pages} real pages in Common Crawl's layout; all real WATs; {len(mine)} texts of all real pages",
        "equal": unequal[:SHOWN] or True,
        "unequal": len(unequal),
        "wat_laid_out": results["laid_out"],
        "wat_real": results["real"],
        "html": results["html"],
        "targets": TARGETS,
        "core_hours": {side: cost(pages, mb, rates[side]) for side in ("ours", "peer")},
        "machine": f"{machine('FastWARC', 'selectolax', 'msgspec', 'numba')}, {PEER[0]}",
        "rounds": rounds,
    }


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"no real archives at {DATA}: nothing to measure")
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(benchmark(Path(folder), args.rounds), ensure_ascii=False))


if __name__ == "__main__":
    main()
