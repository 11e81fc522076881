"""Every kind of damage to a release gives a sentence that names it; a sound release gives none."""

import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from curation.errors import BrokenTableError
from curation.shards.tar import header, read_members
from curation.shards.verify import verify
from tests.shards.damage import members_of, read_mark, rewrite_table, sign, write_mark, write_members

TAR = "shards/00000001.tar"
TABLE = "manifest/samples/00000001.parquet"


def rewrite(out: Path, change: Callable[[list[tuple[str, bytes]]], list[tuple[str, bytes]]]) -> None:
    write_members(out / TAR, change(members_of(out / TAR)))
    sign(out, TAR)


def told(out: Path, *patterns: str) -> None:
    """Each pattern matches a sentence."""
    faults = verify(str(out))
    assert all("wanted" in f or "but" in f or "counts" in f or "uids" in f for f in faults), faults
    for pattern in patterns:
        assert any(re.search(pattern, fault) for fault in faults), (pattern, faults)


@pytest.fixture
def release(make_release) -> Path:
    return make_release(samples=20, per_shard=8)


def test_a_sound_release_has_no_fault(make_release):
    assert verify(str(make_release())) == []
    assert verify(f"file://{make_release(name='one', samples=1)}") == []


def test_no_release(tmp_path):
    with pytest.raises(BrokenTableError, match="no release at"):
        verify(str(tmp_path))


@pytest.mark.parametrize("signed", [False, True])
def test_a_tar_cut_inside_a_member(release, signed):
    data = (release / TAR).read_bytes()
    member = list(read_members(data))[12]
    (release / TAR).write_bytes(data[: member.offset + 5])
    if signed:
        sign(release, TAR)
    else:
        told(release, rf"{TAR}: wanted {len(data)} bytes, found {member.offset + 5}$")
    told(release, rf"{TAR}: wanted a whole archive, found truncated_tar: .*found 5", rf"{TAR}: .*none for")


@pytest.mark.parametrize("signed", [False, True])
def test_a_tar_cut_between_two_samples(release, signed):
    data = (release / TAR).read_bytes()
    member = list(read_members(data))[12]
    (release / TAR).write_bytes(data[: member.offset - 512])
    if signed:
        sign(release, TAR)
    told(release, rf"{TAR}: wanted a whole archive, found truncated_tar", rf"{TAR}: .*no \.txt for .*\(4 in all\)")


@pytest.mark.parametrize("signed", [False, True])
def test_a_tar_cut_before_its_end_mark(release, signed):
    """All members are whole: only the blocks that say so are gone."""
    data = (release / TAR).read_bytes()
    last = list(read_members(data))[-1]
    (release / TAR).write_bytes(data[: last.offset + last.bytes + -last.bytes % 512])
    if signed:
        sign(release, TAR)
    told(release, rf"{TAR}: wanted a whole archive, found truncated_tar: header or end mark at byte \d+")


def test_a_damaged_picture_is_named(release):
    data = bytearray((release / TAR).read_bytes())
    member = list(read_members(bytes(data)))[9]
    data[member.offset + member.bytes - 20] ^= 1
    (release / TAR).write_bytes(data)
    told(release, rf"{TAR}: wanted images of the manifest's sha256, found another in {member.name} \(1 in all\)")


def test_a_tar_without_its_last_padding_only(release):
    data = (release / TAR).read_bytes()
    (release / TAR).write_bytes(data[:-512])
    told(release, rf"{TAR}: wanted {len(data)} bytes, found {len(data) - 512}")


@pytest.mark.parametrize("name", [TAR, TABLE, "manifest/shards/00000000.parquet", "subset/0.parquet"])
def test_a_missing_file(release, name):
    (release / name).unlink()
    told(release, rf"{name}: wanted \d+ bytes, found no file")


@pytest.mark.parametrize(
    "name",
    [
        "shards/00000003.tar",
        "shards/old.tar",
        "shards/old.npy",
        "manifest/samples/00000003.parquet",
        "subset/1.parquet",
    ],
)
def test_an_extra_file(release, name):
    (release / name).write_bytes(b"x")
    told(release, rf"{name}: wanted only the files that manifest/release.json lists")


def test_leftovers_of_a_killed_attempt_are_no_fault(release):
    (release / "shards/00000001.tar.0123.tmp").write_bytes(b"x")
    assert verify(str(release)) == []


