"""What is to be forgotten: lists of uids, URLs, domains, hashes and articles, and which pairs they mean. No Spark."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import RecipeError
from curation.lists import read_listed
from curation.schema import hex_id
from curation.sources.urls import normal_url

FORGOTTEN = "forgotten"  # the drop reason, and the folder of a pool that holds its list
RULES = pa.schema([("kind", pa.string()), ("value", pa.string()), ("list", pa.string()), ("line", pa.int64())])
HEX = {"uids": re.compile("[0-9a-f]{32}"), "hashes": re.compile("[0-9a-f]{64}"), "images": re.compile("[0-9a-f]{32}")}
ARTICLE = re.compile(r"(?:pmc:|arxiv:)?(\S+?)(v\d+)?", re.IGNORECASE)
READ = ("uid", "image_id", "url", "document", "sha256")  # columns of pairs and samples that a rule may look at


@dataclass(frozen=True)
class Rules:
    """A table of RULES: what is to be forgotten, each with the list and the line that ask for it."""

    table: pa.Table

    @property
    def key(self) -> str:
        """32 hex, of kinds and values alone: neither their order nor the names of the lists count."""
        pairs = zip(self.table["kind"].to_pylist(), self.table["value"].to_pylist())
        return hex_id(FORGOTTEN, *sorted({f"{kind} {value}" for kind, value in pairs}))

    def match(self, rows: pa.Table) -> np.ndarray:
        """Number of the first rule that each row meets, int64 (n,), -1 for none; of the columns READ those there are.

        A URL or a domain (with what is below it) is looked for where the picture lies and in the page it was found on.
        """
        found = np.full(len(rows), len(self.table), np.int64)
        for kind, columns, look in LOOKS:
            numbers = np.flatnonzero(pc.equal(self.table["kind"], kind).to_numpy(zero_copy_only=False))
            values = self.table["value"].take(pa.array(numbers)).to_pylist()
            wanted = dict(zip(reversed(values), reversed(numbers.tolist())))
            for column in columns if wanted else ():
                if column in rows.column_names and not pa.types.is_null(rows[column].type):
                    found = np.minimum(found, _looked_up(rows[column], wanted, look, len(self.table)))
        return np.where(found == len(self.table), -1, found)

    def told(self, number: int) -> str:
        """List and line of a rule; not what it says."""
        row = self.table.slice(int(number), 1).to_pylist()[0]
        return f"{row['list']} line {row['line']}"

    def with_images(self, image_ids: dict[str, int]) -> "Rules":
        """And the pictures of these ids, each for the rule that found it: another caption of it is another pair."""
        rules = [self.table.slice(n, 1).to_pylist()[0] for n in image_ids.values()]
        rows = [rule | {"kind": "images", "value": image} for image, rule in zip(image_ids, rules)]
        return Rules(pa.concat_tables([self.table, pa.Table.from_pylist(rows, RULES)]))


def _looked_up(
    column: pa.ChunkedArray, wanted: dict[str, int], look: Callable[[str], Iterator[str]], none: int
) -> np.ndarray:
    """Per row the smallest number that a name of its value has in `wanted`; `none` where none has one."""
    encoded = column.combine_chunks().dictionary_encode()
    values = encoded.dictionary.to_pylist()
    firsts = [min((wanted[name] for name in look(value) if name in wanted), default=none) for value in values]
    places = encoded.indices.fill_null(len(firsts)).to_numpy(zero_copy_only=False)
    return np.array([*firsts, none], np.int64)[places]


def _itself(value: str) -> Iterator[str]:
    yield value


def _url(value: str) -> Iterator[str]:
    yield normal_url(value) or value


def _domains(value: str) -> Iterator[str]:
    """The host of a URL and the domains that it lies in."""
    try:
        host = urlsplit(normal_url(value) or value).hostname or "" if "://" in value else ""
    except ValueError:
        return
    labels = host.rstrip(".").split(".")
    yield from (".".join(labels[n:]) for n in range(len(labels)))


def _article(value: str) -> Iterator[str]:
    """An article's id as lists name it, and without its version."""
    found = ARTICLE.fullmatch(value.strip())
    name, version = found.groups() if found else (value, None)
    yield name.lower()
    if version:
        yield (name + version).lower()


# Kind of rule, the columns it looks at, and the names under which a value of them may be listed.
LOOKS = (
    ("uids", ("uid",), _itself),
    ("urls", ("url", "document"), _url),
    ("domains", ("url", "document"), _domains),
    ("hashes", ("sha256",), _itself),
    ("images", ("image_id",), _itself),
    ("articles", ("document",), _article),
)
KINDS = ("uids", "urls", "domains", "hashes", "articles")  # that a list may be of


def read_rules(lists: dict[str, str | None]) -> Rules:
    """The rules of lists by kind, a value a line, lines that begin with # left out; RecipeError for another line.

    A hash of a picture stands for the picture of that identity too, so that pairs not yet written are found.
    """
    rows: list[dict[str, Any]] = []
    for kind, path in lists.items():
        for line, text in read_listed(path) if path is not None else ():
            if not text.startswith("#"):
                where = {"list": path.rstrip("/").rpartition("/")[2], "line": line}
                rows += [where | {"kind": k, "value": v} for k, v in _rules(kind, text, f"{path} line {line}")]
    if not rows:
        raise RecipeError(f"nothing to forget: give a list, a value a line, with one of {_flags()}")
    return Rules(pa.Table.from_pylist(rows, RULES))


def _flags() -> str:
    return ", ".join(f"--{kind}" for kind in KINDS)


def _rules(kind: str, text: str, where: str) -> list[tuple[str, str]]:
    """Kind and value of the rules that a line of a list means."""
    if kind in HEX:
        value = text.lower()
        if not HEX[kind].fullmatch(value):
            digits = 64 if kind == "hashes" else 32
            raise RecipeError(f"{where}: {text[:80]!r}, wanted {digits} hex digits")
        return [(kind, value), *([("images", hex_id(f"sha256:{value}"))] if kind == "hashes" else [])]
    if kind == "urls":
        value = normal_url(text)
        if value is None:
            raise RecipeError(f"{where}: {text[:80]!r}, wanted an http or https URL; other names are for --articles")
        return [(kind, value)]
    if kind == "domains":
        return [(kind, _domain(text, where))]
    if text.isdecimal() or not ARTICLE.fullmatch(text):
        raise RecipeError(f"{where}: {text[:80]!r}, wanted an article's id such as PMC123456 or 2301.00001")
    name, version = ARTICLE.fullmatch(text).groups()
    return [(kind, (name + (version or "")).lower())]


def _domain(text: str, where: str) -> str:
    name = text.lower().removeprefix("*.").strip(".")
    try:
        name = name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    if not re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+", name):
        raise RecipeError(f"{where}: {text[:80]!r}, wanted a domain such as example.com; pages are for --urls")
    return name
