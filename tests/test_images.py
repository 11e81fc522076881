"""Pointers -> bytes -> batches: in order, bounded, one bad item at a time."""

import builtins
import errno
import io
import pathlib
import tarfile
from collections.abc import Iterator

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from curation.errors import BadItemError
from curation.images import ImageBatch, ahead, batches, decode, decode_small, read_pointers, threads


def saved(width: int, height: int, kind: str = "JPEG", colour: str = "teal") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, kind)
    return file.getvalue()


def pointer(uri: object, offset: int | None = None, length: int | None = None) -> dict:
    return {"uri": str(uri), "offset": offset, "length": length}


def outcome(item: bytes | BadItemError) -> bytes | str:
    return item.code if isinstance(item, BadItemError) else item


@pytest.fixture
def shard(tmp_path: pathlib.Path) -> tuple[pathlib.Path, list[dict], list[bytes]]:
    """A tar in a folder with a space and an umlaut, the pointers to its members, and their bytes."""
    path = tmp_path / "ein Ürdner" / "0.tar"
    path.parent.mkdir()
    members = [saved(10 + i, 10) for i in range(5)]
    with tarfile.open(path, "w") as tar:
        for i, data in enumerate(members):
            info = tarfile.TarInfo(f"{i}.jpg")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    with tarfile.open(path) as tar:
        return path, [pointer(path, m.offset_data, m.size) for m in tar], members


