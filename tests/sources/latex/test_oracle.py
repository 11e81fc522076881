"""The small sources that a public extractor was run on; ours agrees where that finds anything. And into a pool."""

import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from curation.images import read_pointers
from curation.ingest import ingest
from curation.pool import Pool
from tests.sources.latex.papers import picture, read, write
from tests.sources.latex.test_packages_of_papers import FIGURE, MAIN, PREAMBLE, tar
from tests.sources.latex.test_raster import pdf

OURS = {"two_graphics": {"a.png": "Both.", "b.png": "Both."}}  # of which the extractor finds nothing
CASES = ["simple", "no_extension", "two_graphics", "subfigures", "short_caption", "url_blacklist", "multiline"]
CASES += ["caption_with_math_ref_cite"]


@pytest.fixture(scope="session")
def oracle(shared: Path) -> dict:
    return json.loads((shared / "oracles/arxiv_latex_figures_small.json").read_text())["cases"]


def test_every_case_has_an_answer(oracle: dict) -> None:
    assert set(oracle) == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_captions(oracle: dict, tmp_path: Path, name: str) -> None:
    case = oracle[name]
    files = {file: pdf("red") if file.endswith(".pdf") else picture() for file in case["graphics"]}
    result = read(write(tmp_path, {"main.tex": case["tex"], **files}) / "main.tex")
    assert {row["extra"]["file"]: row["caption"] for row in result.found} == OURS.get(name, case["captions"])
    assert [error for _, error in result.errors()] == (["link_in_caption"] if name == "url_blacklist" else [])


def test_into_a_pool(spark: object, tmp_path: Path) -> None:
    main = PREAMBLE + r"\begin{document}" + FIGURE + r"\begin{figure}\includegraphics{no}\caption{No file.}\end{figure}"
    write(tmp_path / "in", {"2310.00001/main.tex": main, "2310.00001/f/a.png": picture("green")})
    bulk = {"2310/2310.00002.gz": gzip.compress(tar({"main.tex": MAIN.encode(), "f/a.pdf": pdf("red")}))}
    (tmp_path / "in/arXiv_src_2310_001.tar").write_bytes(tar(bulk))
    out = str(tmp_path / "pool")
    result = ingest([str(tmp_path / "in")], out=out, raster_side=32)
    assert (result["rows"], result["rejected"]) == (2, 1)
    rows = Pool.open(out).pairs(spark).orderBy("document").collect()
    assert [(row.kind, row.document, row.caption) for row in rows] == [
        ("latex", "2310.00001", "One <ref>."), ("latex", "2310.00002", "One <ref>."),
    ]  # fmt: skip
    images = read_pointers([row.image.asDict() for row in rows])
    pictures = [Image.open(io.BytesIO(data)) for data in images]
    assert [(p.format, p.size) for p in pictures] == [("PNG", (8, 6)), ("JPEG", (32, 16))]
    rejects = pa.concat_tables(pq.read_table(p) for p in Path(out, "rejects").rglob("*.parquet")).to_pylist()
    assert [(row["item"], row["error"]) for row in rejects] == [("fig2 no", "missing_file")]
