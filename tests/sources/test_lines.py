"""CSV, TSV and JSON Lines: one bad line costs one line, whatever is wrong with it."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curation.sources import tables
from curation.sources.found import CAPTION_CHARS
from curation.sources.lines import LINE_CHARS, MORE_LINES, csv_chunks

URL = "http://a.org/{}.jpg"
BAD = {
    "comma": b"http://a.org/b,c.jpg,one field too many\n",
    "short": b"http://a.org/b.jpg\n",
    "open quote": b'http://a.org/b.jpg,"a dog that never ends\n',
    "stray quote": b'http://a.org/b.jpg,"a dog" and more\n',
    "quote in the URL": b'"http://a.org/b.jpg,a dog\n',
    "many quotes": b'"""""",""",\n',
    "no URL": b"nowhere,a dog\n",
    "mark of UTF-8": b"\xef\xbb\xbfhttp://a.org/b.jpg,a dog,x\n",
    "NUL": b"\0\0\0\n",
    "not UTF-8": b"\xff\xfe\xfd\n",
    "too long": b"http://a.org/b.jpg," + b"x" * LINE_CHARS + b"\n",
}


def table(path: Path, content: bytes | str) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def lines(count: int, start: int = 0) -> list[bytes]:
    return [f"{URL.format(n)},dog number {n}\n".encode() for n in range(start, start + count)]


@pytest.mark.parametrize("what", BAD)
def test_one_bad_line_of_ten_thousand(tmp_path: Path, rows: Callable, what: str) -> None:
    content = [b"url,caption\n", *lines(5000), BAD[what], *lines(4999, 5001)]
    result = rows(tables.read(table(tmp_path / "t.csv", b"".join(content)), None))
    assert [row["url"] for row in result.found] == [URL.format(n) for n in range(10_000) if n != 5000]
    assert [item for item, _ in result.errors()] == ["5000"]


@pytest.mark.parametrize(
    "line",
    [
        b"http://a.org/b.jpg,a \0dog\n",
        b"http://a.org/b.jpg,a d\xffg\n",
        b"http://a.org/b.jpg," + b"x" * 10**6,
        b'http://a.org/b.jpg,"' + b"x" * 10**6 + b'"\n',
    ],
)
def test_lines_that_are_odd_but_good(tmp_path: Path, rows: Callable, line: bytes) -> None:
    result = rows(tables.read(table(tmp_path / "t.csv", b"url,caption\n" + line), None))
    (row,) = result.found
    assert row["caption"] in ("a dog", "a d\ufffdg", "x" * CAPTION_CHARS)


def test_a_table_whose_first_records_are_all_broken(tmp_path: Path, rows: Callable) -> None:
    for records, errors in ((19, 19), (20, 21)):
        content = b'"a" b,c\n' * records + b"url,caption\n" + lines(1)[0]
        result = rows(tables.read(table(tmp_path / "t.csv", content), None))
        assert (len(result.found), len(result.rejected)) == (20 - records, errors)
    assert ("", "bad_file") in result.errors()


def test_a_record_may_run_over_lines(tmp_path: Path, rows: Callable) -> None:
    text = 'one, "two"\n\nthree'
    file = io.StringIO()
    csv.writer(file).writerows([["url", "caption"], [URL.format(0), text], [URL.format(1), "four"]])
    found = rows(tables.read(table(tmp_path / "t.csv", file.getvalue()), None)).found
    assert [(row["document"], row["caption"]) for row in found] == [("0", text), ("1", "four")]


@pytest.mark.parametrize("more", [MORE_LINES, MORE_LINES + 1])
def test_how_many_lines_a_record_may_take(tmp_path: Path, rows: Callable, more: int) -> None:
    content = f'url,caption\n{URL.format(0)},"a' + "\n" * more + f'b"\n{URL.format(1)},c\n'
    result = rows(tables.read(table(tmp_path / "t.csv", content), None))
    good = more == MORE_LINES
    assert [row["caption"][-1] for row in result.found] == (["b", "c"] if good else ["c"])
    assert (not result.rejected) == good


field = st.text(st.characters(exclude_characters="\0\r", codec="utf-8"), max_size=12).filter(lambda t: t.strip())


@settings(deadline=None)
@given(st.lists(st.tuples(field, field), max_size=5))
@example([("a", '"'), ("b", 'x"\n",y'), ("c", ",\n\n,")])
def test_what_a_csv_writer_writes_is_read_back(pairs: list[tuple[str, str]]) -> None:
    file = io.StringIO()
    csv.writer(file).writerows([["a", "b"], *pairs])
    chunks = list(csv_chunks(io.StringIO(file.getvalue(), newline="\n"), tabs=False))
    read = [tuple(row.values()) for chunk in chunks for row in chunk.batch.to_pylist()]
    assert read == pairs
    assert not any(chunk.bad for chunk in chunks)