def test_ranges_of_a_tar_are_read_whole_and_the_file_is_opened_once(
    shard: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, pointers, members = shard
    opened = []
    monkeypatch.setattr(builtins, "open", lambda *a, _open=open, **k: opened.append(a[0]) or _open(*a, **k))
    assert list(read_pointers(pointers)) == members
    assert opened.count(str(path)) == 1


def test_file_uris_and_other_file_systems_are_read(shard: tuple) -> None:
    path, pointers, members = shard
    with fsspec.open("memory://pool/0.tar", "wb") as file:
        file.write(path.read_bytes())
    for uri in (f"file:{path}", f"file://{path}", "memory://pool/0.tar"):
        assert list(read_pointers([p | {"uri": uri} for p in pointers])) == members


def test_each_fault_costs_one_item(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    (tmp_path / "b").write_bytes(b"xyz")
    cases = [
        (pointer(tmp_path / "a"), b"0123456789"),
        (pointer(tmp_path / "a", 2), b"23456789"),
        (pointer(tmp_path / "a", None, 3), b"012"),
        (pointer(tmp_path / "a", 2, 0), b""),
        (pointer(tmp_path / "a", 8, 3), "truncated_file"),
        (pointer(tmp_path / "a", 99, 1), "truncated_file"),
        (pointer(tmp_path / "a", 0, 11), "too_large"),
        (pointer(tmp_path / "a", -1, 3), "no_image"),
        (pointer(tmp_path / "a", 0, -3), "no_image"),
        (None, "no_image"),
        ({"uri": None, "offset": 0, "length": 1}, "no_image"),
        (pointer(tmp_path / "missing", 0, 1), "missing_file"),
        (pointer(tmp_path, 0, 1), "missing_file"),
        (pointer(tmp_path / "a" / "b"), "missing_file"),
        (pointer(tmp_path / ("n" * 300)), "missing_file"),
        (pointer(tmp_path / "a\0b"), "missing_file"),
        (pointer("nosuchscheme://x"), "missing_file"),
        (pointer("memory://nothing/here"), "missing_file"),
        (pointer(tmp_path / "b", 1), b"yz"),
    ]
    found = [outcome(item) for item in read_pointers([p for p, _ in cases], limit_bytes=10)]
    assert found == [expected for _, expected in cases]


@pytest.mark.parametrize("folder", ["", "memory:/"])
def test_a_denied_read_is_no_fault_of_the_picture(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, folder
) -> None:
    for number in (errno.EACCES, errno.EINVAL):  # so s3fs tells of tokens: those that ended, and those it cannot read

        def denied(*_: object, number: int = number, **__: object) -> None:
            raise OSError(number, "Access Denied")

        monkeypatch.setattr(builtins, "open", denied)
        monkeypatch.setattr(MemoryFileSystem, "cat_file", denied)
        with pytest.raises(OSError, match="Access Denied"):
            list(read_pointers([pointer(f"{folder}{tmp_path}/a")]))


def test_whole_file_limit_is_inclusive(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    assert [outcome(i) for i in read_pointers([pointer(tmp_path / "a")], 10)] == [b"0123456789"]
    assert [outcome(i) for i in read_pointers([pointer(tmp_path / "a")], 9)] == ["too_large"]


def test_a_batch_decodes_each_picture_once() -> None:
    batch = ImageBatch([saved(2000, 1000), saved(30, 20), saved(30, 20, "PNG"), b"junk", None])
    assert batch.decodes == 0
    small = batch.pixels_small
    assert batch.decodes == 3
    assert batch.pixels_small is small
    assert batch.decodes == 3
    full = batch.pixels
    assert batch.decodes == 4  # only the first has two sizes
    assert full[1] is small[1] and full[2] is small[2]
    assert [None if p is None else p.shape for p in small] == [(500, 1000, 3), (20, 30, 3), (20, 30, 3), None, None]
    assert full[0].shape == (1000, 2000, 3)


def test_full_size_first_is_the_same() -> None:
    items = [saved(2000, 1000), saved(30, 20), saved(30, 20, "PNG")]
    batch = ImageBatch(items)
    for i, item in enumerate(items):
        assert (batch.pixels[i] == decode(item)).all()
        assert (batch.pixels_small[i] == decode_small(item)).all()
    assert batch.decodes == 4


def test_errors_say_what_failed_first() -> None:
    cut = saved(300, 300)[:400]
    batch = ImageBatch([saved(5, 5), b"<html>", cut, BadItemError("missing_file", "x"), None])
    assert batch.errors[1].startswith("not_an_image: ")
    assert batch.errors[3:] == ["missing_file: x", "no_image"]
    assert batch.header(0).width == 5
    assert batch.header(1) is None
    assert [p is None for p in batch.pixels] == [False, True, True, True, True]
    assert [e and e.split(":")[0] for e in batch.errors] == [
        None,
        "not_an_image",
        "decode_error",
        "missing_file",
        "no_image",
    ]
    before, decodes = list(batch.errors), batch.decodes
    assert batch.pixels_small[2] is None
    assert (batch.errors, batch.decodes) == (before, decodes)  # a failure is not tried again
    assert batch.encoded[1] == b"<html>" and batch.encoded[3] is None


@pytest.mark.parametrize("count", ["1", "4"])
def test_threads_change_nothing(count: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURATION_THREADS", count)
    assert threads() == int(count)
    items = [saved(900 + i, 1000) for i in range(9)] + [b"junk"]
    found = ImageBatch(items).pixels_small
    assert all((a == decode_small(b)).all() for a, b in zip(found[:9], items)) and found[9] is None


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """Pictures of 100, 400 and 2,500 px, a text file, and nothing."""
    folder = tmp_path_factory.mktemp("pool")
    files = {"a": saved(10, 10), "b": saved(20, 20), "c": saved(50, 50), "d": b"text"}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [*(pointer(folder / name) for name in files), pointer(folder / "missing"), None]


@settings(deadline=None, derandomize=True)
@given(
    choice=st.lists(st.integers(0, 5), max_size=30),
    max_images=st.integers(1, 8),
    max_pixels=st.integers(1, 6000),
    max_bytes=st.integers(1, 6000),
)
def test_batches_cover_everything_once_within_their_bounds(
    pool: list[dict], choice: list[int], max_images: int, max_pixels: int, max_bytes: int
) -> None:
    pointers = [pool[i] for i in choice]
    expected = [outcome(item) for item in read_pointers(pointers)]
    at = 0
    for rows, batch in batches(pointers, max_images=max_images, max_pixels=max_pixels, max_bytes=max_bytes):
        assert rows == slice(at, at + len(batch)) and len(batch)
        at = rows.stop
        assert [e if e is not None else batch.errors[i].split(":")[0] for i, e in enumerate(batch.encoded)] == expected[
            rows
        ]
        sizes = [batch.header(i) for i in range(len(batch))]
        pixels = sum(s.width * s.height for s in sizes if s)
        assert len(batch) <= max_images
        assert len(batch) == 1 or pixels <= max_pixels
        assert len(batch) == 1 or sum(map(len, filter(None, batch.encoded))) <= max_bytes
    assert at == len(pointers)


def test_small_pictures_fill_a_batch(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").write_bytes(saved(2000, 1000))
    pointers = [pointer(tmp_path / "a")] * 8
    assert [len(b) for _, b in batches(pointers, max_pixels=2_000_000)] == [1] * 8
    assert [len(b) for _, b in batches(pointers, max_pixels=2_000_000, decoded=["pixels_small"])] == [4, 4]


def test_an_empty_batch_is_empty() -> None:
    batch = ImageBatch([])
    assert (batch.pixels, batch.pixels_small, batch.errors, len(batch)) == ([], [], [], 0)
    assert list(batches([])) == []


def test_pixels_are_arrays_of_rgb_bytes() -> None:
    (pixels,) = ImageBatch([saved(3, 2, "PNG", "red")]).pixels
    assert pixels.tolist() == [[[255, 0, 0]] * 3] * 2 and pixels.dtype == np.uint8


def test_large_jpegs_are_bounded_and_share_what_they_can() -> None:
    items = [saved(2600, 1700), saved(1000, 950), saved(2600, 1700, "PNG")]
    batch = ImageBatch(items)
    assert [p.shape[:2] for p in batch.pixels_bounded] == [(850, 1300), (950, 1000), (1700, 2600)]
    assert [p.shape[:2] for p in batch.pixels_small] == [(850, 1300), (475, 500), (1700, 2600)]
    assert batch.pixels_small[0] is batch.pixels_bounded[0] and batch.pixels_small[2] is batch.pixels_bounded[2]
    assert batch.decodes == 4
    assert (batch.pixels_bounded[1] == decode(items[1])).all() and batch.pixels[1] is batch.pixels_bounded[1]


def test_a_batch_cut_short_holds_a_multiple_of_16(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").write_bytes(saved(100, 100))
    pointers = [pointer(tmp_path / "a")] * 100
    assert [len(b) for _, b in batches(pointers, max_pixels=400_000)] == [32, 32, 36]
    assert [len(b) for _, b in batches(pointers, max_pixels=100_000)] == [10] * 10
    assert [len(b) for _, b in batches(pointers)] == [64, 36]


@pytest.mark.parametrize("count", ["1", "3"])
def test_what_comes_next_is_made_ahead(count: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURATION_THREADS", count)
    made: list[int] = []

    def items() -> Iterator[int]:
        for i in range(5):
            made.append(i)
            yield i
        raise BadItemError("last")

    found = []
    coming = ahead(items())
    with pytest.raises(BadItemError, match="last"):
        for item in coming:
            found.append(item)
            assert len(made) <= item + 2  # never more than one beyond the one in use
    assert found == made == [0, 1, 2, 3, 4]
