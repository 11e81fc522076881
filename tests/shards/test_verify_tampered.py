"""One byte changed anywhere in a release is found, and no content makes `verify` fall over."""

import json
import random
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curation.cli import main
from curation.errors import BrokenTableError
from curation.shards import check
from curation.shards.tar import header
from curation.shards.verify import verify
from tests.shards.damage import members_of, read_mark, rewrite_table, sign, write_mark, write_members

MARK = "manifest/release.json"
TAR = "shards/00000001.tar"
TABLE = "manifest/samples/00000001.parquet"
TAMPERINGS = 1000


def listed(out: Path) -> list[str]:
    mark = read_mark(out)
    return [MARK, *(part["name"] for kind in ("tars", "samples", "shards", "subset") for part in mark[kind])]


def test_every_one_of_a_thousand_changed_bytes_is_found(make_release):
    """Each of the files in turn, a seeded place in it, any other value; the sentence names the file."""
    out = make_release(samples=6, per_shard=3)
    draw, names = random.Random(3), listed(out)
    assert len(names) == 7
    missed = []
    for number in range(TAMPERINGS):
        name = names[number % len(names)]
        data = (out / name).read_bytes()
        place, value = draw.randrange(len(data)), draw.randrange(1, 256)
        (out / name).write_bytes(data[:place] + bytes([data[place] ^ value]) + data[place + 1 :])
        if not any(fault.startswith(f"{name}: ") for fault in verify(str(out))):
            missed.append((name, place, value))
        (out / name).write_bytes(data)
    assert missed == []
    assert verify(str(out)) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "wanted JSON, found Expecting value"),
        (b"\xff\xfe{", "wanted JSON, found"),
        (b"[1, 2", "wanted JSON, found"),
        (b"[" * 200_000, "wanted JSON, found"),
        (b"[]", "wanted an object, found list"),
        (b"{}", "wanted a field schema_version of type int, found none"),
        (b'{"schema_version": "1"}', "wanted a field schema_version of type int, found str"),
        (b'{"schema_version": 1, "counts": {"kept": NaN}}', "wanted a field samples of type list, found none"),
    ],
)
def test_a_release_json_that_is_none(make_release, text, says):
    out = make_release(samples=1)
    (out / MARK).write_bytes(text)
    (fault,) = verify(str(out))
    assert fault.startswith(f"{MARK}: {says}")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"digest": "0" * 64}, "wanted digest [0-9a-f]{64}, that of its text, found 0{64}"),
        ({"counts": {"kept": "two"}}, "wanted whole numbers in counts, found"),
        ({"tars": [{"name": "shards/00000000.tar"}]}, "wanted .* at place 0 of tars, found"),
        ({"tars": ["shards/00000000.tar"]}, "wanted .* at place 0 of tars, found shards/00000000.tar"),
        ({"subset": [{"name": "subset/../../x", "bytes": 1, "rows": 1, "sha256": ""}]}, "of subset, found"),
        ({"stages": "dedup"}, "wanted a field stages of type list, found str"),
        ({"stages": 3}, "wanted a field stages of type list, found int"),
        ({"stages": ["dedup"]}, r"wanted objects in stages, found \['dedup'\]"),
        ({"schema_version": 9}, "wanted schema_version 1 at most, found 9"),
    ],
)
def test_a_release_json_with_wrong_fields(make_release, change, says):
    out = make_release(samples=1)
    mark = read_mark(out) | change
    if "digest" in change:
        (out / MARK).write_text(json.dumps(mark, indent=1) + "\n")
    else:
        write_mark(out, mark)
    (fault,) = verify(str(out))
    assert re.search(rf"^{MARK}: .*{says}", fault), fault


def test_a_release_json_without_digest_or_in_other_words(make_release):
    out = make_release(samples=1)
    mark = read_mark(out)
    text = (out / MARK).read_text()
    (out / MARK).write_text(json.dumps({k: v for k, v in mark.items() if k != "digest"}, indent=1) + "\n")
    assert verify(str(out)) == [f"{MARK}: wanted as last field the digest of what stands before it, found none"]
    (out / MARK).write_text(text + " ")
    assert verify(str(out)) == [f"{MARK}: wanted as last field the digest of what stands before it, found none"]


@pytest.mark.parametrize("name", [TAR, TABLE, "manifest/shards/00000000.parquet", "subset/0.parquet"])
@pytest.mark.parametrize("content", [b"", b"PAR1", b"\0" * 4096, b"PAR1" + b"\xff" * 100 + b"PAR1"])
def test_files_of_nonsense(make_release, name, content):
    """Also where release.json agrees with them."""
    out = make_release(samples=12, per_shard=8)
    (out / name).write_bytes(content)
    assert any(f.startswith(f"{name}: wanted") and "bytes, found" in f for f in verify(str(out)))
    sign(out, name)
    assert any(f.startswith(f"{name}: wanted") for f in verify(str(out)))