@settings(deadline=None)
@given(st.lists(st.sampled_from([*list(BAD.values())[:-1], *lines(3), b"\n", b'"\n', b",\n", b'","'])))
def test_no_line_is_lost_or_read_twice(content: list[bytes]) -> None:
    text = b"".join([b"url,caption\n", *content]).decode("utf-8", "replace")
    chunks = list(csv_chunks(io.StringIO(text, newline="\n"), tabs=False))
    numbers = [n for c in chunks for n in c.rows] + [int(bad.item) for c in chunks for bad in c.bad]
    assert sorted(numbers) == list(range(len(numbers)))
    # Good records may span lines, so lines are counted in what was read: a bad one is one line, a good one 1 + breaks.
    values = [value for c in chunks if c.batch for row in c.batch.to_pylist() for value in row.values() if value]
    taken = len(numbers) + sum(value.count("\n") for value in values)
    blank = sum(not line.strip("\r\n") for line in text.split("\n")) + sum("\n\n" in v for v in values)
    assert taken + blank >= len(text.split("\n")) - 1


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_delimiters_and_line_ends(tmp_path: Path, rows: Callable, delimiter: str, newline: str) -> None:
    records = (("text", "url"), ("a dog", URL.format(0)), ("a cat", URL.format(1)))
    content = newline.join(delimiter.join(record) for record in records)
    found = rows(tables.read(table(tmp_path / "t.csv", content), None)).found
    assert [(row["url"], row["caption"]) for row in found] == [(u, c) for c, u in records[1:]]


@pytest.mark.parametrize("header", [b"url,caption\r", b""])
def test_lines_that_end_in_carriage_returns_alone_are_told(tmp_path: Path, rows: Callable, header: bytes) -> None:
    content = header + b"".join(lines(3)).replace(b"\n", b"\r")
    result = rows(tables.read(table(tmp_path / "t.csv", content), None))
    assert (result.found, result.errors()) == ([], [("", "bad_file")])


