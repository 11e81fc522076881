"""What `curate why` and `curate compare` say of releases made by hand, against the fate of each pair as made."""

import json
import shutil
from collections import Counter

import pyarrow as pa
import pytest

from curation import cli, tables
from curation.errors import BrokenTableError, RecipeError
from curation.explain import compare, why
from curation.parts import write_part
from curation.records import read_record, write_record
from curation.schema import SUBSET
from curation.shards.manifest import Release
from curation.shown import plain
from tests.made_pool import SECRET_URL
from tests.made_release import make_release

STEPS = ["clean_captions", "text", "pixels", "scores", "match_entries", "balance_entries", "write_shards"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_release(tmp_path_factory.mktemp("made"))


@pytest.fixture
def ask(capsys):
    """The lines that `why` prints."""

    def call(out, uid):
        capsys.readouterr()
        assert why(out, uid) is None
        return capsys.readouterr().out.splitlines()

    return call


def test_a_kept_pair_has_a_line_per_step_and_its_place(made, ask):
    uid = made.kept[0]
    lines = ask(made.out, uid)
    told = [line.split()[1] for line in lines if line.lstrip()[:1].isdigit()]
    assert told == STEPS
    assert not any("DROPPED" in line for line in lines)
    sample = next(s for s in _samples(made) if s["uid"] == uid)
    assert lines[-1] == f"verdict   kept in shards/{sample['shard']:08d}.tar under the key {uid}"


def _samples(made):
    mark = read_record(f"{made.out}/manifest/release.json")
    return tables.read_arrow(made.out, mark["samples"]).to_pylist()


def test_every_dropped_pair_ends_at_its_step_with_reason_and_value(made, ask):
    reasons = {fate[1]: uid for uid, fate in made.fate.items() if fate}
    assert len(reasons) >= 7
    for reason, uid in reasons.items():
        step, value = made.fate[uid][0], plain(made.fate[uid][2])
        lines = ask(made.out, uid)
        last = [line for line in lines if line.lstrip()[:1].isdigit()][-1]
        assert f" {step} " in last and f"DROPPED  {reason} (value: {value}" in last
        assert lines[-1] == f"verdict   dropped by {step}: {reason} (value: {value})"


def test_the_pair_itself_is_described(made, ask):
    uid = next(u for u in made.pairs if "second line" in made.pairs[u]["caption"])
    text = "\n".join(ask(made.out, uid))
    row = made.pairs[uid]
    assert row["document"] in text and "source    made (table), from /data/made.parquet" in text
    assert f"{row['image']['uri']} at {row['image']['offset']:,}, {row['image']['length']:,} bytes" in text
    assert 'caption "\\x1b[31ma green\\x1b[0m house with a second line"' in text  # as cleaned, beside the raw one


def test_signals_are_those_of_this_pair(made, ask):
    for uid in made.kept:
        [line] = [line for line in ask(made.out, uid) if "scores" in line]
        score = int(uid[:4], 16) / 65536
        assert f"clip_score {score:.6g}" in line and f"second_score {-score:.6g}" in line


def test_a_value_of_another_caption_is_not_shown(made, ask):
    """The store holds a row of the same uid whose digest stands for other inputs."""
    release = Release.open(made.out)
    folder = release.signal_folder("language_prediction")
    rows = tables.read_arrow(folder, tables.read_done(folder)["parts"]).to_pylist()
    [stale] = [row for row in rows if row["digest"] == 7]
    other = Counter(r["id"] for r in rows)[stale["id"]]
    assert other == 2
    folder = release.signal_folder("clip_score")
    rows = tables.read_arrow(folder, tables.read_done(folder)["parts"]).to_pylist()
    [stale] = [row for row in rows if row["digest"] == 7]
    text = "\n".join(ask(made.out, stale["id"]))
    assert f"clip_score {stale['value']:.6g}" not in text


def test_why_a_picture_has_no_value(made, ask):
    uid = made.dropped("image_min_side_px is null")[0]
    assert "image_min_side_px null (decode_error: made)" in "\n".join(ask(made.out, uid))


def test_a_terminal_obeys_nothing_and_sees_no_secret(made, ask):
    hostile = [u for u, row in made.pairs.items() if not row["caption"].isprintable()]
    secret = [u for u, row in made.pairs.items() if row["url"] == SECRET_URL]
    assert len(hostile) >= 4 and len(secret) > 5
    for uid in hostile + secret[:5]:
        text = "".join(ask(made.out, uid))
        assert text.isprintable()
        assert "hunter2" not in text and "t0ps3cret" not in text


@pytest.mark.parametrize(("digits", "size"), [(0, 40), (1, 30), (2, 8)])
def test_a_unique_beginning_of_a_uid_is_enough(tmp_path, ask, digits, size):
    made = make_release(tmp_path, size=size, digits=digits)
    for uid in made.pairs:
        assert ask(made.out, uid[:6].upper())[0] == f"pair      {uid}"


def test_an_unknown_uid_names_one_that_exists(made, ask):
    with pytest.raises(RecipeError) as caught:
        why(made.out, "0123456789abcdef")
    known = str(caught.value).split()[-1]
    assert "no pair 0123456789abcdef" in str(caught.value)
    assert known in made.pairs


@pytest.mark.parametrize("uid", ["abcde", "", "xyzxyz", "a" * 33, "../../../etc"])
def test_what_is_no_uid_is_refused(made, uid):
    with pytest.raises(RecipeError, match="wanted 32 hex"):
        why(made.out, uid)


def test_a_beginning_of_two_uids_is_refused_and_both_named(tmp_path, ask):
    uids = ["abcdef" + "0" * 26, "abcdef" + "1" * 26]
    rows = [{"uid": u, "keep": True} for u in uids]
    batch = pa.RecordBatch.from_pylist(rows, SUBSET.arrow)
    part = write_part(str(tmp_path / "subset"), "all", [batch], SUBSET.arrow).record()
    subset = [part | {"name": "subset/all.parquet"}]
    mark = {"schema_version": 1, "counts": {}, "stages": [], "signals": {}, "tars": [], "samples": [], "shards": []}
    write_record(str(tmp_path / "manifest" / "release.json"), mark | {"subset": subset})
    with pytest.raises(RecipeError, match="more than one uid") as caught:
        why(str(tmp_path), "abcdef")
    assert all(uid in str(caught.value) for uid in uids)
    text = "\n".join(ask(str(tmp_path), uids[1]))
    assert "not there any more" in text and "verdict   kept" in text


def test_a_release_tells_what_it_can_without_pool_and_store(tmp_path, ask):
    made = make_release(tmp_path, size=40)
    uid = next(u for u, fate in made.fate.items() if fate and fate[0] == "scores")
    shutil.rmtree(made.pool)
    text = "\n".join(ask(made.out, uid))
    assert "the pair is not there any more" in text and "table is not in the store any more" in text
    assert "verdict   dropped by scores: clip_score not in top 0.8" in text


def test_no_release_is_an_error_of_its_own(tmp_path):
    with pytest.raises(BrokenTableError, match="no release at"):
        why(str(tmp_path), "abcdef")


def test_the_command_line_prints_for_a_person_and_exits_2_for_an_unknown_uid(made, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["why", made.out, made.kept[0]])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith(f"pair      {made.kept[0]}\n")
    with pytest.raises(SystemExit) as stopped:
        cli.main(["why", made.out, "0123456789abcdef"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("RecipeError: ")


@pytest.mark.parametrize(("digits_a", "digits_b"), [(0, 0), (1, 0)])
def test_compare_counts_what_set_algebra_does(tmp_path, digits_a, digits_b):
    a = make_release(tmp_path / "a", size=100, digits=digits_a)
    b = make_release(tmp_path / "b", size=100, first=30, digits=digits_b, least_words=7)
    found = compare(a.out, b.out)
    json.dumps(found, allow_nan=False)
    common, kept_a, kept_b = set(a.pairs) & set(b.pairs), set(a.kept), set(b.kept)
    assert found["both"] == len(kept_a & kept_b) > 0
    assert found["only_a"] == len(common & kept_a - kept_b) > 0
    assert found["only_b"] == len(common & kept_b - kept_a)
    assert found["neither"] == len(common - kept_a - kept_b) > 0
    assert found["pool_only_a"] == {"pairs": 30, "kept": len(kept_a - common)}
    assert found["pool_only_b"] == {"pairs": 30, "kept": len(kept_b - common)}
    because = Counter(b.fate[uid][:2] for uid in common & kept_a - kept_b)
    assert {(r["stage"], r["reason"]): r["pairs"] for r in found["only_a_because"]} == because
    assert [r["pairs"] for r in found["only_a_because"]] == sorted(because.values(), reverse=True)
    lost = sorted(common & kept_a - kept_b)
    assert [e["uid"] for e in found["only_a_examples"]] == lost[:5]
    for example in found["only_a_examples"]:
        step, reason, value = b.fate[example["uid"]]
        assert (example["drop_stage"], example["drop_reason"], example["drop_value"]) == (step, reason, value)
        assert example["caption"] == " ".join(a.pairs[example["uid"]]["caption"].split())


def test_compare_with_itself_finds_no_difference(made):
    found = compare(made.out, made.out)
    assert (found["both"], found["neither"]) == (len(made.kept), len(made.pairs) - len(made.kept))
    assert found["only_a"] == found["only_b"] == 0
    assert found["only_a_because"] == found["only_b_examples"] == []
    assert found["pool_only_a"] == found["pool_only_b"] == {"pairs": 0, "kept": 0}
