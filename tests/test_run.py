"""The main job end to end on drawn pictures: nothing lost, nothing computed twice, the same bytes again."""

import json
import os
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from curation import tables
from curation.errors import CurationError, LockedOutputError, RecipeError, StaleOutputError
from curation.files import locked
from curation.graph import Graph
from curation.ingest import ingest
from curation.pool import Pool
from curation.recipe import check_settings, load_recipe
from curation.records import write_record
from curation.release import commit
from curation.rows import Rows
from curation.run import run, run_stage, stage_key
from curation.shards.manifest import Release
from curation.shards.verify import verify
from curation.stages import STAGES
from tests.conftest import EASED
from tests.drawing import draw


def _verdicts(out):
    return {r["uid"]: r for r in Release.open(out).subset().to_pylist()}


def _signal(pool, name):
    folders = list(Path(pool, "store/signals").glob(f"{name}-*"))
    return {f.name: tables.read_done(str(f)) for f in folders}


def _rows(done):
    return sum(part["rows"] for part in done["parts"])


def test_every_pair_of_the_pool_has_one_verdict(pool, release):
    subset = Release.open(release).subset()
    uids = subset["uid"].to_pylist()
    pairs = [pq.read_table(p, columns=["uid"])["uid"].to_pylist() for p in Path(pool, "pairs").rglob("*.parquet")]
    assert sorted(uids) == sorted(uid for part in pairs for uid in part)
    assert len(set(uids)) == len(uids) == Pool.open(pool).rows == 26


def test_in_is_out_plus_dropped_at_each_stage(release):
    stages = [json.loads(line) for line in Path(release, "ledger.jsonl").read_text().splitlines()]
    assert [s["rows_in"] for s in stages[1:]] == [s["rows_out"] for s in stages[:-1]]
    for stage in stages:
        assert stage["rows_in"] == stage["rows_out"] + sum(stage["drops"].values())


def test_the_ledger_says_which_language_model_and_which_clip(release, model):
    stages = [json.loads(line) for line in Path(release, "ledger.jsonl").read_text().splitlines()]
    signals = {s["name"]: s["signals"] for s in stages}
    assert signals["text"]["language_prediction"] == {"backend": "fasttext"}
    assert signals["scores"]["image_embedding"] == {"clip": model, "decode": "full", "precision": "fp32"}


def test_deleting_the_output_writes_it_again(pool, tmp_path):
    out = tmp_path / "out"
    made = []
    for _ in range(2):
        run("metaclip", pool, str(out))
        made.append(Release.open(str(out)).mark["tars"])
        shutil.rmtree(out)
    assert made[0] == made[1]


def test_a_broken_picture_is_dropped_with_its_reason(release, pool):
    broken = next(u for u, v in _verdicts(release).items() if "drawing 5" in Pool.open(pool).find(u)["caption"])
    verdict = _verdicts(release)[broken]
    assert not verdict["keep"] and verdict["drop_reason"] == "image_embedding is null"
    assert verdict["drop_value"].startswith("decode_error")


def test_of_two_equal_pictures_one_stays(release, pool):
    opened = Pool.open(pool)
    pair = {
        u: v for u, v in _verdicts(release).items() if opened.find(u)["caption"].endswith(("drawing 2", "drawing 3"))
    }
    assert sorted(v["drop_reason"] == "duplicate_image" for v in pair.values()) == [False, True]


def test_the_release_is_sound_and_holds_exactly_the_kept(release):
    assert verify(release) == []
    opened = Release.open(release)
    kept = {uid for uid, verdict in _verdicts(release).items() if verdict["keep"]}
    assert set(opened.samples(["uid"])["uid"].to_pylist()) == kept
    assert {"clip_score", "keep_probability", "word_score"} <= set(opened.samples().column_names)


def test_a_picture_with_three_captions_is_embedded_once(release, pool):
    (done,) = _signal(pool, "image_embedding").values()
    assert _rows(done) == 24  # 26 pairs, one picture has three captions
    assert done["models"]["clip"]["digest"]