def test_a_missing_caption(release):
    lost = members_of(release / TAR)[4][0]
    assert lost.endswith(".txt")
    rewrite(release, lambda members: [m for m in members if m[0] != lost])
    told(release, rf"{TAR}: wanted a caption for each manifest row, found no \.txt for {lost} \(1 in all\)")


def test_another_caption(release):
    def change(members):
        return [(n, b"x" * len(d)) if i == 4 else (n, d) for i, (n, d) in enumerate(members)]

    name = members_of(release / TAR)[4][0]
    rewrite(release, change)
    assert verify(str(release)) == [
        f"{TAR}: wanted the manifest's caption in each .txt, found another in {name} (1 in all)",
        *[f for f in verify(str(release)) if f.startswith("manifest/shards")],
    ]


def test_another_uid_in_the_json(release):
    rewrite(
        release,
        lambda ms: [(n, d.replace(b'"uid":"', b'"uid":"0')) if i == 5 else (n, d) for i, (n, d) in enumerate(ms)],
    )
    told(release, rf"{TAR}: wanted the sample's uid in each \.json, found another in")


@pytest.mark.parametrize("apart", [True, False])
def test_a_duplicate_key(release, apart):
    rewrite(release, lambda ms: [*ms, *ms[:3]] if apart else [*ms[:3], *ms])
    first = members_of(release / TAR)[0][0]
    told(release, rf"{TAR}: wanted each member once, found duplicate keys {first}.*\(3 in all\)")


def test_a_row_without_a_member(release):
    rewrite(release, lambda ms: ms[:-3])
    told(release, rf"{TAR}: wanted a member for each manifest row, found none for .*\(2 in all\)", "no .txt for")


def test_a_member_without_a_row(release):
    rewrite(release, lambda ms: [*ms, ("extra.jpg", b"x"), ("extra.txt", b"a dog")])
    told(release, rf"{TAR}: wanted a manifest row for each member, found none for extra\.jpg, extra\.txt \(2 in all\)")


def test_moved_members(release):
    rewrite(release, lambda ms: [*ms[3:6], *ms[:3], *ms[6:]])
    told(release, rf"{TAR}: wanted members where the manifest has them, found elsewhere")


def test_a_member_that_is_no_file(release):
    data = (release / TAR).read_bytes()
    link = bytearray(header("link", 0))
    link[156:157] = b"2"
    link[148:156] = b"%06o\0 " % (sum(link[:148]) + 8 * 32 + sum(link[156:]))
    (release / TAR).write_bytes(bytes(link) + data)
    sign(release, TAR)
    told(release, rf"{TAR}: wanted regular files only, found other members link \(symbolic_link\)")


def test_bytes_after_the_end_mark(release):
    (release / TAR).write_bytes((release / TAR).read_bytes() + b"x" * 10240)
    told(release, rf"{TAR}: wanted \d+ bytes, found \d+")


def test_images_whose_header_does_not_decode(release):
    images = [m for m in members_of(release / TAR) if not m[0].endswith((".txt", ".json"))]
    broken = {n: d for n, d in images[:3]}
    rewrite(release, lambda ms: [(n, b"<html>" + d[6:] if n in broken else d) for n, d in ms])
    told(release, rf"{TAR}: wanted an image header that can be read in each image, found none in .*\(3 in all\)")


def test_images_of_another_size(release):
    rewrite_table(
        release,
        TABLE,
        lambda t: t.set_column(t.column_names.index("width"), "width", pc.add(t["width"], pa.scalar(1, pa.int32()))),
    )
    told(release, rf"{TAR}: wanted images of the manifest's format and size, found otherwise .*\(8 in all\)")


def test_a_sample_that_its_subset_drops(release):
    name = "subset/0.parquet"
    uid = pq.read_table(release / name)["uid"][0].as_py()
    rewrite_table(release, name, lambda t: t.set_column(1, "keep", pa.array([False, *t["keep"].to_pylist()[1:]])))
    told(release, rf"manifest/samples: 1 uids are not kept in subset: {uid}")


def test_a_kept_pair_without_a_sample(release):
    name = "subset/0.parquet"
    rewrite_table(release, name, lambda t: t.set_column(1, "keep", pa.array([*t["keep"].to_pylist()[:-1], True])))
    told(release, rf"subset: 1 kept uids have no row in manifest/samples: {19:032x}")


