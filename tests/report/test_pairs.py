"""What `Pairs` knows of some pairs: columns as each step found them, from pool, stages and store."""

from types import SimpleNamespace

import pyarrow as pa
import pytest

from curation.recipe import load_recipe
from curation.release import _signals
from curation.report.pairs import Pairs
from curation.report.parts import digests
from curation.shards.manifest import Release
from tests.made_release import make_release


@pytest.fixture(scope="module", params=[0, 1])
def made(tmp_path_factory, request):
    return make_release(tmp_path_factory.mktemp("made"), size=60, digits=request.param)


@pytest.fixture(scope="module")
def pairs(made):
    return Pairs.sample(Release.open(made.out), 1000)


def test_the_sample_is_the_smallest_uids(made):
    release = Release.open(made.out)
    for limit in (0, 1, 25, 60, 1000):
        assert Pairs.sample(release, limit).uids.to_pylist() == sorted(made.pairs)[:limit]


def test_verdicts_say_which_step_each_pair_reached(made, pairs):
    steps = [s["name"] for s in pairs.release.mark["stages"]]
    for number in range(len(steps)):
        wanted = [f is None or steps.index(f[0]) >= number for _, f in sorted(made.fate.items())]
        assert pairs.reached(number).to_pylist() == wanted


def test_a_later_column_replaces_an_earlier_one(made, pairs):
    raw = [made.pairs[u]["caption"] for u in sorted(made.pairs)]
    assert pairs.column("caption", 0).to_pylist() == raw
    assert pairs.column("caption", 1).to_pylist() == [" ".join(c.split()) for c in raw]
    assert pairs.column("caption_raw").to_pylist() == raw


def test_a_column_of_the_source_is_looked_up_by_name(made, pairs):
    views = [dict(made.pairs[u]["extra"])["views"] for u in sorted(made.pairs)]
    assert pairs.column("extra.views").to_pylist() == views
    assert pairs.column("extra.none").to_pylist() == [None] * 60


def test_stored_signals_come_from_the_store_and_others_are_computed(pairs):
    reached = pairs.reached(3).to_pylist()
    scores = [int(u[:4], 16) / 65536 if r else None for u, r in zip(pairs.uids.to_pylist(), reached)]
    assert pairs.column("clip_score", 3).to_pylist() == scores
    assert pairs.column("second_score", 3).to_pylist() == [s if s is None else -s for s in scores]
    words = [len(c.split()) for c in pairs.column("caption", 1).to_pylist()]
    assert pairs.column("caption_words", 1).to_pylist() == words
    languages = pairs.column("caption_language", 1).filter(pairs.reached(1)).to_pylist()
    assert set(languages) == {"en", "de"}


def test_what_needs_a_picture_or_a_model_is_left_null(pairs):
    for name in ("image_phash", "image_embedding", "no_such_column"):
        assert pairs.column(name).null_count == 60


def test_what_reads_one_of_several_settings_is_left_null(pairs):
    """The mean of two models is not that of the one which bears the plain name."""
    assert pairs.column("clip_score", 3).null_count < 60
    assert pairs.column("mean_clip_score", 3).null_count == 60


def test_the_settings_of_an_unstored_signal_in_between_are_recorded(tmp_path):
    keep = "keep.number_masked_score_drop = { max = 0.1 }"
    (tmp_path / "r.toml").write_text(f'[signals]\nvariant = "tokens"\n[[stage]]\nrun = "select_subset"\nwith.{keep}\n')
    told = _signals(load_recipe(str(tmp_path / "r.toml")), SimpleNamespace(store=str(tmp_path)))
    assert told["number_masked_caption"]["settings"] == {"variant": "tokens"}
    assert not told["number_masked_caption"]["stored"] and told["clip_score"]["stored"]


def test_pairs_of_some_uids_are_in_order_and_unknown_ones_left_out(made):
    uids = sorted(made.pairs)[3:40:7]
    found = Pairs.of(Release.open(made.out), [*reversed(uids), "0" * 32])
    assert found.uids.to_pylist() == uids
    assert found.column("document").to_pylist() == [made.pairs[u]["document"] for u in uids]


def test_digests_tell_inputs_apart_and_skip_nulls():
    left, right = pa.array(["a", None, "a", "ab"]), pa.array([None, "a", "b", ""])
    found = digests([left, right], 4).to_pylist()
    assert found[0] == found[1]  # as Spark's xxhash64 does: a null leaves the seed as it is
    assert len(set(found)) == 3
    assert digests([pa.array([["a"]])], 1) is None