def test_what_later_stages_see_in_a_picture_is_taken_when_it_is_decoded_for_its_embedding(pool, model, tmp_path):
    recipe = tmp_path / "seen.toml"
    recipe.write_text(
        f"""
        signals.clip = "{model}"
        [[stage]]
        run = "dedup_embeddings"
        with.threshold = 0.99999
        [[stage]]
        run = "select_subset"
        with.keep.image_blur = {{ min = 0 }}
        with.keep.image_bytes = {{ min = 1 }}
        """
    )
    run(str(recipe), pool, str(tmp_path / "out"), store=str(tmp_path / "store"))
    rows = {f.name.split("-")[0]: _rows(tables.read_done(str(f))) for f in Path(tmp_path, "store/signals").glob("*")}
    assert rows["image_blur"] == rows["image_embedding"] == 24
    assert rows["image_bytes"] < 24  # nothing is decoded for that one: it waits until it is asked for


def test_changing_a_text_bound_computes_no_embedding(release, pool, model, tmp_path):
    copy = str(tmp_path / "pool")
    shutil.copytree(pool, copy)
    before = {
        n: _signal(copy, n) for n in ("image_embedding", "caption_embedding", "language_prediction", "clip_score")
    }
    settings = [f"signals.clip={model}", *EASED, "text.keep.caption_words.min=6"]
    run("full", copy, str(tmp_path / "out"), set=settings)
    after = {n: _signal(copy, n) for n in before}
    assert {n: [_rows(d) for d in v.values()] for n, v in after.items()} == {
        n: [_rows(d) for d in v.values()] for n, v in before.items()
    }


def test_a_grown_pool_embeds_only_what_is_new(release, pool, model, tmp_path):
    copy = str(tmp_path / "pool")
    shutil.copytree(pool, copy)
    for number in (30, 31):
        image, _ = draw(number, (200, 150))
        image.save(tmp_path / f"{number}.png")
    table = tmp_path / "more.csv"
    table.write_text("path,caption\n30.png,a further drawing on its own\n31.png,another further drawing on its own\n")
    added = ingest([str(table)], out=copy)
    assert added["rows"] == 2 and added["pool_rows"] == 28
    left = Path(copy, "staging", Pool.open(copy).parts[-1]["key"])
    left.mkdir(parents=True, exist_ok=True)  # as of an ingest that was killed after its commit
    assert ingest([str(table)], out=copy)["already_ingested"] and not left.exists()
    run("full", copy, str(tmp_path / "out"), set=[f"signals.clip={model}", *EASED])
    (done,) = _signal(copy, "image_embedding").values()
    (old,) = _signal(pool, "image_embedding").values()
    names = {p["name"] for p in old["parts"]}
    assert sum(p["rows"] for p in done["parts"] if p["name"] not in names) == 2


def test_the_order_of_bounds_is_part_of_the_key(pool):
    keys = []
    for names in (("caption_words", "caption_chars"), ("caption_chars", "caption_words")):
        spec = STAGES["select_subset"].spec
        settings = check_settings(spec, {"keep": {n: {"min": 6} for n in names}}, "test")
        rows = Rows(Pool.open(pool), "", Graph())
        keys.append(stage_key(spec, settings, [rows], {"pairs": spec.columns("pairs", settings)}))
    assert keys[0] != keys[1]


def test_running_again_computes_nothing_and_other_settings_are_refused(release, pool, model):
    settings = [f"signals.clip={model}", *EASED]
    assert run("full", pool, release, set=settings)["stages_computed"] == 0
    with pytest.raises(StaleOutputError, match="name another OUT"):
        run("full", pool, release, set=[*settings, "balance_entries.t=3"])


def test_an_output_in_use_or_of_something_else_is_refused(pool, release, tmp_path):
    busy = tmp_path / "busy"
    with locked(str(busy), wait=False), pytest.raises(LockedOutputError, match=f"by process {os.getpid()} on "):
        run("metaclip", pool, str(busy))
    assert os.listdir(busy) == []
    (busy / "thesis.txt").write_text("mine")
    with pytest.raises(StaleOutputError, match="is not empty"):
        run("metaclip", pool, str(busy))


