"""The header walk against tarfile on archives of every dialect, and on archives cut or altered at any byte."""

import gzip
import io
import tarfile
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import BadItemError
from curation.shards.tar import Sample, read_members, write_shard
from curation.shards.walk import Member

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
LONG = "folder/" * 30 + "name.jpg"


def archive(form: int, files: dict[str, bytes], others: dict[str, bytes] | None = None, **options) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form, **options) as tar:
        for name, kind in (others or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "somewhere/" * 20 if form != tarfile.USTAR_FORMAT else "somewhere"
            tar.addfile(info)
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1.5 if form == tarfile.PAX_FORMAT else 1
            info.uname = "owner"
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def contents(data: bytes) -> dict[str, bytes]:
    return {m.name: data[m.offset : m.offset + m.bytes] for m in read_members(data)}


def shard(samples: int = 3) -> bytes:
    file = io.BytesIO()
    write_shard(file, [Sample(f"{n:032x}", "jpg", bytes([n]) * (400 + n * 300), "a dog", {}) for n in range(samples)])
    return file.getvalue()


@pytest.mark.parametrize("form", FORMATS)
def test_reads_what_tarfile_wrote_in_each_dialect(form):
    long = "p" * 90 + "/" + "n" * 90 if form == tarfile.USTAR_FORMAT else LONG
    files = {"a.jpg": b"x" * 513, long: b"y", "é ü.txt": b"", "./b.txt": b"z" * 512, "/etc/passwd": b"q", "../up": b"u"}
    assert contents(archive(form, files)) == files


def test_other_types_are_skipped_and_told():
    kinds = {
        "link": (tarfile.SYMTYPE, "symbolic_link"),
        "hard": (tarfile.LNKTYPE, "hard_link"),
        "folder": (tarfile.DIRTYPE, "directory"),
        "pipe": (tarfile.FIFOTYPE, "fifo"),
        "tty": (tarfile.CHRTYPE, "character_device"),
        "disk": (tarfile.BLKTYPE, "block_device"),
    }
    data = archive(tarfile.GNU_FORMAT, {"a": b"1"}, {name: kind for name, (kind, _) in kinds.items()})
    skipped: list[Member] = []
    assert [m.name for m in read_members(data, skipped)] == ["a"]
    assert {m.name.rstrip("/"): m.kind for m in skipped} == {name: told for name, (_, told) in kinds.items()}


def test_pax_size_and_global_headers():
    data = archive(tarfile.PAX_FORMAT, {"a": b"123"}, pax_headers={"comment": "all of it"})
    assert contents(data) == {"a": b"123"}
    info = tarfile.TarInfo("big")
    info.size = 1 << 33  # needs pax or base 256
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        members = read_members(io.BytesIO(info.tobuf(form)))
        assert next(members).bytes == 1 << 33
        with pytest.raises(BadItemError, match="truncated_tar"):
            next(members)


def test_a_global_header_holds_for_its_own_archive_of_those_that_are_joined():
    data = archive(tarfile.PAX_FORMAT, {"a": b"1"}, pax_headers={"path": "all"})
    file = io.BytesIO(data + archive(tarfile.USTAR_FORMAT, {"b": b"2"}))
    places: list[int] = []
    file.seek = lambda place: places.append(place) or io.BytesIO.seek(file, place)
    assert [m.name for m in read_members(file)] == ["all", "b"]
    assert places == sorted(set(places))  # a packed file goes back by starting anew


def test_sparse_members_are_skipped():
    info = tarfile.TarInfo("s")
    info.size, info.pax_headers = 512, {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
    data = info.tobuf(tarfile.PAX_FORMAT) + bytes(512) + archive(tarfile.PAX_FORMAT, {"a": b"1"})
    skipped: list[Member] = []
    assert [m.name for m in read_members(data, skipped)] == ["a"]
    assert [m.kind for m in skipped] == ["sparse_file"]


def test_reads_open_files_gzip_files_and_memory_alike(tmp_path):
    data = shard()
    (tmp_path / "a.tar").write_bytes(data)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(data))
    wanted = list(read_members(data))
    with open(tmp_path / "a.tar", "rb") as plain, gzip.open(tmp_path / "a.tar.gz") as packed:
        assert list(read_members(plain)) == list(read_members(packed)) == wanted
    assert len(wanted) == 9


def test_a_cut_at_any_byte_is_told_and_what_stands_before_it_is_given():
    data = shard()
    wanted = list(read_members(data))
    end = wanted[-1].offset + 512  # where the end mark starts
    for cut in [*range(0, end, 64), *(m.offset - 512 for m in wanted), end, end + 511]:
        found = []
        with pytest.raises(BadItemError) as error:
            found.extend(m for m in read_members(data[:cut]))  # extend keeps what came before the fault
        assert error.value.code == "truncated_tar", cut
        got = []
        try:
            for member in read_members(data[:cut]):
                got.append(member)
        except BadItemError:
            pass
        assert got == [m for m in wanted if m.offset + m.bytes <= cut], cut
    assert list(read_members(data[: end + 512])) == wanted


def test_a_file_cut_inside_its_last_member_is_told():
    data = shard()
    last = list(read_members(data))[-3]
    with pytest.raises(BadItemError, match="truncated_tar"):
        list(read_members(io.BytesIO(data[: last.offset + 10])))


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 511), st.integers(1, 255))
def test_a_flipped_header_byte_is_told(place, change):
    data = bytearray(shard(1))
    data[place] ^= change
    try:
        found = [m.name for m in read_members(bytes(data))]
    except BadItemError as error:
        assert error.code in ("bad_tar", "truncated_tar")
    else:
        # Only the checksum field has spare ways to write the same number.
        assert 148 <= place < 156 and len(found) == 3


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=2000))
def test_noise_is_refused_or_empty(data):
    try:
        assert list(read_members(data)) == []
    except BadItemError as error:
        assert error.code in ("bad_tar", "truncated_tar")


