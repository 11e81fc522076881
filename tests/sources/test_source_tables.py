"""Tables of pairs: real files, every way to name an image, bad rows and bad files."""

import errno
import gzip
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import BadItemError
from curation.sources import tables
from curation.sources.columns import as_text, checked_captions, extra_map
from curation.sources.found import CAPTION_CHARS, caption_text

URL = "http://a.org/{}.jpg"


def parquet(path: Path, columns: dict, **options: object) -> str:
    pq.write_table(pa.table(columns), path, **options)
    return str(path)


def test_laion_rows_are_the_files_rows(data: Path, rows: Callable) -> None:
    path = data / "tables/laion-style-10k.parquet"
    result = rows(tables.read(str(path), None))
    raw = pq.read_table(path).to_pylist()
    assert len(result.found) + len(result.rejected) == len(raw) == 10_000
    for row in result.found:
        source = raw[int(row["document"])]
        assert row["identity"] == row["url"] == source["URL"]
        assert (row["caption"], row["caption_kind"], row["image"]) == (source["TEXT"], "caption", None)
        assert row["extra"] == {"__index_level_0__": str(source["__index_level_0__"])}
    assert result.errors() == [("4674", "no_letters")]
    assert not any(c.isalpha() for c in raw[4674]["TEXT"])


def test_conceptual_captions_without_a_header(data: Path, rows: Callable) -> None:
    path = data / "tables/cc3m-validation-first10500.tsv.gz"
    lines = [line.split("\t") for line in gzip.decompress(path.read_bytes()).decode().split("\n")[:-1]]
    result = rows(tables.read(str(path), None))
    assert [[row["caption"], row["url"]] for row in result.found] == lines
    assert len(lines) == 10_500
    assert not result.rejected


def test_other_real_tables(data: Path, rows: Callable, sink: object) -> None:
    folder = data / "tables"
    result = rows(tables.read(str(folder / "img2dataset-sample-image.parquet"), sink))
    assert [set(row["extra"]) for row in result.found] == [{"sha256hash"}] * 2
    result = rows(tables.read(str(folder / "data-juicer-images-bytes.parquet"), sink))
    raw = pq.read_table(folder / "data-juicer-images-bytes.parquet").to_pylist()
    assert [sink.bytes_of(row["image"]) for row in result.found] == [row["image_bytes"][0] for row in raw]
    assert [row["extra"] for row in result.found] == [{"images": json.dumps(row["images"])} for row in raw]
    assert sink.extensions == ["png", "jpg", "jpg"]
    result = rows(tables.read(str(folder / "data-juicer-images.jsonl"), sink))
    assert [row["error"] for row in result.rejected] == ["outside_root"] * 3
    result = rows(tables.read(str(folder / "webvid-sample.csv"), sink))
    assert result.errors() == [("", "no_columns")]
    assert "contentUrl" in result.rejected[0]["detail"]


@pytest.mark.parametrize(
    "names", [("URL", "TEXT"), ("url", "text"), ("url", "caption"), ("image_url", "alt_text"), ("Link", "Title")]
)
def test_usual_names_are_found(tmp_path: Path, rows: Callable, names: tuple[str, str]) -> None:
    path = parquet(tmp_path / "t.parquet", {names[0]: [URL.format(1)], names[1]: ["a dog"], "width": [5]})
    (row,) = rows(tables.read(path, None)).found
    assert (row["url"], row["caption"], row["extra"]) == (URL.format(1), "a dog", {"width": "5"})
    assert row["caption_kind"] == {"alt_text": "alt", "Title": "title"}.get(names[1], "caption")


def test_named_columns_win_and_missing_ones_are_said(tmp_path: Path, rows: Callable) -> None:
    columns = {"url": [URL.format(1)], "text": ["wrong"], "mine": ["right"], "about": ["near it"]}
    path = parquet(tmp_path / "t.parquet", columns)
    (row,) = rows(tables.read(path, None, caption_column="mine", context_column="about")).found
    assert (row["caption"], row["context"], row["extra"]) == ("right", "near it", {})
    result = rows(tables.read(path, None, url_column="nope"))
    assert result.errors() == [("", "missing_column")]
    assert "nope" in result.rejected[0]["detail"]
    assert "about" in result.rejected[0]["detail"]


