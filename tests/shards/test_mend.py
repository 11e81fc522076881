"""A mended release verifies, holds every sample that was whole, byte for byte, and says which were not."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curation.errors import BrokenTableError, RecipeError, StaleOutputError
from curation.shards import verify as module
from curation.shards.manifest import Release
from curation.shards.tar import read_members
from curation.shards.verify import verify, verify_release
from tests.shards.conftest import part
from tests.shards.damage import members_of, read_mark, rewrite_table, sign, write_mark, write_members

TAR = "shards/00000001.tar"
TABLE = "manifest/samples/00000001.parquet"
VECTORS = "shards/00000001.image_embedding.npy"


@pytest.fixture
def release(make_release) -> Path:
    return make_release(samples=20, per_shard=8)


def uids(out, shard: int | None = None) -> list[str]:
    release = Release.open(str(out))
    rows = release.samples(["uid"]) if shard is None else release.shard_samples(shard, ["uid"])
    return rows["uid"].to_pylist()


def cut(out: Path) -> set[str]:
    """In the middle of the fifth sample."""
    data = (out / TAR).read_bytes()
    member = list(read_members(data))[12]
    (out / TAR).write_bytes(data[: member.offset + 5])
    return set(uids(out, 1)[4:])


def damage(out: Path) -> set[str]:
    """A byte of a picture, of a caption, and of a header: what its header says is in the manifest as well."""
    data, members = bytearray((out / TAR).read_bytes()), None
    members = list(read_members(bytes(data)))
    data[members[0].offset + members[0].bytes - 9] ^= 1
    data[members[4].offset] ^= 1
    data[members[9].offset - 512] ^= 1
    (out / TAR).write_bytes(data)
    return {uids(out, 1)[0], uids(out, 1)[1]}


def signed(out: Path) -> set[str]:
    lost = damage(out)
    sign(out, TAR)
    return lost


def no_tar(out: Path) -> set[str]:
    (out / TAR).unlink()
    return set(uids(out, 1))


def no_table(out: Path) -> set[str]:
    (out / TABLE).unlink()
    return set()


def nothing_but_tars(out: Path) -> set[str]:
    for table in (out / "manifest").rglob("*.parquet"):
        table.write_bytes(b"PAR1")
    return set()


def moved(out: Path) -> set[str]:
    members = members_of(out / TAR)
    write_members(out / TAR, [*members[3:], *members[:3]])
    sign(out, TAR)
    return set()


def twice(out: Path) -> set[str]:
    """Another shard holds the same samples again."""
    mark = read_mark(out)
    shutil.copy(out / "shards/00000000.tar", out / TAR)
    write_mark(out, mark)
    rewrite_table(out, TABLE, lambda t: _as_shard_1(Release.open(str(out)).shard_samples(0)))
    mark = read_mark(out)
    mark["samples"][1]["rows"] = mark["tars"][1]["rows"] = mark["tars"][0]["rows"]
    write_mark(out, mark)
    sign(out, TAR)
    return set()


def vectors(out: Path) -> None:
    """A .npy beside each tar."""
    mark = read_mark(out)
    names = [tar["name"].replace(".tar", ".image_embedding.npy") for tar in mark["tars"]]
    for name, tar in zip(names, mark["tars"]):
        np.save(out / name, np.zeros((tar["rows"], 2), np.float16))
    mark["embeddings"] = [part(out, name, tar["rows"]) for name, tar in zip(names, mark["tars"])]
    write_mark(out, mark)


def altered_vectors(out: Path) -> set[str]:
    vectors(out)
    (out / VECTORS).write_bytes((out / VECTORS).read_bytes()[:-1] + b"x")
    return set()


def no_vectors(out: Path) -> set[str]:
    vectors(out)
    (out / VECTORS).unlink()
    return set()


def vectors_of_fewer(out: Path) -> set[str]:
    vectors(out)
    mark = read_mark(out)
    mark["embeddings"][1]["rows"] -= 1
    write_mark(out, mark)
    return set()


def no_changes(out: Path) -> set[str]:
    mark = read_mark(out)
    mark["changes"] = [{"name": "manifest/changes/x.json", "bytes": 1, "rows": 1, "sha256": "0" * 64}]
    write_mark(out, mark)
    return set()


def a_tar_unlisted(out: Path) -> set[str]:
    lost = set(uids(out, 2))
    mark = read_mark(out)
    del mark["tars"][2]
    write_mark(out, mark)
    return lost


def a_table_unlisted(out: Path) -> set[str]:
    mark = read_mark(out)
    del mark["samples"][2]
    write_mark(out, mark)
    return set()


def no_recipe(out: Path) -> set[str]:
    (out / "recipe.json").write_text('{"pool": ""}')
    return set()


def _as_shard_1(table):
    place = table.schema.names.index("shard")
    return table.set_column(place, table.schema.field("shard"), pa.array([1] * len(table), pa.int32()))


HARMS = [cut, damage, signed, no_tar, no_table, nothing_but_tars, moved, twice, no_changes]
HARMS += [altered_vectors, no_vectors, vectors_of_fewer, a_tar_unlisted, a_table_unlisted, no_recipe]


@pytest.mark.parametrize("harm", HARMS)
def test_what_is_whole_stays(release, tmp_path, harm):
    before = {name: data for tar in sorted(release.glob("shards/*.tar")) for name, data in members_of(tar)}
    everything = uids(release)
    second = uids(release, 1)
    lost = harm(release)
    if harm is twice:
        everything = [uid for uid in everything if uid not in second]
    result = verify_release(str(release), fix=True, out=str(tmp_path / "new"))
    assert result["faults"] == 0 and result["faults_mended"] > 0 and verify(str(tmp_path / "new")) == []
    left = uids(tmp_path / "new")
    assert sorted(left) == sorted(set(everything) - lost)
    after = {name: data for tar in (tmp_path / "new").glob("shards/*.tar") for name, data in members_of(tar)}
    assert after == {name: before[name] for name in before if name.partition(".")[0] in set(left)}
    verdicts = {row["uid"]: row for row in Release.open(str(tmp_path / "new")).subset().to_pylist()}
    assert all(verdicts[uid]["drop_reason"] == "broken_sample" and not verdicts[uid]["keep"] for uid in lost)
    (tmp_path / "new/manifest/parts").mkdir()  # as if killed after release.json
    again = verify_release(str(release), fix=True, out=str(tmp_path / "new"))
    assert again["kept"] == result["kept"] == len(left) and not (tmp_path / "new/manifest/parts").exists()


def test_broken_verdicts_are_made_of_the_samples(release, tmp_path):
    (release / "subset/0.parquet").write_bytes(b"")
    result = verify_release(str(release), fix=True, out=str(tmp_path / "new"))
    assert (result["faults"], result["pool"], result["kept"]) == (0, 20, 20)


def test_nothing_to_mend(release, tmp_path):
    assert verify_release(str(release), fix=True, out=str(tmp_path / "new"))["faults"] == 0
    assert not (tmp_path / "new").exists()
    with pytest.raises(RecipeError, match="--fix and --out only together"):
        verify_release(str(release), fix=True)
    (release / "manifest/release.json").write_bytes(b"{")
    with pytest.raises(BrokenTableError, match="nothing says which files are the release's"):
        verify_release(str(release), fix=True, out=str(tmp_path / "new"))


@pytest.mark.parametrize(("workers", "ranks", "wanted"), [(3, 1, 0), (2, 2, 1), (1, 4, 1), (1, 1, 0)])
def test_a_shard_for_each_worker_of_each_rank(release, workers, ranks, wanted, capsys):
    assert verify_release(str(release), workers=workers, ranks=ranks)["faults"] == wanted
    told = capsys.readouterr().err
    sentence = f"wanted at least 4 with samples, one for each of {workers} workers x {ranks} ranks, found 3"
    assert (sentence in told) == wanted


def test_pictures_that_do_not_decode(release, tmp_path):
    """The header is sound, what follows is not: only decoding tells."""
    row = next(r for r in Release.open(str(release)).shard_samples(1).to_pylist() if r["format"] == "png")
    members = members_of(release / TAR)
    at = [n for n, _ in members].index(f"{row['uid']}.png")
    data = members[at][1][:40] + bytes(len(members[at][1]) - 40)
    members[at] = (members[at][0], data)
    write_members(release / TAR, members)
    sign(release, TAR)
    digest = hashlib.sha256(data).hexdigest()

    def told_so(table):
        rows = [r | ({"sha256": digest} if r["uid"] == row["uid"] else {}) for r in table.to_pylist()]
        return pa.Table.from_pylist(rows, table.schema)

    rewrite_table(release, TABLE, told_so)
    assert not [f for f in verify(str(release)) if "decode" in f]
    told = [f for f in verify(str(release), decode=True) if "wanted pictures that decode" in f]
    assert len(told) == 1 and row["uid"] in told[0]
    (release / "shards/00000000.tar").unlink()
    assert verify_release(str(release), fix=True, out=str(tmp_path / "new"))["faults"] == 0
    with pytest.raises(StaleOutputError, match="name another --out"):  # the picture is still there
        verify_release(str(release), fix=True, decode=True, out=str(tmp_path / "new"))
    shutil.rmtree(tmp_path / "new")
    verify_release(str(release), fix=True, decode=True, out=str(tmp_path / "new"))
    assert verify(str(tmp_path / "new"), decode=True) == [] and len(uids(tmp_path / "new")) == 11


def test_what_was_mended_is_not_taken_for_what_is_to_be(release, tmp_path):
    """With more shards broken since, the earlier one does not hold what is asked for; nor does it after a repair."""
    no_tar(release)
    verify_release(str(release), fix=True, out=str(tmp_path / "new"))
    (release / "shards/00000002.tar").unlink()
    with pytest.raises(StaleOutputError, match="name another --out"):
        verify_release(str(release), fix=True, out=str(tmp_path / "new"))


def test_faults_that_remain_are_told(release, tmp_path, monkeypatch, capsys):
    no_tar(release)
    whole = module.verify

    def remaining(out, *given, **settings):
        return [*whole(out, *given, **settings), *(["shards: a fault that stays"] if out.endswith("new") else [])]

    monkeypatch.setattr(module, "verify", remaining)
    assert verify_release(str(release), fix=True, out=str(tmp_path / "new"))["faults"] == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"{tmp_path}/new: shards: a fault that stays"


def test_a_shard_behind_a_link_is_taken_over_itself(release, tmp_path):
    """Tars in git-annex or DVC are links into its store; so may be what a killed attempt of an older version left."""
    tar = release / "shards/00000000.tar"
    (tmp_path / "annex").mkdir()
    tar.rename(tmp_path / "annex/key")
    tar.symlink_to("../../annex/key")
    cut(release)
    new = tmp_path / "deeper/down/new"
    mended(release, new)
    (new / "shards/00000000.tar").unlink()
    (new / "shards/00000000.tar").symlink_to("../../annex/key")
    (new / "manifest/release.json").unlink()
    mended(release, new)
    assert not (new / "shards/00000000.tar").is_symlink()
    assert (new / "shards/00000000.tar").samefile(tmp_path / "annex/key")


def mended(release: Path, new: Path) -> None:
    assert verify_release(str(release), fix=True, out=str(new))["faults"] == 0
