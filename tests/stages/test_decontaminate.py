"""curate calibrate and decontaminate: pictures of evaluation sets are found, altered or not; others stay."""

import io
import os
import shutil
import tarfile

import numpy as np
import pyarrow.parquet as pq
import pytest
from lxml import html
from PIL import Image

from curation.calibrate import ALTERED, calibrate
from curation.errors import MissingModelError, RecipeError, StaleOutputError
from curation.evaluation_items import evaluation_items
from curation.images import read_pointers
from curation.models.evaluation import load_evaluation
from curation.recipe import load_recipe
from curation.report.report import report
from curation.run import run
from curation.shards.manifest import Release
from curation.shards.verify import verify_release
from curation.signals import SIGNALS
from curation.vectors import as_matrix, exact_cosine
from tests.drawing import draw

RECIPE = """
[inputs]
evaluation = "{file}"

[[stage]]
run = "decontaminate"

[[stage]]
run = "write_shards"
with.signals = ["evaluation_score", "evaluation_set", "evaluation_item"]
"""


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    """A folder of ten drawings, one of them in a folder inside, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("evaluation")
    (folder / "inside").mkdir()
    for number in range(10):
        draw(number)[0].save(folder / ("inside" if number == 4 else "") / f"{number}.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def calibrated(evaluation, model, tmp_path_factory):
    out = str(tmp_path_factory.mktemp("file") / "evaluation.parquet")
    return out, calibrate([f"drawings={evaluation}"], out=out, clip=model, precision=0.9)


def embedded(pictures, model):
    found = SIGNALS["image_embedding"]([np.asarray(each.convert("RGB")) for each in pictures], clip=model)
    return as_matrix(found)[0]


def test_the_threshold_has_the_precision_that_was_asked_for(evaluation, calibrated, model):
    out, told = calibrated
    assert told["items"] == 10 and told["unreadable"] == 1 and told["precision"] >= 0.9 and told["recall"] > 0
    originals = [np.asarray(draw(number)[0]) for number in range(10)]
    known = embedded([Image.fromarray(each) for each in originals], model)
    hits = misses = 0
    for change in ALTERED.values():
        for own, vector in enumerate(embedded([Image.fromarray(change(each)) for each in originals], model)):
            cosines = exact_cosine(np.tile(vector, (10, 1)), known)
            right = cosines.argmax() == own
            hits += bool(right and cosines.max() > told["threshold"])
            misses += bool(not right and cosines.max() > told["threshold"])
            misses += bool(np.delete(cosines, own).max() > told["threshold"])
    assert hits / (hits + misses) == pytest.approx(told["precision"])
    assert load_evaluation(out).items["item"].to_pylist()[-1] == "inside/4.png"


def test_pictures_of_the_set_are_dropped_and_others_stay(spark, pool, calibrated, evaluation, model, tmp_path):
    shutil.copytree(pool, tmp_path / "pool")
    recipe = tmp_path / "clean.toml"
    recipe.write_text(RECIPE.format(file=calibrated[0]))
    out = str(tmp_path / "out")
    run(str(recipe), str(tmp_path / "pool"), out, set=[f"signals.clip={model}"])
    threshold, items = calibrated[1]["threshold"], load_evaluation(calibrated[0])
    rows = Release.open(out).subset().to_pylist()
    leaked = [row for row in rows if row["drop_reason"] == "evaluation_image"]
    assert len(leaked) >= 8  # ten drawings, one cut short; the others may lie as near as these
    for row in leaked:
        name, cosine = row["drop_value"].split(", ")
        assert name.startswith("drawings/") and float(cosine) > threshold - 1e-6
    samples = Release.open(out).samples().to_pylist()
    assert all(row["evaluation_score"] <= threshold and row["evaluation_set"] == "drawings" for row in samples)
    assert {row["evaluation_item"] for row in samples} <= set(items.items["item"].to_pylist())
    assert [row["drop_reason"] for row in rows].count("nearest_evaluation is null") == 1
    assert len(samples) + len(leaked) + 1 == len(rows)
    report(out)
    [section] = html.parse(f"{out}/report.html").xpath('//section[@id="leaks"]')
    cells = [cell.text_content() for cell in section.xpath(".//tbody/tr/td")]
    assert cells[:2] == ["drawings", "10"] and cells[3] == str(len(leaked))
    beside = section.xpath('.//div[@class="two groups"]/div')
    assert len(beside) == min(12, len(leaked)) and all(len(each.xpath(".//img")) == 2 for each in beside)
    for part in (tmp_path / "out/subset").glob("*.parquet"):
        part.unlink()  # the verdicts are lost: of what leaked there is no row any more
    mended = str(tmp_path / "mended")
    assert verify_release(out, fix=True, out=mended)["faults"] == 0
    report(mended)
    [section] = html.parse(f"{mended}/report.html").xpath('//section[@id="leaks"]')
    assert not section.xpath('.//div[@class="two groups"]/div')


def test_a_pool_is_a_set_too_and_its_captions_count(spark, pool, model, tmp_path):
    out = str(tmp_path / "pool.parquet")
    told = calibrate([pool], out=out, clip=model, threshold=0.9999)
    found = load_evaluation(out)
    assert told["threshold"] == 0.9999 and set(found.items["set"].to_pylist()) == {"pool"}
    caption = found.items["caption"][0].as_py()
    ngrams = SIGNALS["evaluation_ngrams"](found.items["caption"].combine_chunks().slice(0, 1), evaluation=out)
    assert caption and ngrams.to_pylist()[0] > 0
    nearest = SIGNALS["nearest_evaluation"](found.items["vector"].combine_chunks(), evaluation=out).to_pylist()
    assert all(row["score"] > 0.9999 for row in nearest)


def test_the_same_set_as_folder_tar_and_list(evaluation, model, tmp_path):
    with tarfile.open(tmp_path / "set.tar", "w") as tar:
        for name in ("0.png", "inside/4.png"):
            tar.add(evaluation / name, name)
        data = b"a drawing"
        member = tarfile.TarInfo("0.txt")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    (tmp_path / "list.txt").write_text(f"{evaluation}/0.png\n\n{evaluation}/inside/4.png\n")
    sources = {"folder": evaluation, "tar": tmp_path / "set.tar", "list": tmp_path / "list.txt"}
    out = str(tmp_path / "evaluation.parquet")
    calibrate([f"{name}={path}" for name, path in sources.items()], out=out, clip=model, threshold=0.9)
    found = load_evaluation(out).items.to_pylist()
    vectors = {each["vector"] for each in found if each["set"] == "tar"}
    assert len(vectors) == 2 and vectors == {each["vector"] for each in found if each["set"] == "list"}
    assert vectors <= {each["vector"] for each in found if each["set"] == "folder"}
    assert [(e["item"], e["caption"]) for e in found if e["set"] == "tar"] == [
        ("0.png", "a drawing"),
        ("inside/4.png", None),
    ]
    (tmp_path / "packed.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(RecipeError, match="wanted a whole tar"):
        calibrate([str(tmp_path / "packed.tar")], out=str(tmp_path / "x"), clip=model)


def test_pictures_behind_links_count_as_in_a_snapshot_of_a_hub(evaluation, tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "hub").mkdir()
    for number in range(3):
        shutil.copy(evaluation / f"{number}.png", tmp_path / f"blobs/{number}")
        (tmp_path / f"hub/{number}.png").symlink_to(f"../blobs/{number}")
    found = evaluation_items(str(tmp_path / "hub"))
    assert found["item"].to_pylist() == ["0.png", "1.png", "2.png"]
    assert all(read_pointers(found["image"].to_pylist()))
    (tmp_path / "hub/gone.png").symlink_to("../blobs/9")
    (tmp_path / "hub/folder").symlink_to("../blobs")
    with pytest.raises(RecipeError, match=r"hub: 2 entries cannot be read: folder \(symbolic_link\), gone.png"):
        evaluation_items(str(tmp_path / "hub"))


def test_a_path_may_have_an_equals_sign(evaluation, tmp_path):
    shutil.copytree(evaluation, tmp_path / "split=test")
    for source, name in ((f"{tmp_path}/split=test", "split=test"), (f"drawn={tmp_path}/split=test", "drawn")):
        found = evaluation_items(source)
        assert set(found["set"].to_pylist()) == {name} and len(found) == 11


def test_another_model_and_other_files_are_refused(calibrated, evaluation, model, tmp_path):
    recipe = tmp_path / "clean.toml"
    recipe.write_text(RECIPE.format(file=calibrated[0]))
    with pytest.raises(RecipeError, match="run curate calibrate with this model"):
        load_recipe(str(recipe), ["signals.clip=sample-clip"])
    with pytest.raises(RecipeError, match="run curate calibrate with this model"):
        load_recipe(str(recipe), [f"signals.clip={model}", "signals.decode=exact"])
    load_recipe(str(recipe), [f"signals.clip={model}"])
    papers = load_recipe("scientific_papers", [f"signals.clip={model}", f"inputs.evaluation={calibrated[0]}"])
    assert papers.steps[3].settings["evaluation"] == calibrated[0]
    pq.write_table(pq.read_table(calibrated[0]).replace_schema_metadata(None), tmp_path / "other.parquet")
    with pytest.raises(RecipeError, match="wanted a file of curate calibrate"):
        load_recipe(str(recipe), [f"signals.clip={model}", f"inputs.evaluation={tmp_path / 'other.parquet'}"])
    with pytest.raises(StaleOutputError, match="name another file"):
        calibrate([str(evaluation)], out=calibrated[0], clip=model)
    with pytest.raises(RecipeError, match="on this machine; wanted"):
        calibrate([str(tmp_path / "none")], out=str(tmp_path / "x"), clip=model)
    with pytest.raises(MissingModelError):
        calibrate([str(evaluation)], out=str(tmp_path / "x"), clip="none")
    assert not os.path.exists(tmp_path / "x")