def test_key_and_license(tmp_path: Path, rows: Callable) -> None:
    columns = {
        "url": [URL.format(n) for n in range(4)],
        "caption": ["a dog"] * 4,
        "key": ["k0", None, "k2", "k3"],
        "license": ["CC BY 4.0", None, "https://creativecommons.org/licenses/by-nc/4.0", ""],
    }
    found = rows(tables.read(parquet(tmp_path / "t.parquet", columns), None)).found
    assert [row["document"] for row in found] == ["k0", "1", "k2", "k3"]
    assert [row["license"] for row in found] == columns["license"]
    assert [row["license_group"] for row in found] == ["commercial", None, "noncommercial", "other"]


def test_every_row_is_found_or_rejected_once(tmp_path: Path, rows: Callable) -> None:
    urls = [URL.format(0), None, " ", "ftp://a/b", "//a/b.jpg", "javascript:x", " HTTPS://A.org/x ", URL.format(7)]
    columns = {
        "url": [*urls, "http://a/\0"],
        "text": ["a", "a", "a", "a", "a", "a", "a", None, "a"],
    }
    result = rows(tables.read(parquet(tmp_path / "t.parquet", columns), None))
    assert [row["identity"] for row in result.found] == [URL.format(0), "HTTPS://A.org/x"]
    assert result.errors() == [
        ("1", "no_url"), ("2", "no_url"), ("3", "bad_url"), ("4", "bad_url"), ("5", "bad_url"), ("7", "no_caption"),
        ("8", "bad_url"),
    ]  # fmt: skip


def test_lists_of_captions_give_a_pair_each(tmp_path: Path, rows: Callable, sink: object, jpeg: bytes) -> None:
    columns = {
        "image": [jpeg + bytes([n]) for n in range(4)],
        "caption": [["one", "2", "three"], [], None, ["4", None]],
    }
    result = rows(tables.read(parquet(tmp_path / "t.parquet", columns), sink))
    assert [(row["document"], row["caption"]) for row in result.found] == [("0", "one"), ("0", "three")]
    assert result.errors() == [("1", "no_caption"), ("2", "no_caption"), ("3", "no_letters")]
    assert len(sink.extensions) == 1, "an image is copied once, and only if a caption is good"


def test_image_structs_as_hugging_face_writes_them(tmp_path: Path, rows: Callable, sink: object, jpeg: bytes) -> None:
    (tmp_path / "b.jpg").write_bytes(jpeg)
    columns = {
        "image": [{"bytes": jpeg, "path": None}, {"bytes": None, "path": "b.jpg"}, {"bytes": b"", "path": None}, None],
        "text": ["a", "b", "c", "d"],
    }
    result = rows(tables.read(parquet(tmp_path / "t.parquet", columns), sink))
    identity = f"sha256:{hashlib.sha256(jpeg).hexdigest()}"
    assert [row["identity"] for row in result.found] == [identity, identity]
    assert sink.bytes_of(result.found[0]["image"]) == jpeg
    assert result.found[1]["image"] == {"uri": str(tmp_path / "b.jpg"), "offset": 0, "length": None}
    assert result.errors() == [("2", "no_image"), ("3", "no_image")]


