"""WebDataset tars: pairing by key, pointers into the tar itself, and everything that can be wrong with one."""

import gzip
import hashlib
import io
import json
import random
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.errors import OutputError
from curation.sources import tars
from curation.sources.found import IMAGE_BYTES


def tar(members: Iterable[tuple[str, bytes]], **options: Any) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", **options) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def written(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def pointed(row: dict[str, Any]) -> bytes:
    image = row["image"]
    return Path(image["uri"]).read_bytes()[image["offset"] : image["offset"] + image["length"]]


def test_real_tars_have_images_without_captions(data: Path, rows: Callable) -> None:
    for name, keys in (
        ("clip-retrieval-image1.tar", ["123_456", "208_495", "321_421", "389_535"]),
        ("clip-retrieval-image3.tar", ["123_456", "208_495"]),
        ("nemo-00000.tar", ["000000"]),
    ):
        assert rows(tars.read(str(data / "tables" / name), None)).errors() == [(key, "no_caption") for key in keys]


def test_samples_written_by_webdataset(tmp_path: Path, rows: Callable, jpeg: bytes) -> None:
    wds = pytest.importorskip("webdataset")
    path = tmp_path / "a.tar"
    with wds.TarWriter(str(path)) as writer:
        for n in range(5):
            record = {"url": f"http://a.org/{n}.jpg", "width": 4, "license": "CC BY 4.0", "hash": None, "tags": ["x"]}
            writer.write({"__key__": f"{n:05}", "jpg": jpeg, "txt": f"dog {n}", "json": record})
    found = rows(tars.read(str(path), None)).found
    for n, row in enumerate(found):
        assert (row["document"], row["caption"], row["caption_kind"]) == (f"{n:05}", f"dog {n}", "caption")
        assert row["identity"] == row["url"] == f"http://a.org/{n}.jpg"
        assert (row["license"], row["license_group"]) == ("CC BY 4.0", "commercial")
        assert row["extra"] == {"width": "4", "tags": '["x"]'}
        assert pointed(row) == jpeg
    assert len(found) == 5


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_need_not_be_neighbours(tmp_path: Path, rows: Callable, jpeg: bytes, format: int) -> None:
    folder = "f" * 60 + "/" + "g" * 60 + "/"
    images = [(f"{folder}{n}.jpg", jpeg + bytes([n])) for n in range(4)]
    texts = [(f"{folder}{n}.txt", f"dog {n}".encode()) for n in range(4)]
    path = written(tmp_path / "a.tar", tar([*images, *reversed(texts)], format=format))
    found = rows(tars.read(path, None)).found
    assert [(row["document"], row["caption"]) for row in found] == [(f"{folder}{n}", f"dog {n}") for n in range(4)]
    for (_, image), row in zip(images, found):
        assert pointed(row) == image
        assert row["identity"] == f"sha256:{hashlib.sha256(image).hexdigest()}"


def test_keys_with_dots_pair_up(tmp_path: Path, rows: Callable, jpeg: bytes) -> None:
    members = [("a.b.jpg", jpeg), ("a.b.txt", b"one"), ("d.x/c.JPG", jpeg), ("d.x/c.Txt", b"two")]
    members += [("1.5-a.png", jpeg), ("1.5-b.png", jpeg), ("1.5-a.txt", b"three")]
    members += [("1.5-b.json", b'{"caption": "four"}')]
    found = rows(tars.read(written(tmp_path / "a.tar", tar(members)), None)).found
    assert [(row["document"], row["caption"]) for row in found] == [
        ("a.b", "one"), ("d.x/c", "two"), ("1.5-a", "three"), ("1.5-b", "four"),
    ]  # fmt: skip


def test_files_of_macos_are_no_samples(tmp_path: Path, rows: Callable, jpeg: bytes) -> None:
    members = [("0.jpg", jpeg), ("0.txt", b"a dog"), ("d/0.jpg", jpeg), ("d/0.txt", b"a dog")]
    members += [(name.replace("0.", "._0."), b"\0\x05\x16\x07 Mac OS X") for name, _ in members]
    result = rows(tars.read(written(tmp_path / "a.tar", tar(members)), None))
    assert [row["document"] for row in result.found] == ["0", "d/0"] and not result.rejected


