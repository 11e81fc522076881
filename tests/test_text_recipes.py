"""Recipes that mix captions and balance attributes, end to end on drawn pictures, and what is told of their pairs."""

import csv

import pytest

from curation.explain import why
from curation.ingest import ingest
from curation.run import run
from curation.shards.manifest import Release
from curation.shards.verify import verify


@pytest.fixture(scope="module")
def people(spark, pictures, tmp_path_factory):
    """A pool of drawings whose captions name women and men, twelve to four, with a rewritten caption each."""
    with open(pictures / "pictures.tsv", encoding="utf-8") as file:
        paths = [row["path"] for row in csv.DictReader(file, delimiter="\t")]
    good = [path for n, path in enumerate(dict.fromkeys(paths)) if n != 5][:16]
    who = ["a woman"] * 12 + ["a man"] * 4
    lines = [
        f"{path}\tA drawing of {person}, number {n}\trewritten text {n}"
        for n, (path, person) in enumerate(zip(good, who))
    ]
    table = pictures / "people.tsv"
    table.write_text("path\tcaption\tre_caption\n" + "\n".join(lines) + "\n", encoding="utf-8")
    folder = str(tmp_path_factory.mktemp("people") / "pool")
    ingest([str(table)], out=folder)
    return folder


def test_attributes_are_balanced_and_told(people, tmp_path, capsys):
    out = str(tmp_path / "out")
    run("balanced_attributes", people, out, store=str(tmp_path / "store"), set=["weigh_attributes.keep_share=0.4"])
    mark = Release.open(out).mark
    told = next(s for s in mark["stages"] if s["run"] == "weigh_attributes")["associations"]
    [female] = [row for row in told if row["label"] == ""]
    assert female["pairs"] == 16 and female["share"] == 0.75 and abs(female["share_kept"] - 0.5) < 0.03
    for row in Release.open(out).subset().to_pylist():
        assert why(out, row["uid"]) is None
        assert ("weighed_out" in capsys.readouterr().out) == (not row["keep"])
    assert not verify(out)


def test_rewritten_captions_take_the_place_of_raw_ones(people, model, tmp_path):
    out = str(tmp_path / "out")
    changes = [f"signals.clip={model}", "mix_captions.strategy=best_top", "mix_captions.x=1.0"]
    run(
        "caption_mix",
        people,
        out,
        store=str(tmp_path / "store"),
        set=[*changes, 'mix_captions.generated=["re_caption"]'],
    )
    rows = Release.open(out).samples().to_pylist()
    assert len(rows) == 16 and {r["caption_source"] for r in rows} == {"raw", "re_caption"}
    for row in rows:
        assert row["caption"].startswith("A drawing" if row["caption_source"] == "raw" else "rewritten text")
    assert not verify(out)
