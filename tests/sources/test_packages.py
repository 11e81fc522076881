"""Packages of files read by name: honest ones of every form, and every hostile one at its limit."""

import gzip
import io
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
import zstandard

from curation.errors import BadItemError
from curation.sources.packages import LIMITS, Limits, Package, is_archive, open_nested, open_package, safe_name
from curation.sources.packing import UNPACKED_BYTES
from tests.sources.archives import many_in_tar, many_in_zip, overlapping, tar, zipped

FILES = {"a/one.xml": b"<article/>", "a/pic.jpg": b"\xff\xd8\xff" + bytes(3000), "empty": b""}


def errors(path: Path, limits: Limits = LIMITS) -> list[tuple[str, str]]:
    with open_package(str(path), limits) as package:
        return [(reject.item, reject.error) for reject in package.rejects]


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str, bytes], Path]:
    def put(name: str, data: bytes) -> Path:
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return put


FORMS = {
    "p.tar": lambda: tar(FILES),
    "p.tar.gz": lambda: tar(FILES, "w:gz"),
    "p.tar.zst": lambda: zstandard.compress(tar(FILES)),
    "p.zip": lambda: zipped(FILES),
    "stored.zip": lambda: zipped(FILES, zipfile.ZIP_STORED),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_members(put: Callable, name: str) -> None:
    with open_package(str(put(name, FORMS[name]()))) as package:
        assert package.members == {name: len(data) for name, data in FILES.items()}
        assert {name: package.read(name, 4000) for name in package.members} == FILES
        assert package.head("a/pic.jpg", 3) == b"\xff\xd8\xff"
        assert package.rejects == []


def test_a_folder_and_what_it_holds(tmp_path: Path) -> None:
    for name, data in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    with open_package(str(tmp_path)) as package:
        assert {name: package.read(name, 4000) for name in package.members} == FILES
        assert list(package.members) == sorted(FILES)
        pointer = package.pointer("a/pic.jpg")
    assert pointer == {"uri": str(tmp_path / "a/pic.jpg"), "offset": 0, "length": None}


def test_a_plain_tar_gives_byte_ranges_and_a_packed_one_none(put: Callable) -> None:
    path = put("p.tar", tar(FILES))
    with open_package(str(path)) as package:
        place = package.pointer("a/pic.jpg")
    assert path.read_bytes()[place["offset"] :][: place["length"]] == FILES["a/pic.jpg"]
    for name in ("p.tar.gz", "p.zip"):
        with open_package(str(put(name, FORMS[name]()))) as package:
            assert package.pointer("a/pic.jpg") is None


@pytest.mark.parametrize(
    ("name", "data", "member"),
    [
        ("x.nxml", b"<article/>", "x.nxml"),
        ("x.nxml.gz", gzip.compress(b"<article/>", mtime=0), "x.nxml"),
        ("2101.00001.gz", gzip.compress(b"<article/>", mtime=0), "2101.00001"),
    ],
)
def test_a_single_file_is_a_package_of_one(put: Callable, name: str, data: bytes, member: str) -> None:
    with open_package(str(put(name, data))) as package:
        assert package.members == {member: 10}
        assert package.read(member, 10) == b"<article/>"


def test_other_file_systems() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe({f"/packages/{name}": data() for name, data in FORMS.items()})
    for name in ("p.tar", "p.tar.gz", "p.zip"):
        with open_package(f"memory://packages/{name}") as package:
            assert {name: package.read(name, 4000) for name in package.members} == FILES
    memory.rm("/packages", recursive=True)


def test_what_was_cut_keeps_what_came_before(put: Callable) -> None:
    whole = tar({f"{n}.txt": os.urandom(2000) for n in range(20)})
    for name, data in (("cut.tar", whole[: len(whole) // 2 + 1000]), ("cut.tar.gz", gzip.compress(whole)[:-20_000])):
        with open_package(str(put(name, data))) as package:
            assert 5 < len(package.members) < 20
            assert (package.rejects[-1].item, package.rejects[-1].error) == ("", "truncated_tar")
            assert package.rejects[-2].error == "truncated_member"
            assert all(len(package.read(name, 2000)) == 2000 for name in package.members)


HOSTILE = ["/etc/passwd", "../../evil.xml", "a/../../evil.xml", "C:\\evil.xml", "..\\evil.xml", "x" * 2000]


@pytest.mark.parametrize("form", ["tar", "tar.gz", "zip"])
def test_names_that_lead_elsewhere_are_no_members(put: Callable, form: str, tmp_path: Path) -> None:
    files = dict.fromkeys(HOSTILE, b"evil") | {"good.xml": b"good"}
    data = {"tar": lambda: tar(files), "tar.gz": lambda: tar(files, "w:gz"), "zip": lambda: zipped(files)}[form]()
    path = put(f"p.{form}", data)
    before = sorted(tmp_path.rglob("*"))
    with open_package(str(path)) as package:
        assert list(package.members) == ["good.xml"]
        assert [(r.item, r.error) for r in package.rejects] == [(name[:200], "bad_name") for name in HOSTILE]
    assert sorted(tmp_path.rglob("*")) == before


def test_links_and_devices_of_a_tar_are_told(put: Callable) -> None:
    kinds = {
        "link": tarfile.SYMTYPE,
        "hard": tarfile.LNKTYPE,
        "character": tarfile.CHRTYPE,
        "block": tarfile.BLKTYPE,
        "pipe": tarfile.FIFOTYPE,
    }
    wanted = [(name, "not_a_file") for name in kinds]
    path = put("p.tar", tar({"x": b"1"}, kinds=kinds | {"folder": tarfile.DIRTYPE}))
    assert errors(path) == wanted
    with open_package(str(path)) as package:
        assert list(package.members) == ["x"]


def test_links_of_a_zip_are_told(put: Callable) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, mode in (("link", 0o120777), ("device", 0o020666), ("set-uid.xml", 0o104755)):
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, "/etc/passwd")
    path = put("p.zip", file.getvalue())
    assert errors(path) == [("link", "not_a_file"), ("device", "not_a_file")]


def test_links_of_a_folder_are_told(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/link.jpg").symlink_to("/etc/passwd")
    (tmp_path / "in/loop").symlink_to(tmp_path / "in")
    os.mkfifo(tmp_path / "in/pipe")
    with open_package(str(tmp_path / "in")) as package:
        assert package.members == {}
        assert [r.error for r in package.rejects] == ["not_a_file"] * 3


def test_a_name_comes_once(put: Callable) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in (("a", b"1"), ("./a", b"22"), ("A", b"333")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    path = put("p.tar", file.getvalue())
    assert errors(path) == [("a", "duplicate_member")]
    with open_package(str(path)) as package:
        assert package.members == {"a": 1, "A": 3}


@pytest.mark.parametrize("form", ["tar", "tar.gz", "zip", "folder"])
def test_members_are_counted_to_the_limit(put: Callable, form: str, tmp_path: Path) -> None:
    def package(count: int) -> Path:
        files = {f"{n}": b"" for n in range(count)}
        if form != "folder":
            return put(
                f"{count}.{form}", zipped(files) if form == "zip" else tar(files, "w:gz" if "gz" in form else "w")
            )
        for name in files:
            (tmp_path / str(count)).mkdir(exist_ok=True)
            (tmp_path / str(count) / name).touch()
        return tmp_path / str(count)

    limits = Limits(members=10)
    assert errors(package(10), limits) == []
    assert errors(package(11), limits) == [("", "too_many_members")]
    with open_package(str(tmp_path / "11" if form == "folder" else tmp_path / f"11.{form}"), limits) as opened:
        assert len(opened.members) == 10


OPEN = """
import sys
from curation.errors import BadItemError
from curation.sources.packages import open_package
start()
try:
    with open_package(sys.argv[1]) as package:
        print(len(package.members), package.rejects[-1].error)
except BadItemError as error:
    print(error.code)
"""


@pytest.mark.parametrize("form", ["tar", "tar.gz", "zip", "links.tar"])
def test_a_hundred_thousand_empty_members_cost_little(put: Callable, bounded: Callable, form: str) -> None:
    data = many_in_zip(100_000) if form == "zip" else many_in_tar(100_000, b"2" if form == "links.tar" else b"0")
    path = put(f"p.{form}", gzip.compress(data, 1) if form == "tar.gz" else data)
    opened = bounded(OPEN, str(path))
    assert opened.lines == [f"{0 if form == 'links.tar' else 10_000} too_many_members"]
    assert opened.cpu_s < 20  # some ten times what it takes
    assert opened.more_mb < 200


@pytest.mark.parametrize("kind", ["names", "global headers"])
def test_long_headers_are_not_kept(tmp_path: Path, bounded: Callable, kind: str) -> None:
    """Names and global headers of a megabyte each: what is remembered of them is little."""
    with (tmp_path / "p.tar").open("wb") as file:
        for n in range(150):
            name = f"{n}".rjust(6, "0") + "n" * 1_000_000
            info = tarfile.TarInfo(name if kind == "names" else f"{n}")
            if kind == "names":
                file.write(info.tobuf(tarfile.PAX_FORMAT))
            else:
                file.write(tarfile.TarInfo.create_pax_global_header({name[:900_000]: "x"}))
        file.write(tar({"last": b""}, kinds={"link": tarfile.SYMTYPE}))
    opened = bounded(OPEN, str(tmp_path / "p.tar"))
    assert opened.lines == ["1 not_a_file"]
    assert opened.more_mb < 40


def test_a_directory_of_a_million_members_is_not_loaded(put: Callable) -> None:
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 1_000_000 * 47, 100, 0)
    with (
        pytest.raises(BadItemError, match="too_many_members"),
        open_package(str(put("p.zip", b"PK\x03\x04" + bytes(200) + end))),
    ):
        pass
    end_64 = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, 1_000_000 * 47, 100)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, 204, 1)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    data = b"PK\x03\x04" + bytes(200) + end_64 + locator + end
    with pytest.raises(BadItemError, match="too_many_members"), open_package(str(put("p.zip", data))):
        pass


def test_a_packed_tar_unpacks_to_the_limit(put: Callable) -> None:
    def bomb(size: int) -> Path:
        data = tar({"x": bytes(size)})
        return put("p.tar.gz", gzip.compress(data)), len(data)

    path, size = bomb(1 << 20)
    assert errors(path, Limits(unpacked=size)) == []
    with pytest.raises(BadItemError, match="too_large"):
        errors(path, Limits(unpacked=size - 1))


def test_a_gzip_bomb_stops_early(put: Callable, bounded: Callable) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(tar({"x": b""})[:512])]
    parts += [packer.compress(bytes(1 << 20)) for _ in range(300)] + [packer.flush()]
    opened = bounded(OPEN, str(put("p.tar.gz", b"".join(parts))))
    assert opened.lines == ["too_large"]
    assert opened.more_mb < 30


def test_a_member_that_lies_about_its_size_is_not_believed(put: Callable) -> None:
    data = bytearray(zipped({"x.xml": bytes(1 << 20)}))
    place = data.rindex(b"PK\x01\x02")
    data[place + 24 : place + 28] = struct.pack("<I", 100)  # in the directory: its unpacked size
    with open_package(str(put("p.zip", bytes(data)))) as package, pytest.raises(BadItemError, match="corrupt_member"):
        package.read("x.xml", 1000)


def test_a_zip_unpacks_to_the_limit_in_all(put: Callable) -> None:
    path = put("p.zip", zipped({f"{n}": bytes(1 << 20) for n in range(4)}))
    limits = Limits(unpacked=3 << 20)
    with open_package(str(path), limits) as package:
        assert [len(package.read(f"{n}", 1 << 20)) for n in range(3)] == [1 << 20] * 3
        with pytest.raises(BadItemError, match="too_large"):
            package.read("3", 1 << 20)


def test_the_ratio_bounds_a_zip(put: Callable) -> None:
    path = put("p.zip", zipped({"x": bytes(UNPACKED_BYTES + (16 << 20))}))
    with open_package(str(path)) as package, pytest.raises(BadItemError, match="unpacks to more than"):
        package.read("x", 1 << 30)


def test_a_member_is_read_to_its_limit(put: Callable) -> None:
    for name in ("p.tar", "p.tar.gz", "p.zip"):
        with open_package(str(put(name, FORMS[name]()))) as package:
            assert len(package.read("a/pic.jpg", 3003)) == 3003
            with pytest.raises(BadItemError, match="too_large"):
                package.read("a/pic.jpg", 3002)


def test_overlapping_members_are_refused(put: Callable) -> None:
    assert errors(put("p.zip", overlapping(5))) == [(f"{n}", "overlapping") for n in range(5)]
    assert errors(put("q.zip", zipped({f"{n}": b"x" for n in range(5)}))) == []


def test_encrypted_members_are_refused(put: Callable) -> None:
    data = bytearray(zipped({"secret.xml": b"x", "open.xml": b"y"}))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + at] |= 1
    path = put("p.zip", bytes(data))
    assert errors(path) == [("secret.xml", "encrypted")]
    with open_package(str(path)) as package:
        assert package.read("open.xml", 1) == b"y"


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_members_that_unpack_without_bound_are_refused(put: Callable, method: int) -> None:
    assert errors(put("p.zip", zipped({"x": b"x"}, method))) == [("x", "not_supported")]