def test_every_format_that_can_be_decoded_is_an_image(tmp_path: Path, rows: Callable, sink: Any, jpeg: bytes) -> None:
    kinds = {"gif": b"GIF89a..", "bmp": b"BM....\0\0\0\0", "tif": b"II*\0....", "tiff": b"MM\0*...."}
    members = [m for kind, data in kinds.items() for m in ((f"{kind}.{kind}", data), (f"{kind}.txt", b"a dog"))]
    members += [("both.gif", b"GIF89a"), ("both.jpg", jpeg), ("both.txt", b"a cat")]
    members += [("1.image.jpg", jpeg), ("1.caption.txt", b"no pair")]
    result = rows(tars.read(written(tmp_path / "a.tar.gz", gzip.compress(tar(members))), sink))
    assert [row["document"] for row in result.found] == ["gif", "bmp", "tif", "tiff", "both"]
    assert [sink.bytes_of(row["image"]) for row in result.found] == [*kinds.values(), jpeg]
    assert sink.extensions == ["gif", "bmp", "tif", "tif", "jpg"]
    assert sorted(result.errors()) == [("1.caption", "no_image"), ("1.image", "no_caption")]


def test_names_are_only_names(tmp_path: Path, rows: Callable, jpeg: bytes) -> None:
    before = sorted(tmp_path.rglob("*"))
    members = [("../evil.jpg", jpeg), ("../evil.txt", b"up"), ("/etc/evil.jpg", jpeg), ("/etc/evil.txt", b"root")]
    path = written(tmp_path / "a.tar", tar(members))
    found = rows(tars.read(path, None)).found
    assert [(row["document"], row["caption"]) for row in found] == [("../evil", "up"), ("/etc/evil", "root")]
    assert sorted(tmp_path.rglob("*")) == sorted([*before, Path(path)])


def test_reasons(tmp_path: Path, rows: Callable, jpeg: bytes) -> None:
    members = [
        *[("bare.jpg", jpeg), ("words.txt", b"a dog"), ("digits.jpg", jpeg), ("digits.txt", b"123")],
        *[("json.jpg", jpeg), ("json.txt", b"fine"), ("json.json", b"{nope")],
        *[("twice.jpg", jpeg), ("twice.txt", b"first"), ("twice.jpg", jpeg), ("twice.txt", b"second")],
        *[("twice.txt", b"third"), ("empty.jpg", b""), ("empty.txt", b"a dog")],
        *[("big.jpg", jpeg + bytes(IMAGE_BYTES + 1 - len(jpeg))), ("big.txt", b"a dog")],
        *[("limit.jpg", jpeg + bytes(IMAGE_BYTES - len(jpeg))), ("limit.txt", b"a dog")],
        *[("other.npy", b"x"), ("other.cls", b"7"), ("noext", b"x"), (".jpg", b"x")],
    ]
    result = rows(tars.read(written(tmp_path / "a.tar", tar(members)), None))
    assert [(row["document"], row["caption"]) for row in result.found] == [("twice", "first"), ("limit", "a dog")]
    assert sorted(result.errors()) == [
        ("bare", "no_caption"), ("big", "too_large"), ("digits", "no_letters"), ("empty", "no_image"),
        ("json", "bad_json"), ("twice", "duplicate_key"), ("twice", "duplicate_key"), ("words", "no_image"),
    ]  # fmt: skip