def test_a_torn_footer(make_release):
    out = make_release(samples=12, per_shard=8)
    data = (out / TABLE).read_bytes()
    (out / TABLE).write_bytes(data[:-40])
    assert any(f.startswith(f"{TABLE}: wanted {len(data)} bytes, found") for f in verify(str(out)))
    sign(out, TABLE)
    assert any(f.startswith(f"{TABLE}: wanted a Parquet table, found one that cannot") for f in verify(str(out)))


def test_a_recipe_json_edited_by_hand(make_release):
    """No reader opens such a release."""
    out = make_release(samples=2)
    (out / "recipe.json").write_text('{"pool": "elsewhere"}')
    (fault,) = verify(str(out))
    assert "recipe.json: wanted as last field the digest" in fault


def test_a_folder_in_place_of_a_file(make_release):
    out = make_release(samples=12, per_shard=8)
    (out / TAR).unlink()
    (out / TAR).mkdir()
    assert any(f.startswith(f"{TAR}: wanted ") and "cannot be read (Is a directory)" in f for f in verify(str(out)))


def test_damage_that_is_signed_never_raises(make_release):
    """Random bytes over any part of any file, release.json made to agree: a list of sentences comes back."""
    out = make_release(samples=6, per_shard=3)
    draw = random.Random(5)
    names = listed(out)[1:]
    text = (out / MARK).read_bytes()
    silent = []
    for number in range(300):
        name = names[number % len(names)]
        data = bytearray((out / name).read_bytes())
        kept = bytes(data)
        start, size = draw.randrange(len(data)), draw.choice((1, 4, 64, 1024))
        data[start : start + size] = draw.choice((draw.randbytes(size), b"\xff" * size, b"\0" * size))[
            : len(data) - start
        ]
        (out / name).write_bytes(data)
        sign(out, name)
        if not verify(str(out)) and data != kept:
            silent.append(name)
        (out / name).write_bytes(kept)
        (out / MARK).write_bytes(text)
    # manifest/shards/ holds the digests of the tars: what is signed in release.json alone shows there
    assert not [name for name in silent if name.startswith("shards/")]


def test_places_beyond_all_bounds(make_release):
    out = make_release(samples=12, per_shard=8)
    names = ("image", "text", "json")

    def change(table: pa.Table, value: int) -> pa.Table:
        places = pa.StructArray.from_arrays([pa.array([value] * len(table), pa.int64())] * 3, names)
        return table.set_column(4, "offset", places).set_column(5, "bytes", places)

    for value in (-1, 0, 2**62, -(2**63), 2**63 - 1):
        rewrite_table(out, TABLE, lambda table, value=value: change(table, value))
        assert any(f.startswith(f"{TAR}: wanted members where the manifest has them") for f in verify(str(out)))


def test_names_that_would_break_the_line(make_release):
    out = make_release(samples=12, per_shard=8)
    write_members(out / TAR, [*members_of(out / TAR), ("a\n\x1b[31mb.jpg", b"x")])
    sign(out, TAR)
    faults = verify(str(out))
    assert all(fault.isprintable() for fault in faults)
    assert any("none for a\\n\\x1b[31mb.jpg (1 in all)" in fault for fault in faults)


def test_more_members_than_are_compared_at_once(make_release, monkeypatch):
    out = make_release(samples=12, per_shard=8)
    monkeypatch.setattr(check, "MEMBERS_AT_ONCE", 5)
    assert verify(str(out)) == []
    assert check._headers([b"a.jpg", b"b" * 100], np.array([0, 8**11 - 1])).tobytes() == (
        header("a.jpg", 0) + header("b" * 100, 8**11 - 1)
    )


def test_the_command_says_each_fault_on_a_line_and_exits_with_1(make_release, capsys):
    out = make_release(samples=12, per_shard=8)
    (out / TAR).unlink()
    with pytest.raises(SystemExit) as caught:
        main(["verify", str(out)])
    printed = capsys.readouterr()
    assert caught.value.code == 1
    assert printed.err.splitlines() == verify(str(out))
    assert json.loads(printed.out)["faults"] == len(printed.err.splitlines())
    (out / MARK).write_text("{")
    with pytest.raises(SystemExit) as caught:
        main(["verify", str(out)])
    printed = capsys.readouterr()
    assert (caught.value.code, len(printed.err.splitlines())) == (1, 1)
    (out / MARK).unlink()
    with pytest.raises(BrokenTableError, match="no release at"):
        verify(str(out))


def test_progress_counts_shards(make_release, monkeypatch):
    told: list[tuple[int, int]] = []
    compared = []
    monkeypatch.setattr("curation.shards.verify._uid_faults", lambda *given: compared.append(given) or [])
    verify(str(make_release(samples=20, per_shard=8)), lambda done, shards: told.append((done, shards)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert compared[0][0].type == pa.large_string()  # of 67 million uids a string array is full