@pytest.mark.parametrize("data", [b"PK\x03\x04", b"PK\x05\x06" + bytes(10), b"PK\x03\x04" + os.urandom(1000)])
def test_a_broken_zip_is_refused(put: Callable, data: bytes) -> None:
    with pytest.raises(BadItemError, match="bad_zip"), open_package(str(put("p.zip", data))):
        pass


def test_damaged_packages_raise_nothing_else(put: Callable) -> None:
    """Single bytes changed all over: whatever happens is told by BadItemError or a reject."""
    for name in ("p.tar", "p.tar.gz", "p.zip"):
        whole = FORMS[name]()
        for place in range(0, min(len(whole), 2048), 7):
            data = bytearray(whole)
            data[place] ^= 0x55
            path = put(name, bytes(data))
            try:
                with open_package(str(path)) as package:
                    for member in package.members:
                        package.read(member, 1 << 20)
            except BadItemError:
                pass


def refused(package: Package, name: str) -> str | None:
    """Why a member cannot be opened as a package."""
    try:
        with open_nested(package, name):
            return None
    except BadItemError as error:
        return error.code


def test_packages_inside_packages_are_opened_to_the_limit(put: Callable) -> None:
    inner = tar(FILES, "w:gz")
    path = put("p.tar", tar({"one.tar.gz": inner, "two.zip": zipped({"three.tar.gz": inner})}))
    with open_package(str(path)) as package:
        with open_nested(package, "one.tar.gz") as nested:
            assert {name: nested.read(name, 4000) for name in nested.members} == FILES
            assert nested.pointer("a/pic.jpg") is None
        with open_nested(package, "two.zip") as nested:
            assert refused(nested, "three.tar.gz") == "nested_archive"
        limits = Limits(nesting=2)
        with open_nested(package, "two.zip", limits) as nested, open_nested(nested, "three.tar.gz", limits) as third:
            assert list(third.members) == list(FILES)