@pytest.mark.parametrize("payload", [b"8 path=a\n", b"x path=a\n", b"99999 path=a\n", b"10 nothing", b"13 size=-5aa\n"])
def test_bad_pax_records_are_refused(payload):
    info = tarfile.TarInfo("h")
    info.type, info.size = tarfile.XHDTYPE, len(payload)
    data = info.tobuf(tarfile.USTAR_FORMAT) + payload.ljust(512, b"\0") + archive(tarfile.USTAR_FORMAT, {"a": b"1"})
    with pytest.raises(BadItemError, match="bad_tar"):
        list(read_members(data))


def test_many_small_pax_records_take_no_quadratic_time():
    payload = b"6 a=b\n" * 150_000
    info = tarfile.TarInfo("h")
    info.type, info.size = tarfile.XHDTYPE, len(payload)
    data = info.tobuf(tarfile.USTAR_FORMAT) + payload.ljust(-(-len(payload) // 512) * 512, b"\0")
    start = time.process_time()
    assert contents(data + archive(tarfile.USTAR_FORMAT, {"a": b"1"})) == {"a": b"1"}
    assert time.process_time() - start < 5  # quadratic copying takes minutes


def test_a_giant_extended_header_is_refused_without_reading_it():
    info = tarfile.TarInfo("h")
    info.type, info.size = tarfile.XHDTYPE, 1 << 30
    with pytest.raises(BadItemError, match="bad_tar: extended header of 1073741824 bytes"):
        list(read_members(info.tobuf(tarfile.USTAR_FORMAT) + bytes(5000)))


def test_names_longer_than_any_path_are_cut_and_told():
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        data = archive(form, {"n" * 4096: b"1", "m" * 4097: b"2", "a": b"3"})
        skipped: list[Member] = []
        assert [m.name for m in read_members(data, skipped)] == ["n" * 4096, "a"]
        assert [(m.name, m.kind) for m in skipped] == [("m" * 4096, "name_too_long")]


def test_signed_checksums_of_old_writers_pass():
    block = bytearray(archive(tarfile.USTAR_FORMAT, {"é": b""})[:512])
    total = sum(b - 256 if b > 127 else b for b in [*block[:148], *b" " * 8, *block[156:]])
    block[148:156] = b"%06o\0 " % total
    assert [m.name for m in read_members(bytes(block) + bytes(1024))] == ["é"]