def test_a_denied_read_is_no_fault_of_the_table(
    tmp_path: Path, rows: Callable, sink: object, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = parquet(tmp_path / "t.parquet", {"path": ["a.jpg"], "text": ["a"]})
    (tmp_path / "a.jpg").write_bytes(jpeg)
    opener, stat = fsspec.implementations.local.LocalFileOpener, os.stat

    def unless(denied: str, really: Callable, at: Callable) -> Callable:
        def call(place: object, *given: object, **named: object) -> object:
            if at(place) == denied:
                raise PermissionError(errno.EACCES, "Permission denied", denied)
            return really(place, *given, **named)

        return call

    for owner, name, really, at, denied in (
        (opener, "_open", opener._open, lambda file: file.path, path),
        (opener, "_open", opener._open, lambda file: file.path, str(tmp_path / "a.jpg")),
        (os, "stat", stat, str, str(tmp_path / "a.jpg")),  # of a folder without rights not even this is known
    ):
        with monkeypatch.context() as patch, pytest.raises(PermissionError):
            patch.setattr(owner, name, unless(denied, really, at))
            rows(tables.read(path, sink))


def test_a_url_stays_the_identity_beside_bytes(tmp_path: Path, rows: Callable, sink: object, jpeg: bytes) -> None:
    columns = {"url": [URL.format(1), None, URL.format(3)], "jpg": [jpeg, jpeg, None], "txt": ["a", "b", "c"]}
    found = rows(tables.read(parquet(tmp_path / "t.parquet", columns), sink)).found
    assert [row["identity"][:10] for row in found] == [
        "http://a.o",
        "sha256:" + found[1]["identity"][7:10],
        "http://a.o",
    ]
    assert [row["image"] is None for row in found] == [False, False, True]


def test_an_image_over_the_limit_is_not_copied(tmp_path: Path, rows: Callable, sink: object, jpeg: bytes) -> None:
    exact = jpeg + bytes((20 << 20) - len(jpeg))
    path = parquet(tmp_path / "t.parquet", {"image": [exact, exact + b"\0"], "text": ["at", "over"]})
    result = rows(tables.read(path, sink))
    assert [row["caption"] for row in result.found] == ["at"]
    assert result.errors() == [("1", "too_large")]


def test_paths_stay_inside_their_root(tmp_path: Path, rows: Callable, jpeg: bytes) -> None:
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    for file in (folder / "images/a.jpg", folder / "b c.jpg", tmp_path / "secret.jpg"):
        file.write_bytes(jpeg)
    (folder / "empty.jpg").write_bytes(b"")
    paths = [
        *("images/a.jpg", "./b c.jpg", str(folder / "b c.jpg"), f"file://{folder}/b c.jpg", "images/../b c.jpg"),
        *("../secret.jpg", str(tmp_path / "secret.jpg"), "/etc/hostname", "images/../../secret.jpg"),
        *("gone.jpg", "images", "a\0b", "", "empty.jpg"),
    ]
    table = folder / "t.jsonl"
    table.write_text("".join(json.dumps({"file_name": path, "text": "a dog"}) + "\n" for path in paths))
    result = rows(tables.read(str(table), None))
    assert [row["document"] for row in result.found] == ["0", "1", "2", "3", "4"]
    assert {row["image"]["uri"] for row in result.found} == {str(folder / "images/a.jpg"), str(folder / "b c.jpg")}
    assert [error for _, error in result.errors()] == [
        *["outside_root"] * 4, "missing_file", "missing_file", "missing_file", "no_image", "no_image",
    ]  # fmt: skip
    wider = rows(tables.read(str(table), None, image_root=str(tmp_path)))
    assert str(tmp_path / "secret.jpg") in {row["image"]["uri"] for row in wider.found}


def test_several_images_for_one_caption(tmp_path: Path, rows: Callable, sink: object, jpeg: bytes) -> None:
    path = parquet(tmp_path / "t.parquet", {"image": [[jpeg], [jpeg, jpeg], []], "text": ["a", "b", "c"]})
    result = rows(tables.read(path, sink))
    assert [row["caption"] for row in result.found] == ["a"]
    assert result.errors() == [("1", "several_images"), ("2", "no_image")]


def test_strings_that_are_not_utf8(tmp_path: Path, rows: Callable) -> None:
    raw = pa.array([b"caf\xe9", b"nul\0byte", "日本".encode()], pa.binary())
    claimed = pa.Array.from_buffers(pa.string(), 3, raw.buffers())  # as Parquet files may hold
    urls = [URL.format(n) for n in range(3)]
    for number, texts in enumerate((raw, claimed)):
        path = parquet(tmp_path / f"{number}.parquet", {"url": urls, "caption": texts})
        found = rows(tables.read(path, None)).found
        assert [row["caption"] for row in found] == ["caf\ufffd", "nulbyte", "日本"]


def test_other_columns_become_text(tmp_path: Path, rows: Callable) -> None:
    columns = {
        "url": [URL.format(0), URL.format(1)],
        "text": ["a", "b"],
        "score": pa.array([0.5, None], pa.float32()),
        "safe": [True, False],
        "tags": [["x", "y"], None],
        "where": [{"lat": 1}, {"lat": 2}],
        "kind": pa.array(["k", "k"]).dictionary_encode(),
        "nothing": pa.nulls(2),
        "vector": [b"\xff\x00", b"\xfe\x00"],
    }
    found = rows(tables.read(parquet(tmp_path / "t.parquet", columns), None)).found
    assert found[0]["extra"] == {
        "score": "0.5", "safe": "true", "tags": '["x", "y"]', "where": '{"lat": 1}', "kind": "k",
    }  # fmt: skip
    assert found[1]["extra"] == {"safe": "false", "where": '{"lat": 2}', "kind": "k"}


def test_bytes_inside_other_columns_have_no_text(tmp_path: Path, rows: Callable) -> None:
    mask = {"mask": {"bytes": b"\xff" * 999, "path": "m.png"}, "label": "dog"}
    columns = {
        "url": [URL.format(0)],
        "text": ["a"],
        "objects": [[mask, mask]],
        "deep": [{"a": [{"b": [b"\xff", "é".encode()]}]}],
        "map": pa.array([[("k", b"\xff")]], pa.map_(pa.string(), pa.binary())),
        "unmarked": pa.array([b"a text"], pa.binary()),
        "repeated": pa.array([b"\xff\xfe"], pa.binary()).dictionary_encode(),
        "digest": pa.array([b"\xff\x01"], pa.binary(2)),
    }
    (row,) = rows(tables.read(parquet(tmp_path / "t.parquet", columns), None)).found
    said = {"mask": {"bytes": None, "path": "m.png"}, "label": "dog"}
    assert row["extra"] == {
        "objects": json.dumps([said, said]), "deep": '{"a": [{"b": [null, "é"]}]}', "map": '[["k", null]]',
        "unmarked": "a text", "digest": "ff01",
    }  # fmt: skip


def test_values_that_cannot_be_written_out_are_left_out(tmp_path: Path, rows: Callable) -> None:
    far, days = pa.array([2**62, 0], pa.int64()), pa.array([2**31 - 1, 0], pa.int32()).cast(pa.date32())
    columns = {
        "url": [URL.format(0), URL.format(1)],
        "text": ["a", "b"],
        "nested": pa.StructArray.from_arrays([far.cast(pa.timestamp("us"))], ["at"]),
        "zone": far.cast(pa.timestamp("us", "Mars/Olympus")),
        "nested_zone": pa.StructArray.from_arrays([far.cast(pa.timestamp("us", "Mars/Olympus"))], ["at"]),
        "days": pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), days),
        "width": [5, 6],
    }  # fmt: skip
    found = rows(tables.read(parquet(tmp_path / "t.parquet", columns), None)).found
    assert [row["extra"] for row in found] == [
        {"width": "5"}, {"width": "6", "nested": '{"at": "1970-01-01 00:00:00"}', "days": '["1970-01-01"]'}
    ]  # fmt: skip


