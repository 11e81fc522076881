"""Small dumps of Wikipedia, in the forms in which they are published."""

import bz2
import gzip
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="de">
  <siteinfo>
    <sitename>Wikipedia</sitename>
    <namespaces>
      <namespace key="-2" case="first-letter">Medium</namespace>
      <namespace key="0" case="first-letter" />
      <namespace key="6" case="first-letter">Datei</namespace>
      <namespace key="14" case="first-letter">Kategorie</namespace>
    </namespaces>
  </siteinfo>
"""
TAIL = "</mediawiki>\n"


def page(title: str, text: str, *, namespace: int = 0, redirect: bool = False) -> str:
    """A page as Wikimedia's dumps have it."""
    to = '    <redirect title="Other" />\n' if redirect else ""
    return (
        f"  <page>\n    <title>{escape(title)}</title>\n    <ns>{namespace}</ns>\n    <id>7</id>\n{to}"
        "    <revision>\n      <id>8</id>\n      <model>wikitext</model>\n      <format>text/x-wiki</format>\n"
        f'      <text bytes="{len(text)}" xml:space="preserve">{escape(text)}</text>\n    </revision>\n  </page>\n'
    )


def streams(pages: Sequence[str], of: int = 3) -> list[bytes]:
    """The streams of a multistream dump: the head, so many pages each, the tail."""
    texts = [HEAD, *("".join(pages[start : start + of]) for start in range(0, len(pages), of)), TAIL]
    return [bz2.compress(text.encode()) for text in texts]


def write(path: Path, pages: Sequence[str], of: int = 3) -> str:
    """A dump in the form that its name says."""
    text = (HEAD + "".join(pages) + TAIL).encode()
    data = b"".join(streams(pages, of)) if path.suffix == ".bz2" else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)
