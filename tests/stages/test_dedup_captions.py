"""dedup_captions: of captions that say nearly the same one stays, within a picture or a pool."""

import pytest

from curation.methods.minhash import jaccard, shingles
from curation.schema import hex_id
from curation.stages import STAGES

SAID = [
    "a brown dog lies on the green grass of a wide park in the afternoon sun",
    "A brown dog lies on the green grass of a wide park in the afternoon sun.",
    "a brown dog lies on the green grass of a wide park in the evening sun",
    "two cats look out of a window at the falling snow",
    "Two cats look out of a window at falling snow",
    "a red car",
]


@pytest.fixture(scope="module")
def rows():
    """Each caption with each of eight pictures, and once more in other blanks: equal by its shingles, not its text."""
    texts = [*SAID, SAID[0].replace(" ", "  ")]
    return [
        (hex_id(str(i), text), hex_id(str(i)), text, (n * 7 + i) % 5 / 5)
        for i in range(8)
        for n, text in enumerate(texts)
    ]


def run(spark, rows, partitions=3, **settings):
    frame = spark.createDataFrame(rows, "uid string, image_id string, caption string, clip_score double")
    result, sides = STAGES["dedup_captions"](frame.repartition(partitions), threshold=0.68, **settings)
    kept = {r.uid for r in result.where("keep").collect()}
    return kept, {r.uid: (r.representative, r.similarity) for r in sides["duplicates"].collect()}


@pytest.mark.parametrize("within", ["image", "pool"])
def test_against_all_pairs(spark, rows, within):
    kept, groups = run(spark, rows, within=within, prefer=["clip_score"])
    wanted: list[tuple] = []
    for row in sorted(rows, key=lambda r: (-r[3], r[0])):
        near = [jaccard(shingles(row[2]), shingles(k[2])) for k in wanted if within == "pool" or k[1] == row[1]]
        if not near or max(near) < 0.68:
            wanted.append(row)
    assert kept == {row[0] for row in wanted}
    assert groups.keys() == {row[0] for row in rows} - kept and len(groups) > 20
    caption = {row[0]: row[2] for row in rows}
    for uid, (representative, similarity) in groups.items():
        assert representative in kept
        assert similarity == pytest.approx(jaccard(shingles(caption[uid]), shingles(caption[representative])), abs=0.03)
    assert run(spark, rows[::-1], 7, within=within, prefer=["clip_score"]) == (kept, groups)