def test_a_long_caption_is_cut_and_its_length_kept(tmp_path: Path, rows: Callable) -> None:
    texts = ["é" * CAPTION_CHARS, "é" * (CAPTION_CHARS + 1), "a" * (CAPTION_CHARS + 5)]
    path = parquet(tmp_path / "t.parquet", {"url": [URL.format(n) for n in range(3)], "text": texts})
    found = rows(tables.read(path, None)).found
    assert [row["caption"] for row in found] == [text[:CAPTION_CHARS] for text in texts]
    assert [row["extra"] for row in found] == [{}, {"caption_cut": "4097"}, {"caption_cut": "4101"}]


def test_a_damaged_row_group_costs_itself(tmp_path: Path, rows: Callable) -> None:
    columns = {"url": [URL.format(n) for n in range(300)], "text": [f"dog {n}" for n in range(300)]}
    path = Path(parquet(tmp_path / "t.parquet", columns, row_group_size=100, compression="zstd"))
    column = pq.ParquetFile(path).metadata.row_group(1).column(1)
    start = column.dictionary_page_offset or column.data_page_offset
    raw = bytearray(path.read_bytes())
    raw[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(raw)
    result = rows(tables.read(str(path), None))
    assert {int(row["document"]) for row in result.found} == {*range(100), *range(200, 300)}
    assert result.errors() == [("", "bad_row_group")]
    assert "100 to 199" in result.rejected[0]["detail"]


def test_a_broken_file_is_one_rejected_item(tmp_path: Path, rows: Callable) -> None:
    whole = Path(parquet(tmp_path / "t.parquet", {"url": [URL.format(1)], "text": ["a"]})).read_bytes()
    for number, content in enumerate((b"", whole[: len(whole) // 2], b"not parquet at all", b"PAR1PAR1")):
        path = tmp_path / f"{number}.parquet"
        path.write_bytes(content)
        assert rows(tables.read(str(path), None)).errors() == [("", "bad_file")]
    assert rows(tables.read(str(tmp_path / "gone.parquet"), None)).errors() == [("", "bad_file")]


def test_empty_tables_give_nothing(tmp_path: Path, rows: Callable) -> None:
    path = parquet(tmp_path / "t.parquet", {"url": pa.nulls(0, pa.string()), "text": pa.nulls(0, pa.string())})
    assert rows(tables.read(path, None)) == ([], [])


def test_an_error_of_the_pool_is_not_an_error_of_the_file(tmp_path: Path, jpeg: bytes) -> None:
    class Full:
        def add(self, data: bytes, extension: str) -> dict:
            raise OSError("no space left on device")

    path = parquet(tmp_path / "t.parquet", {"image": [jpeg], "text": ["a"]})
    with pytest.raises(OSError, match="no space"):
        list(tables.read(path, Full()))


@settings(deadline=None)
@given(st.lists(st.none() | st.text(max_size=20) | st.text(min_size=4090, max_size=4100), max_size=5))
def test_columns_and_rows_agree_on_captions(texts: list[str | None]) -> None:
    stored, cut, errors = checked_captions(pa.array(texts, pa.string()))
    lengths = cut.to_pylist() if cut is not None else [None] * len(texts)
    for raw, text, length, error in zip(texts, stored.to_pylist(), lengths, errors.to_pylist()):
        try:
            assert (text, {"caption_cut": length} if length else {}) == caption_text(raw)
            assert error is None
        except BadItemError as bad:
            assert error == bad.code


@settings(deadline=None)
@given(st.lists(st.tuples(st.none() | st.text(max_size=3), st.none() | st.integers(-9, 9)), max_size=6))
def test_extra_map_holds_what_is_not_null(pairs: list[tuple]) -> None:
    columns = {"a": pa.array([a for a, _ in pairs], pa.string()), "b": as_text(pa.array([b for _, b in pairs]))}
    made = extra_map(columns, len(pairs)).to_pylist()
    wanted = [{k: str(v) for k, v in zip("ab", pair) if v is not None} for pair in pairs]
    assert [dict(row or {}) for row in made] == wanted
    assert [row is None for row in made] == [not row for row in wanted]