def test_a_zip_of_zips_is_read_one_level_deep(put: Callable) -> None:
    """As 42.zip: each level holds archives of the level below; the lowest would unpack to more than any disk."""
    data = zipped({"0": bytes(1 << 20)})
    for _ in range(5):
        data = zipped({f"{n}.zip": data for n in range(16)})
    with open_package(str(put("42.zip", data))) as package, open_nested(package, "0.zip") as nested:
        assert refused(nested, "0.zip") == "nested_archive"


def test_nothing_is_opened_outside(put: Callable) -> None:
    """Only the package itself, and temporary files without a name, are opened."""
    import sys

    opened: list[str] = []
    sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
    files = dict.fromkeys(HOSTILE, b"evil") | FILES
    for name, data in (("p.tar.gz", tar(files, "w:gz")), ("p.zip", zipped(files))):
        path = put(name, data)
        opened.clear()
        with open_package(str(path)) as package:
            for member in package.members:
                package.read(member, 1 << 20)
        assert all(o == str(path) or o.startswith(("/tmp", os.environ.get("TMPDIR", "/tmp"))) for o in opened), opened


@pytest.mark.parametrize("name", ["/a", "a/../b", "..", "", "/", "C:x", "a\0b", "\\\\server\\x"])
def test_unsafe_names(name: str) -> None:
    with pytest.raises(BadItemError, match="bad_name"):
        safe_name(name)


def test_archives_are_told_by_name() -> None:
    assert [is_archive(n) for n in ("a.zip", "A.TGZ", "b.tar.zst", "x.xml", "zip")] == [True, True, True, False, False]
