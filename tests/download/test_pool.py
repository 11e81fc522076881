"""The command and the stage on Spark: what lacks is fetched, what is there is left alone, and everything adds up."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.download.pages import Page
from curation.download.pairs import with_images
from curation.download.pool import download
from curation.download.settings import checked
from curation.download.task import fetch_pages
from curation.errors import RecipeError, StaleOutputError
from curation.images import read_pointers
from curation.ingest import ingest
from curation.pool import Pool
from curation.run import run
from curation.schema import DOWNLOADS, PAIRS, hex_id
from tests.download.serving import Site, answering, send

QUICK = {"allow_host": ["127.0.0.1", "127.0.0.2"], "retries": 0, "contact": "test@example.org"}


def _ingested(folder, name, rows):
    table = folder / f"{name}.tsv"
    table.write_text("url\tcaption\topt_out\n" + "".join("\t".join(row) + "\n" for row in rows))
    return ingest([str(table)], out=str(folder / "pool"))


def _downloads(pool):
    done = json.loads((Path(pool) / "downloads" / "_done.json").read_text())
    tables = [pq.read_table(Path(pool, "downloads", part["name"])) for part in done["parts"]]
    DOWNLOADS.check(tables[0].schema, "downloads")
    return {row["url"]: row for row in pa.concat_tables(tables).to_pylist()}


def _pairs(pool, spark):
    return {row.caption: row for row in Pool.open(str(pool)).pairs(spark).collect()}


def _in_turn(*answers):
    left = list(answers)

    def answer(handler):
        following = left.pop(0) if len(left) > 1 else left[0]
        following(handler)

    return answer


def test_a_pool_of_urls_becomes_a_pool_of_images(spark, tmp_path, jpeg):
    flaky = _in_turn(answering(b"", 500), answering(jpeg))
    with (
        Site({f"/{n}.jpg": jpeg for n in range(8)} | {"/flaky.jpg": flaky}) as one,
        Site({"/x.jpg": jpeg}, "127.0.0.2") as two,
    ):
        rows = [(one.url(f"/{n}.jpg"), f"picture {n}", "") for n in range(8)]
        rows += [(one.url("/flaky.jpg"), "flaky", ""), (one.url("/gone.jpg"), "gone", ""), (two.url("/x.jpg"), "x", "")]
        rows += [(one.url("/0.jpg"), "the same picture", ""), (one.url("/7.jpg"), "on another page", "nofollow, noai")]
        rows += [("http://10.1.2.3/a.jpg", "inside", "")]
        _ingested(tmp_path, "first", rows)
        source, out = str(tmp_path / "pool"), str(tmp_path / "images")
        settings = checked(QUICK, "test")
        seen = {"image_id": hex_id(one.url("/1.jpg")), "url": one.url("/1.jpg"), "opt_out": "", "attempts": 0}
        fetch_pages([Page(out, 0, [seen])], settings)  # what a killed run leaves behind

        first = download(source, out=out, **QUICK)
        assert one.asked["/1.jpg"] == 1 and one.asked["/0.jpg"] == 1 and one.asked["/7.jpg"] == 0
        assert first["statuses"] == {"blocked_address": 1, "http_404": 1, "http_500": 1, "ok": 8, "opt_out": 1}
        assert (first["pairs"], first["pairs_with_image"], first["images"], first["fetched"]) == (14, 9, 12, 11)
        assert first["worth_retrying"] == 1 and not Path(out, "staging").exists()
        kept = {path: path.stat().st_mtime_ns for path in Path(out, "images").iterdir()}
        key = Pool.open(out).key

        second = download(source, out=out, **QUICK)
        assert (second["fetched"], second["statuses"]["ok"], second["worth_retrying"]) == (1, 9, 0)
        assert one.asked["/flaky.jpg"] == 2 and one.asked["/gone.jpg"] == 1 and one.asked["/0.jpg"] == 1
        assert _downloads(out)[one.url("/flaky.jpg")]["attempts"] == 2
        assert kept.items() <= {path: path.stat().st_mtime_ns for path in Path(out, "images").iterdir()}.items()
        assert Pool.open(out).key != key

        asked = one.asked.total()
        assert download(source, out=out, **QUICK)["fetched"] == 0 and one.asked.total() == asked
        assert download(source, out=out, **QUICK, retry=["http_404"])["fetched"] == 1

        lost = {"image_id": hex_id(one.url("/1.jpg")), "url": one.url("/gone.jpg"), "opt_out": "", "attempts": 0}
        fetch_pages([Page(out, 0, [lost])], settings)  # an attempt thought lost, which ends now, and worse
        assert download(source, out=out, **QUICK)["fetched"] == 0
        _ingested(tmp_path, "more", [(one.url("/6.jpg"), "known picture", ""), (two.url("/none.jpg"), "new", "")])
        read_by_a_run = Pool.open(out)
        last = download(source, out=out, **QUICK)
        assert read_by_a_run.pairs(spark).count() == 14
        assert (last["pairs"], last["fetched"], one.asked["/6.jpg"]) == (16, 1, 1)
    _check_whole(spark, out, jpeg)
    _check_refusals(source, out)


def _check_refusals(source, out):
    with pytest.raises(StaleOutputError, match="form"):
        download(source, out=out, **QUICK, resize="border")
    with pytest.raises(StaleOutputError, match="not made by a download"):
        download(out, out=source, **QUICK)
    with pytest.raises(RecipeError, match="neither HOST"):
        download(source, out=out, allow_host=["a/b"])


def _check_whole(spark, out, jpeg):
    """Each image once; each pair that has one points to it; each byte accounted for."""
    pairs, rows = _pairs(out, spark), _downloads(out)
    assert len(rows) == len({row["image_id"] for row in rows.values()}) == 13
    for pair in pairs.values():
        row = rows[pair.url]
        assert (pair.image is None) == (row["status"] != "ok")
        if pair.image is not None:
            assert pair.image.asDict() == row["image"] and next(read_pointers([row["image"]])) == jpeg
    assert pairs["the same picture"].image == pairs["picture 0"].image
    assert rows[pairs["on another page"].url]["detail"] == "noai (page)"
    [part] = Pool.open(out).parts
    assert part["with_image"] == sum(pair.image is not None for pair in pairs.values())
    for path in Path(out, "pairs").rglob("*.parquet"):
        PAIRS.check(pq.read_schema(path), str(path))
    for table in ("pairs", "downloads"):  # the version before, too: a run may be reading it
        assert sum(path.is_dir() for path in Path(out, table).iterdir()) == 2


def test_a_picture_that_another_pair_has_is_for_all(spark):
    image = "image struct<uri string, offset bigint, length bigint>"
    rows = [("1", "a", None), ("2", "a", ("f", 9, 9)), ("3", "a", ("e", 9, 9)), ("4", "b", None), ("5", "c", None)]
    pairs = spark.createDataFrame(rows, f"uid string, image_id string, {image}")
    got = spark.createDataFrame(
        [("c", ("d", 9, 9), "ok", None)], f"image_id string, {image}, status string, detail string"
    )
    found = {row.uid: row.image and row.image.uri for row in with_images(pairs, got).collect()}
    assert found == {"1": "e", "2": "f", "3": "e", "4": None, "5": "d"}


RECIPE = """# test
[[stage]]
name = "text"
run = "select_subset"
with.keep.caption_words = { min = 2 }
[[stage]]
run = "download_images"
with.allow_host = ["127.0.0.1"]
with.retries = 0
[[stage]]
name = "pixels"
run = "select_subset"
with.keep.image_min_side_px = { min = 100 }
"""


def test_a_recipe_fetches_what_its_text_filters_left(spark, tmp_path, jpeg):
    flaky = _in_turn(lambda handler: send(handler, b"", 503, Retry_After="0"), answering(jpeg))
    with Site({"/a.jpg": jpeg, "/b.jpg": flaky, "/c.jpg": jpeg}) as site:
        rows = [(site.url(f"/{n}.jpg"), caption, "") for n, caption in (("a", "two words"), ("b", "a b"), ("c", "one"))]
        _ingested(tmp_path, "urls", rows)
        pool, recipe = str(tmp_path / "pool"), tmp_path / "r.toml"
        recipe.write_text(RECIPE)
        # Signals of a picture that is not there yet are null; once it is, they are not.
        blind = tmp_path / "blind.toml"
        blind.write_text(
            RECIPE.partition('[[stage]]\nrun = "download')[0] + RECIPE[RECIPE.index('[[stage]]\nname = "pi') :]
        )
        assert run(str(blind), pool, str(tmp_path / "none"))["kept"] == 0

        done = run(str(recipe), pool, str(tmp_path / "out"))
        assert done["kept"] == 1 and site.asked["/c.jpg"] == 0  # "one" has one word
        subset = {
            row["drop_reason"]
            for p in Path(tmp_path, "out/subset").glob("*.parquet")
            for row in pq.read_table(p).to_pylist()
        }
        assert subset == {None, "caption_words<2", "http_503"}

        again = run(str(recipe), pool, str(tmp_path / "again"), set=["download_images.again=1"])
        assert again["kept"] == 2 and site.asked["/a.jpg"] == 1 and site.asked["/b.jpg"] == 2
        chosen = download(pool, out=str(tmp_path / "images"), subset=str(tmp_path / "again"), **QUICK)
        assert (chosen["pairs"], chosen["pairs_with_image"], site.asked["/c.jpg"]) == (2, 2, 0)


def test_a_page_forbids_the_use_whatever_became_of_its_pair(spark, tmp_path, jpeg):
    names = ("merged", "filtered", "later", "free")
    with Site({f"/{name}.jpg": jpeg for name in names}) as site:
        urls = {name: site.url(f"/{name}.jpg") for name in names}
        rows = [(url, f"two words {name}", "") for name, url in urls.items()]
        _ingested(tmp_path, "one", [*rows, (*rows[0][:2], "noai"), (urls["filtered"], "one", "noml")])
        _ingested(tmp_path, "two", [(*rows[2][:2], "noindex")])
        pool, recipe = str(tmp_path / "pool"), tmp_path / "r.toml"
        recipe.write_text(RECIPE)
        done = run(str(recipe), pool, str(tmp_path / "out"))
        assert done["kept"] == 1 and {*site.asked} == {"/free.jpg", "/robots.txt"}
        text = tmp_path / "text.toml"
        text.write_text(RECIPE.partition('[[stage]]\nrun = "download')[0])
        run(str(text), pool, str(tmp_path / "text"))
        out = str(tmp_path / "images")
        first = download(pool, out=out, subset=str(tmp_path / "text"), **QUICK)
        assert first["statuses"] == {"ok": 1, "opt_out": 3}
        second = download(out, out=str(tmp_path / "again"), **QUICK)  # what is known goes with the pairs
        assert second["statuses"] == {"opt_out": 3} and second["pairs_with_image"] == 1
        assert site.asked["/free.jpg"] == 2 and len(site.asked) == 2