def test_links_and_devices_are_no_images(tmp_path: Path, rows: Callable, jpeg: bytes) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, kind in (("a.jpg", tarfile.SYMTYPE), ("b.jpg", tarfile.LNKTYPE), ("c.jpg", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/hostname"
            archive.addfile(info)
        info = tarfile.TarInfo("folder.jpg")
        info.type = tarfile.DIRTYPE
        archive.addfile(info)
    result = rows(tars.read(written(tmp_path / "a.tar", file.getvalue()), None))
    assert not result.found
    assert {("a.jpg", "not_a_file"), ("b.jpg", "not_a_file"), ("c.jpg", "not_a_file")} <= set(result.errors())


@pytest.mark.parametrize("field", ["caption", "text", "TEXT", "mine"])
def test_captions_in_json(tmp_path: Path, rows: Callable, jpeg: bytes, field: str) -> None:
    members = [("0.jpg", jpeg), ("0.json", json.dumps({field: "a dog", "n": 1}).encode())]
    members += [("1.jpg", jpeg), ("1.json", json.dumps({field: ["one", "2", "three"]}).encode())]
    members += [("2.jpg", jpeg), ("2.txt", b" "), ("2.json", json.dumps({field: "from json"}).encode("utf-8-sig"))]
    members += [("3.jpg", jpeg), ("3.txt", "marked".encode("utf-8-sig"))]
    path = written(tmp_path / "a.tar", tar(members))
    found = rows(tars.read(path, None, caption_key="mine" if field == "mine" else None)).found
    assert [(row["document"], row["caption"]) for row in found] == [
        ("0", "a dog"), ("1", "one"), ("1", "three"), ("2", "from json"), ("3", "marked"),
    ]  # fmt: skip
    assert found[0]["extra"] == {"n": "1"}


def test_text_is_kept_and_cut(tmp_path: Path, rows: Callable, jpeg: bytes) -> None:
    texts = [b" a\tdog\n", b"caf\xe9 \0x", "é".encode() * 4097, b"x" * (3 << 20)]
    members = [m for n, text in enumerate(texts) for m in ((f"{n}.jpg", jpeg), (f"{n}.txt", text))]
    found = rows(tars.read(written(tmp_path / "a.tar", tar(members)), None)).found
    assert [row["caption"] for row in found] == [" a\tdog\n", "caf\ufffd x", "é" * 4096, "x" * 4096]
    assert found[2]["extra"] == {"caption_cut": "4097"}


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_tars_joined_by_cat_are_read_on(tmp_path: Path, rows: Callable, sink: Any, jpeg: bytes, pack: Callable) -> None:
    one, two = (tar([(f"{n}.jpg", jpeg), (f"{n}.txt", b"a dog")]) for n in range(2))
    noise = b"behind the end mark, no archive".ljust(1024)
    result = rows(tars.read(written(tmp_path / "a.tar", pack(one) + pack(bytes(4096) + two + noise)), sink))
    assert [row["document"] for row in result.found] == ["0", "1"] and not result.errors()
    cut = rows(tars.read(written(tmp_path / "b.tar", pack(one + two[:300])), sink))
    assert [row["document"] for row in cut.found] == ["0"] and cut.errors() == [("", "truncated_tar")]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_packed_tars_are_copied(tmp_path: Path, rows: Callable, sink: Any, jpeg: bytes, pack: Callable) -> None:
    members = [m for n in range(3) for m in ((f"{n}.jpg", jpeg + bytes([n])), (f"{n}.txt", b"a dog"))]
    path = written(tmp_path / "a.tar.gz", pack(tar([*members, ("x.jpg", b"no caption, not copied")])))
    result = rows(tars.read(path, sink))
    assert [sink.bytes_of(row["image"]) for row in result.found] == [jpeg + bytes([n]) for n in range(3)]
    assert sink.extensions == ["jpg"] * 3


def test_a_full_temporary_folder_is_no_fault_of_the_tar(
    tmp_path: Path, no_room: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = random.Random(0).randbytes(100_000)
    for pack in (gzip.compress, zstandard.compress):
        path = written(tmp_path / "a.tar.gz", pack(tar([("0.jpg", noise), ("0.txt", b"a dog")])))
        with no_room():
            list(tars.read(path, None))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/gone"])  # as if it were full at the start
    with pytest.raises(OutputError, match="temporary files: No usable"):
        list(tars.read(path, None))


def test_a_tar_that_grows_beyond_measure(tmp_path: Path, rows: Callable, sink: Any) -> None:
    path = written(tmp_path / "a.tar.gz", gzip.compress(tar([("0.jpg", bytes(100 << 20))])))
    assert rows(tars.read(path, sink)).errors() == [("", "too_large")]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 10_239), pack=st.booleans())
def test_a_cut_tar_keeps_what_is_whole(
    tmp_path: Path, rows: Callable, sink: Any, jpeg: bytes, cut: int, pack: bool
) -> None:
    members = [m for n in range(5) for m in ((f"{n}.jpg", jpeg), (f"{n}.txt", f"dog {n}".encode()))]
    whole = tar(members)[:cut]
    result = rows(tars.read(written(tmp_path / "a.tar", gzip.compress(whole) if pack else whole), sink))
    assert ("", "truncated_tar") in result.errors()
    with tarfile.open(fileobj=io.BytesIO(tar(members))) as archive:
        ends = [info.offset_data + info.size for info in archive.getmembers()]
    complete = sum(end <= cut for end in ends[1::2])
    assert [row["caption"] for row in result.found] == [f"dog {n}" for n in range(complete)]


@pytest.mark.parametrize("content", [b"", b"no tar at all", b"\x1f\x8b", b"x" * 2000])
def test_files_that_are_no_tar(tmp_path: Path, rows: Callable, sink: Any, content: bytes) -> None:
    result = rows(tars.read(written(tmp_path / "a.tar", content), sink))
    assert [item for item, _ in result.errors()] == [""]


def test_empty_and_foreign_tars(tmp_path: Path, rows: Callable) -> None:
    assert rows(tars.read(written(tmp_path / "a.tar", tar([])), None)) == ([], [])
    assert rows(tars.read(written(tmp_path / "a.tar", tar([("a.mp4", b"x")])), None)).errors() == [("", "no_samples")]
    assert rows(tars.read(str(tmp_path / "gone.tar"), None)).errors() == [("", "bad_file")]
