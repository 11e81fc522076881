"""All rows of one task through the fetcher: many hosts at once in one thread, decoding beside it, memory bounded.

One event loop holds hundreds of requests for the price of one thread; decoding and encoding release the interpreter's
lock and run on `CURATION_THREADS` others. No Spark here.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from curation.download.addresses import Gatekeeper
from curation.download.images import picture
from curation.download.memory import Held
from curation.download.pages import Page
from curation.download.settings import Settings
from curation.download.transport import Transport
from curation.download.visit import Trace, Visitor
from curation.errors import BadItemError
from curation.images import threads
from curation.tables import grouped

DECODERS = 2  # threads of a task at least: the last tasks of a job have cores to themselves
OPEN_PAGES = 8  # so long may a page wait for a slow host while the ones after it go on
SPOOLED_BYTES = 4 << 30  # in temporary files; beyond it no page is begun before another one is done


def fetcher(home: str, settings: Settings) -> Callable[[Iterator[pa.RecordBatch]], Iterator[dict]]:
    """The task: rows sorted by `place` (image_id, url, opt_out, attempts) in, the records of the pages out."""

    def fetch(batches: Iterator[pa.RecordBatch]) -> Iterator[dict]:
        yield from fetch_pages(pages(batches, home), settings)

    return fetch


def pages(batches: Iterable[pa.RecordBatch], home: str) -> Iterator[Page]:
    """A page for each run of equal `place`."""
    for place, run in grouped(batches, "place"):
        rows = pa.Table.from_batches(list(run)).drop_columns(["place"]).to_pylist()
        yield Page(home, place, rows)


def fetch_pages(found: Iterable[Page], settings: Settings, look_up: Callable | None = None) -> list[dict[str, Any]]:
    """Fetch and commit the pages; their records. `look_up` stands for another name server (see addresses.py)."""
    return asyncio.run(_Task(settings, look_up).run(found))


class _Task:
    def __init__(self, settings: Settings, look_up: Callable | None) -> None:
        self.settings, self.keeper, self.look_up = settings, Gatekeeper(settings.allow_host), look_up
        self.records: list[dict[str, Any]] = []
        self.open: dict[asyncio.Task, Page] = {}

    async def run(self, found: Iterable[Page]) -> list[dict[str, Any]]:
        with ThreadPoolExecutor(max(DECODERS, threads())) as self.decoding, ThreadPoolExecutor(1) as self.writing:
            async with Transport(self.settings, self.keeper, self.look_up) as self.transport:
                self.visitor = Visitor(self.transport, self.settings, self.keeper)
                try:
                    for page in found:
                        await self._begin(page)
                    while self.open:
                        await self._end_one()
                finally:
                    for task in self.open:
                        task.cancel()
        return self.records

    async def _begin(self, page: Page) -> None:
        earlier = page.earlier()
        if earlier is not None:
            self.records.append(earlier)
            return
        self.open[asyncio.create_task(self._page(page))] = page
        while len(self.open) >= OPEN_PAGES or sum(p.size for p in self.open.values()) > SPOOLED_BYTES:
            await self._end_one()

    async def _end_one(self) -> None:
        done, _ = await asyncio.wait(self.open, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            del self.open[task]
            self.records.append(task.result())

    async def _page(self, page: Page) -> dict[str, Any]:
        await asyncio.gather(*(self._row(page, row) for row in page.rows))
        return await asyncio.get_running_loop().run_in_executor(self.writing, page.commit)

    async def _row(self, page: Page, row: dict[str, Any]) -> None:
        trace, held = Trace(), Held(self.transport.budget)
        try:
            answer = await self.visitor.image(row["url"], row["opt_out"], trace, held)
            encoding = answer.headers.get("Content-Encoding")
            work = (page, row["image_id"], answer.body, encoding, self.settings)
            await asyncio.get_running_loop().run_in_executor(self.decoding, _decode, *work)
            page.note(row, "ok", "", trace.http_status, trace.tries)
        except BadItemError as error:
            page.note(row, error.code, error.detail, trace.http_status, trace.tries)
        finally:
            held.release()


def _decode(page: Page, image_id: str, body: bytes, encoding: str | None, settings: Settings) -> None:
    page.keep(image_id, picture(body, encoding, settings))
