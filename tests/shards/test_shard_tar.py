"""Tars as written: byte-equal to the standard's fields, reproducible, readable by tarfile and GNU tar."""

import hashlib
import io
import json
import math
import shutil
import subprocess
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import BadItemError
from curation.shards.tar import JOIN_BYTES, Sample, header, json_member, read_members, write_shard

KEY = "0123456789abcdef0123456789abcdef"
SAMPLES = st.lists(
    st.builds(
        Sample,
        key=st.from_regex(r"[0-9A-Za-z_-]{1,64}", fullmatch=True),
        extension=st.sampled_from(["jpg", "png", "webp"]),
        image=st.binary(min_size=1, max_size=2000),
        caption=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=700).filter(str.strip),
        record=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), st.integers(0, 9)),
    ),
    max_size=8,
    unique_by=lambda sample: sample.key,
)


def written(samples: list[Sample]) -> tuple[bytes, object]:
    file = io.BytesIO()
    record = write_shard(file, samples)
    return file.getvalue(), record


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 8**11 - 1])
def test_header_is_the_one_that_tarfile_makes(size):
    info = tarfile.TarInfo(f"{KEY}.webp")
    info.size = size
    assert header(info.name, size) == info.tobuf(tarfile.USTAR_FORMAT)


@settings(deadline=None, max_examples=40)
@given(SAMPLES)
def test_round_trip(samples):
    data, record = written(samples)
    assert len(data) == record.bytes and len(data) % 10240 == 0 and data[-1024:] == bytes(1024)
    assert record.sha256 == hashlib.sha256(data).hexdigest()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        infos = tar.getmembers()
        wanted = [n for s in samples for n in (f"{s.key}.{s.extension}", f"{s.key}.txt", f"{s.key}.json")]
        assert [i.name for i in infos] == wanted
        assert {(i.mode, i.uid, i.gid, i.mtime, i.uname, i.gname, i.type) for i in infos} <= {
            (0o644, 0, 0, 0, "", "", tarfile.REGTYPE)
        }
        contents = [tar.extractfile(i).read() for i in infos]
    places = [(o[m], z[m]) for o, z in zip(record.offsets, record.sizes) for m in ("image", "text", "json")]
    assert [data[o : o + z] for o, z in places] == contents
    assert [(m.name, m.offset, m.bytes) for m in read_members(data)] == [(n, *p) for n, p in zip(wanted, places)]
    assert contents[0::3] == [s.image for s in samples]
    assert contents[1::3] == [s.caption.encode() for s in samples]
    assert [json.loads(c) for c in contents[2::3]] == [s.record for s in samples]


def test_equal_samples_give_equal_bytes_whatever_the_order_of_json_keys():
    one, _ = written([Sample(KEY, "jpg", b"x", "a dog", {"b": 1, "a": 2})])
    other, _ = written([Sample(KEY, "jpg", b"x", "a dog", {"a": 2, "b": 1})])
    assert one == other


def test_json_member_is_compact_utf8_without_nan():
    record = {"b": math.nan, "a": "é", "hash": b"\x00\xff", "n": None, "captions": [{"text": "x"}]}
    wanted = '{"a":"é","b":null,"captions":[{"text":"x"}],"hash":"00ff","n":null}'
    assert json_member(record) == wanted.encode()
    with pytest.raises(TypeError):
        json_member({"a": {1, 2}})


class Unbuffered(io.RawIOBase):
    """A file that takes at most 1,000 bytes a call, as a raw file may."""

    def __init__(self):
        self.taken = []

    def write(self, data):
        self.taken.append(bytes(data[:1000]))
        return len(self.taken[-1])


def test_large_shards_are_written_in_joined_pieces_and_short_writes_are_finished():
    samples = [Sample(f"{n:032x}", "jpg", bytes([n]) * 300_000, "a dog", {}) for n in range(40)]
    _, record = written(samples)

    class Counting(io.BytesIO):
        calls = 0

        def write(self, piece):
            self.calls += 1
            return super().write(piece)

    counting, slow = Counting(), Unbuffered()
    write_shard(counting, samples)
    assert counting.calls <= record.bytes // JOIN_BYTES + 1
    write_shard(slow, samples[:2])
    assert b"".join(slow.taken) == written(samples[:2])[0]


GOOD = Sample(KEY, "jpg", b"x", "a dog", {})


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"key": "a.b"}, "bad_key"),
        ({"key": "../../evil"}, "bad_key"),
        ({"key": ""}, "bad_key"),
        ({"key": "a" * 65}, "bad_key"),
        ({"key": "a\n"}, "bad_key"),
        ({"key": "é"}, "bad_key"),
        ({}, "duplicate_key"),
        ({"key": "b", "caption": ""}, "empty_caption"),
        ({"key": "b", "caption": " \n"}, "empty_caption"),
        ({"key": "b", "image": b""}, "empty_image"),
        ({"key": "b", "extension": "txt"}, "bad_extension"),
        ({"key": "b", "extension": "j/g"}, "bad_extension"),
    ],
)
def test_refusals(change, code):
    with pytest.raises(BadItemError) as error:
        written([GOOD, GOOD._replace(key="apart"), GOOD._replace(**change)])
    assert error.value.code == code


def test_a_key_of_64_characters_passes():
    assert written([GOOD._replace(key="a" * 64)])[1].samples == 1


@pytest.mark.parametrize(
    ("name", "size"),
    [("d/" * 60 + "x.jpg", 3), ("é.jpg", 3), ("é" * 80, 3), ("x.jpg", 8**11), ("x" * 985, 3)],
)
def test_pax_header_where_ustar_cannot_hold_name_or_size(name, size):
    head = header(name, size)
    assert len(head) > 512
    info = tarfile.TarInfo.frombuf(head[-512:], "utf-8", "strict")
    assert info.type == tarfile.REGTYPE
    with tarfile.open(fileobj=io.BytesIO(head + b"abc".ljust(512, b"\0") + bytes(1024))) as tar:
        first = tar.next()
    assert (first.name, first.size) == (name, size)


@pytest.mark.skipif(shutil.which("tar") is None, reason="no tar program")
def test_gnu_tar_lists_and_extracts(tmp_path):
    data, _ = written([GOOD, GOOD._replace(key="b", image=b"y" * 5000)])
    (tmp_path / "a.tar").write_bytes(data)
    listed = subprocess.run(["tar", "-tf", "a.tar"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert (listed.stdout.split(), listed.stderr) == (
        [f"{KEY}.jpg", f"{KEY}.txt", f"{KEY}.json", "b.jpg", "b.txt", "b.json"],
        "",
    )
    subprocess.run(["tar", "-xf", "a.tar"], cwd=tmp_path, check=True)
    assert (tmp_path / "b.jpg").read_bytes() == b"y" * 5000