@pytest.mark.parametrize("order", ["caption first", "url first"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_tables_without_a_header(tmp_path: Path, rows: Callable, order: str, suffix: str) -> None:
    pairs = [(f"dog {n}", URL.format(n)) for n in range(30)]
    pairs[0] = (f"see {URL.format(99)}", URL.format(0))
    delimiter = "," if suffix == ".csv" else "\t"
    content = "\n".join(delimiter.join(pair if order == "caption first" else pair[::-1]) for pair in pairs)
    found = rows(tables.read(table(tmp_path / f"t{suffix}", content), None)).found
    assert [(row["caption"], row["url"]) for row in found] == pairs


def test_quotes_in_tsv_are_text(tmp_path: Path, rows: Callable) -> None:
    content = f'url\tcaption\n{URL.format(0)}\t"a dog"\n{URL.format(1)}\tthe "big" dog\n{URL.format(2)}\t"\n'
    result = rows(tables.read(table(tmp_path / "t.tsv", content), None))
    assert [row["caption"] for row in result.found] == ['"a dog"', 'the "big" dog']
    assert result.errors() == [("2", "no_letters")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_byte_order_marks(tmp_path: Path, rows: Callable, encoding: str) -> None:
    mark = "\ufeff" if encoding[-2:] in ("le", "be") else ""
    content = f"{mark}url,caption\n{URL.format(0)},ein Hünd 犬\n".encode(encoding)
    (row,) = rows(tables.read(table(tmp_path / "t.csv", content), None)).found
    assert row["caption"] == "ein Hünd 犬"


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_packed_tables_and_where_they_are_cut(tmp_path: Path, rows: Callable, pack: Callable, suffix: str) -> None:
    import random

    words = random.Random(0)
    texts = [f"dog {words.getrandbits(256):x}" for _ in range(20_000)]
    if suffix == ".csv":
        plain = "url,caption\n" + "".join(f"{URL.format(n)},{text}\n" for n, text in enumerate(texts))
    else:
        plain = "".join(json.dumps({"url": URL.format(n), "caption": text}) + "\n" for n, text in enumerate(texts))
    whole = pack(plain.encode())
    assert [row["caption"] for row in rows(tables.read(table(tmp_path / f"t{suffix}", whole), None)).found] == texts
    if pack is not bytes:
        result = rows(tables.read(table(tmp_path / f"cut{suffix}", whole[: len(whole) // 2]), None))
        assert result.found
        assert [row["caption"] for row in result.found] == texts[: len(result.found)]
        assert result.errors() == [("", "bad_file")]


def test_json_lines_bad_and_odd(tmp_path: Path, rows: Callable) -> None:
    content = [
        '{"url": "http://a.org/0.jpg", "text": "a dog", "n": 1, "tags": ["x"], "o": {"b": null}, "none": null}',
        "not json",
        "[1, 2]",
        "",
        '{"url": "http://a.org/4.jpg", "text": "lone \\ud800 surrogate", "n": NaN}',
        '{"url": "http://a.org/5.jpg"}',
        '{"text": "a dog"}',
        '{"url": "http://a.org/7.jpg", "text": ["a", "b"]}',
        "[" * 100_000,
        '{"url": "http://a.org/9.jpg", "text": "a dog"',
        '{"url": 5, "text": {"a": 1}}',
    ]
    result = rows(tables.read(table(tmp_path / "t.jsonl", "\n".join(content)), None))
    assert [(row["document"], row["caption"]) for row in result.found] == [
        ("0", "a dog"), ("3", "lone ? surrogate"), ("6", "a"), ("6", "b"),
    ]  # fmt: skip
    assert result.found[0]["extra"] == {"n": "1", "tags": '["x"]', "o": '{"b": null}'}
    assert sorted(result.errors()) == [
        ("1", "bad_json"), ("2", "bad_json"), ("4", "no_caption"), ("5", "no_url"),
        ("7", "bad_json"), ("8", "bad_json"), ("9", "bad_url"),
    ]  # fmt: skip


def test_columns_may_come_and_go_in_json(tmp_path: Path, rows: Callable) -> None:
    records = [{"url": URL.format(n), "text": "a dog"} | ({"late": "x"} if n > 15_000 else {}) for n in range(20_000)]
    found = rows(tables.read(table(tmp_path / "t.jsonl", "\n".join(map(json.dumps, records))), None)).found
    assert sum("late" in row["extra"] for row in found) == 4999


def test_one_null_does_not_make_all_lists_of_json_texts(tmp_path: Path, rows: Callable) -> None:
    records = [{"url": URL.format(n), "text": text} for n, text in enumerate((["a", "b"], ["c", None], [], None))]
    result = rows(tables.read(table(tmp_path / "t.jsonl", "\n".join(map(json.dumps, records))), None))
    assert [row["caption"] for row in result.found] == ["a", "b", "c"]
    assert result.errors() == [("2", "no_caption"), ("3", "no_caption")]


@pytest.mark.parametrize("value", [[], ["http://a.org/x"], ["http://a.org/x", "http://a.org/y"], {"a": 1}, 7])
@pytest.mark.parametrize("name", ["url", "image", "license", "id", "tags"])
def test_a_list_in_one_object_changes_no_other(tmp_path: Path, rows: Callable, name: str, value: object) -> None:
    where = "image" if name == "image" else "url"
    records = [
        {where: URL.format(n), "caption": f"dog {n}", "license": "CC BY", "id": f"k{n}", "tags": "x"} for n in range(5)
    ]
    found = []
    for odd in (None, value):
        records[3][name] = odd
        read = rows(tables.read(table(tmp_path / "t.jsonl", "\n".join(map(json.dumps, records))), None)).found
        found.append([row for row in read if row["caption"] != "dog 3"])
    assert found[0] == found[1] and len(found[0]) == 4


def test_lists_of_objects_are_texts_unless_of_captions_or_images(tmp_path: Path, rows: Callable, jpeg: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg)
    records = [
        {"image": ["a.jpg"], "caption": ["one", "two"], "license": ["CC BY"], "tags": ["x", "y"], "empty": []},
        {"image": ["a.jpg", "a.jpg"], "caption": "three", "license": []},
        {"image": "a.jpg", "caption": "four", "license": "CC BY-NC", "tags": ["x"]},
    ]
    result = rows(tables.read(table(tmp_path / "t.jsonl", "\n".join(map(json.dumps, records))), None))
    tags = {"tags": '["x", "y"]', "empty": "[]"}
    assert [(row["caption"], row["license"], row["extra"]) for row in result.found] == [
        ("one", "CC BY", tags), ("two", "CC BY", tags), ("four", "CC BY-NC", {"tags": '["x"]'})
    ]  # fmt: skip
    assert result.errors() == [("1", "several_images")]
    records = [{"url": URL.format(n), "mine": text} for n, text in enumerate([["one", "two"], "three"])]
    path = table(tmp_path / "t.jsonl", "\n".join(map(json.dumps, records)))
    assert [row["caption"] for row in rows(tables.read(path, None, caption_column="mine")).found] == [
        "one", "two", "three"
    ]  # fmt: skip


@pytest.mark.parametrize("content", ["", "\n", "url,caption\n", "\ufeff"])
def test_empty_files_give_nothing(tmp_path: Path, rows: Callable, content: str) -> None:
    for suffix in (".csv", ".tsv", ".jsonl"):
        if suffix != ".jsonl" or not content.strip("\ufeff\n"):
            assert rows(tables.read(table(tmp_path / f"t{suffix}", content), None)) == ([], [])