def test_shuffled_input_in_another_folder_and_partitions_give_the_same_bytes(release, pictures, model, tmp_path, spark):
    moved = tmp_path / "moved"
    shutil.copytree(pictures, moved)
    lines = (moved / "pictures.tsv").read_text().splitlines()
    (moved / "pictures.tsv").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    other, out = str(tmp_path / "pool"), str(tmp_path / "out")
    ingest([str(moved / "pictures.tsv")], out=other)
    partitions = spark.conf.get("spark.sql.shuffle.partitions")
    spark.conf.set("spark.sql.shuffle.partitions", "7")
    try:
        run("full", other, out, set=[f"signals.clip={model}", *EASED])
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", partitions)
    first, second = (Release.open(r).mark for r in (release, out))
    assert first == second
    assert first["counts"]["shards"] > 1
    files = [{p.name: p.read_bytes() for p in Path(r, "report").iterdir()} for r in (release, out)]
    assert files[0] == files[1] and len(files[0]) == 7


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["text.keep.caption_wrds.min=3"], r"no signal or column \['caption_wrds'\]; known: \[.*'caption_words'"),
        (["txt.keep.caption_words.min=3"], r"no step \['txt'\]; known: \[.*'text'"),
        (
            ["dedup_embeddings.treshold=0.9"],
            r"no setting \['treshold'\]; known: \['against', .*'threshold'",
        ),
        (["balance_entries.t=zero"], "t = 'zero': .*integer"),
        (["signals.clp=x"], r"\[signals\]: no setting \['clp'\]"),
        (["signals.clip=nowhere"], "nowhere"),
        (["match_entries.metadata=/no/such/list.txt"], "/no/such/list.txt"),
        (["signals.clip.model=x"], r"--set signals\.clip\.model=x: clip is '.*' and has no settings of its own"),
        (["inputs.imagenet=3"], r"--set inputs\.imagenet=3.*: wanted \[inputs\]: imagenet: .*string"),
    ],
)
def test_a_wrong_recipe_is_refused_before_any_work(pool, model, tmp_path, change, says):
    with pytest.raises(CurationError, match=says) as caught:
        run("full", pool, str(tmp_path / "out"), set=[f"signals.clip={model}", *change])
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[stage]\nrun = 'dedup_pairs'", r"wanted \[\[stage\]\]"),
        ("stage = 3", r"wanted \[\[stage\]\]"),
        ("signals = 'x'", r"wanted \[signals\]"),
        ("inputs.x = 3", r"wanted \[inputs\]: x"),
        ("[[stage]]\nrun = ['a']", r"wanted \[\[stage\]\]: 0\.run"),
        ("[[stage]]\nrun = 'dedup_pairs'\nwith = 3", r"wanted \[\[stage\]\]: 0\.with"),
        (
            "[[stage]]\nrun = 'write_shards'\n[[stage]]\nrun = 'dedup_pairs'",
            "can only be the last step",
        ),
        ("[[stage]]\nrun = 'sample_budget'", "stage sample_budget: give either size or share"),
        ("[[stage]]\nrun = 'sample_budget'\nwith = {size = 1, share = 0.1}", "either size or share"),
        ("# \xfc", "not UTF-8"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path, text, says):
    (tmp_path / "r.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(RecipeError, match=says):
        load_recipe(str(tmp_path / "r.toml"))


def test_a_recipe_may_begin_with_the_mark_of_utf_8(tmp_path):
    (tmp_path / "r.toml").write_text("[[stage]]\nrun = 'dedup_pairs'", "utf-8-sig")
    assert load_recipe(str(tmp_path / "r.toml")).text.startswith("[[stage]]")


def test_a_list_that_is_changed_while_its_step_runs_is_not_taken_for_the_old_one(tmp_path, monkeypatch):
    listed = tmp_path / "kept.txt"
    listed.write_text("a")
    settings = {"keep": {"uid": {"in_file": str(listed)}}}
    spec = STAGES["select_subset"].spec
    step = SimpleNamespace(name="words", spec=spec, stage=lambda *_, **__: listed.write_text("b"))
    rows = SimpleNamespace(key="k", count=1, select=lambda *_: None)
    monkeypatch.setattr("curation.run._write", lambda *_: {})
    with pytest.raises(StaleOutputError, match="words: a file that it reads was changed while it ran; run it again"):
        run_stage(None, step, [rows], settings, str(tmp_path / "store"))
    assert not list(tmp_path.rglob("_done.json"))
    write_record(str(tmp_path / "recipe.json"), {"key": "as claimed"})
    monkeypatch.setattr("curation.release.release_key", lambda *_: "as it is now")
    with pytest.raises(StaleOutputError, match="was changed while it was made; name another OUT"):
        commit(None, str(tmp_path), None, SimpleNamespace(pool=None), {})


def test_two_runs_at_once_compute_a_step_once(tmp_path, monkeypatch):
    begun, going, made = threading.Event(), threading.Event(), {}

    def stage(*_, **__):
        begun.set()
        going.wait(30)

    settings = {"keep": {"caption_words": {"min": 1}}}
    step = SimpleNamespace(name="words", spec=STAGES["select_subset"].spec, stage=stage)
    pool = SimpleNamespace(uri="pool")
    rows = SimpleNamespace(key="k", count=1, select=lambda *_: None, graph=Graph(), chain=(), pool=pool)
    monkeypatch.setattr("curation.run._write", lambda *_: {"parts": []})

    def runs(name):  # whose result comes back first says nothing: the second waits for the first's record alone
        made[name] = run_stage(None, step, [rows], settings, str(tmp_path))

    first, second = (threading.Thread(target=runs, args=(name,)) for name in ("first", "second"))
    first.start()
    assert begun.wait(30)
    second.start()
    second.join(0.3)
    going.set()
    first.join(30)
    second.join(30)
    assert made["first"][1] and not made["second"][1]
    assert made["first"][0].done.items() <= made["second"][0].done.items()
    assert not list(tmp_path.rglob("lock"))


BRANCHES = """
[[stage]]
name = "first"
run = "select_subset"
with.keep.caption_words = { min = 1 }

[[stage]]
name = "unused"
run = "select_subset"
on = ["first"]
with.keep.caption_words = { min = 2 }

[[stage]]
name = "words"
run = "select_subset"
on = ["first"]
with.keep.uid = { in_file = "LIST" }
"""


def test_a_branch_names_its_own_steps_and_a_changed_list_makes_another_release(spark, pool, tmp_path):
    kept = Pool.open(pool).pairs(spark).select("uid").orderBy("uid").limit(20).toArrow()["uid"].to_pylist()
    listed, recipe, out = tmp_path / "kept.txt", tmp_path / "branches.toml", str(tmp_path / "out")
    listed.write_text("\n".join(kept))
    recipe.write_text(BRANCHES.replace("LIST", str(listed)))
    run(str(recipe), pool, out)
    assert {(r["keep"], r["drop_stage"]) for r in _verdicts(out).values()} == {(True, None), (False, "words")}
    assert verify(out) == []
    listed.write_text("\n".join(kept[:-1]))
    with pytest.raises(StaleOutputError, match="name another OUT"):
        run(str(recipe), pool, out)


BRANCHED = """
[[stage]]
run = "clean_captions"

[[stage]]
run = "match_entries"

[[stage]]
run = "balance_entries"
on = ["clean_captions", "match_entries.entry_counts"]
"""


def test_a_column_of_another_branch_is_refused_before_any_work(tmp_path):
    (tmp_path / "r.toml").write_text(BRANCHED)
    with pytest.raises(RecipeError, match=r"stage balance_entries: no signal or column \['entries'\]"):
        load_recipe(str(tmp_path / "r.toml"))
    (tmp_path / "r.toml").write_text(BRANCHED.replace('"clean_captions", "match', '"match_entries", "match'))
    load_recipe(str(tmp_path / "r.toml"))


def test_a_file_is_the_same_for_a_stage_and_its_signals(tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(f"a drawing of {name}\n")
    given = [f"inputs.prompts={tmp_path}/a.txt"]
    load_recipe("clipcov", given)
    with pytest.raises(RecipeError, match=r"prompts = '.*b\.txt', but the signals read '.*a\.txt'; set inputs.prompts"):
        load_recipe("clipcov", [*given, f"select_coverage.prompts={tmp_path}/b.txt"])