def test_a_uid_twice_in_the_subset(release):
    rewrite_table(release, "subset/0.parquet", lambda t: pa.concat_tables([t, t.slice(0, 1)]))
    told(release, "subset: wanted each uid once, found 41 rows for 40 uids")


def test_a_uid_in_two_shards(release):
    first = pq.read_table(release / "manifest/samples/00000000.parquet", partitioning=None)["uid"][0].as_py()

    def change(table):
        return table.set_column(0, "uid", pa.array([first, *table["uid"].to_pylist()[1:]]))

    rewrite_table(release, TABLE, change)
    told(release, rf"manifest/samples: wanted each uid once, found 1 repeated: {first}")


def test_a_key_in_two_shards(release):
    """The same sample in two tars, each with a row of its own: neither shard alone shows it."""
    first = members_of(release / "shards/00000000.tar")[:3]
    rows = pq.read_table(release / "manifest/samples/00000000.parquet", partitioning=None).slice(0, 1)
    key = rows["key"][0].as_py()
    rewrite(release, lambda ms: [*first, *ms[3:]])
    rewrite_table(release, TABLE, lambda t: pa.concat_tables([rows, t.slice(1)]))
    told(release, rf"manifest/samples: wanted each uid once, found 1 repeated: {key}")


def test_a_key_that_is_not_the_uid(release):
    rewrite_table(release, TABLE, lambda t: t.set_column(3, "key", pa.array(["x", *t["key"].to_pylist()[1:]])))
    told(release, rf"{TABLE}: wanted the uid as key in each row, found another for [0-9a-f]{{32}} \(1 in all\)")


def test_a_gap_in_the_shard_numbers(release):
    mark = read_mark(release)
    (release / mark["tars"][2]["name"]).rename(release / "shards/00000003.tar")
    mark["tars"][2]["name"] = "shards/00000003.tar"
    write_mark(release, mark)
    told(release, "wanted shards/00000002.tar at place 2, found shards/00000003.tar")


def test_rows_of_another_shard(release):
    rewrite_table(release, TABLE, lambda t: t.set_column(2, "shard", pa.array([7] * 8, pa.int32())))
    told(release, rf"{TABLE}: wanted shard 1 in each row, found another in 8 rows")


def test_rows_that_are_not_as_many_as_listed(release):
    rewrite_table(release, TABLE, lambda t: t.slice(1))
    told(release, rf"{TABLE}: wanted 8 rows as manifest/release.json has it, found 7", "a manifest row for each member")


def test_nulls_and_other_types(release):
    rewrite_table(release, TABLE, lambda t: t.set_column(6, "caption", pa.array([None] * 8, pa.string())))
    rewrite_table(release, "subset/0.parquet", lambda t: t.set_column(1, "keep", pc.cast(t["keep"], pa.int8())))
    told(release, rf"{TABLE}: wanted a value in each row, found nulls in \['caption'\]")
    told(release, r"subset/0.parquet: wanted column keep as bool, found int8")


def test_a_table_without_its_columns(release):
    rewrite_table(release, TABLE, lambda t: t.drop_columns(["caption"]))
    told(release, rf"{TABLE}: wanted the columns of table samples, found none of \['caption'\]")


def test_a_shard_table_that_disagrees(release):
    name = "manifest/shards/00000000.parquet"
    rewrite_table(release, name, lambda t: t.set_column(1, "samples", pa.array([8, 9, 4], pa.int64())))
    told(release, r"manifest/shards: wanted \{'samples': 8.* for shard 1 .*found \{'samples': 9")


def test_counts_that_do_not_add_up(release):
    mark = read_mark(release)
    mark["counts"]["kept"] += 1
    mark["tars"][1]["rows"] += 1
    write_mark(release, mark)
    told(release, "counts.kept is 21, but the parts listed hold 20", f"{TAR} has 9 samples, but {TABLE} has 8 rows")


def test_a_shard_is_walked_no_further_than_its_bytes(release):
    """Manifest places beyond the end of the file are faults, not crashes."""
    (release / TAR).write_bytes(b"")
    told(release, rf"{TAR}: wanted \d+ bytes, found 0", "truncated_tar", "no .txt for", "none in")
    sign(release, TAR)
    told(release, "truncated_tar", "no .txt for", "none in")
