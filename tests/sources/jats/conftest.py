"""What the tests of JATS share: articles made of a body, and their pairs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curation.sources import jats
from tests.sources.conftest import Rows, Sink

HEAD = (
    '<article xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:mml="http://www.w3.org/1998/Math/MathML" '
    'article-type="research-article" xml:lang="en"><front><article-meta>'
    '<article-id pub-id-type="pmc">7</article-id><article-id pub-id-type="doi">10.1/X</article-id>'
    "<permissions><license xlink:href='http://creativecommons.org/licenses/by/4.0/'/></permissions>"
    "</article-meta></front><body>"
)


def article(body: str, rest: str = "") -> bytes:
    """An article as XML with this body, and what follows the body."""
    return f"{HEAD}{body}</body>{rest}</article>".encode()


def fig(caption: str = "A caption.", id: str = "F1", href: str = "g1", more: str = "") -> str:
    """A figure as XML."""
    return f'<fig id="{id}"><caption><p>{caption}</p></caption><graphic xlink:href="{href}"/>{more}</fig>'


@pytest.fixture
def read(tmp_path: Path, sink: Sink, rows: Callable) -> Callable[..., Rows]:
    """The rows of an article beside files of the given names."""

    def read(data: bytes, files: dict[str, bytes] | None = None, **settings: Any) -> Rows:
        for name, content in (files or {}).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
        (tmp_path / "article.xml").write_bytes(data)
        return rows(jats.read(str(tmp_path / "article.xml"), sink, **settings))

    return read
