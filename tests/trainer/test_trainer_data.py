"""The held-out rule and the batches."""

import io
import json
from itertools import count

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from curation.errors import BrokenTableError, RecipeError
from curation.shards.manifest import Release
from curation.trainer.augment import DRAWS, KINDS, WIDE_AREA, rand_augment
from curation.trainer.data import AREA, Batches, Collate, Tokens, loader, split, uniform, window
from tests.shards.conftest import write_release
from tests.shards.damage import rewrite_table


def tokens_of(texts: list[str], keys: list[tuple]) -> torch.Tensor:
    return torch.tensor([[len(text)] for text in texts])


def test_split_is_a_partition_by_image(release):
    opened = Release.open(release)
    chosen, held = split(opened, 0.3)
    table = opened.samples(["uid", "image_id"]).to_pylist()
    assert sorted(chosen + held) == sorted(row["uid"] for row in table) and held and chosen
    images = [{row["image_id"] for row in table if row["uid"] in side} for side in (set(chosen), set(held))]
    assert not images[0] & images[1]
    assert set(split(opened, 0.1)[1]) <= set(held)  # a larger share only adds
    assert split(opened, 0) == (None, [])


def test_split_gives_each_image_one_side_whatever_the_caption():
    class Two:
        """Two releases' worth of rows: equal images under other uids."""

        def samples(self, columns):
            import pyarrow as pa

            rows = [{"uid": f"{caption}{image}", "image_id": str(image)} for image in range(200) for caption in "ab"]
            return pa.Table.from_pylist(rows)

    _, held = split(Two(), 0.25)
    assert {uid[1:] for uid in held if uid[0] == "a"} == {uid[1:] for uid in held if uid[0] == "b"}
    assert 0.15 < len(held) / 400 < 0.35


@settings(deadline=None)
@given(st.text(), st.integers())
def test_uniform_is_in_range_and_keyed(name, draw):
    assert 0 <= uniform(name, draw) < 1
    assert uniform(name, draw) == uniform(name, draw) != uniform(name, draw + 1)


@pytest.mark.parametrize("shape", [(48, 64), (64, 48), (5, 300), (300, 5), (1, 1), (900, 1200)])
def test_crop_of_a_ramp_covers_what_it_should(shape):
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    ramp = np.stack([rows / max(shape[0] - 1, 1), columns / max(shape[1] - 1, 1), rows * 0], -1) * 255
    collate = Collate(16, tokens_of, 0, 0)
    for uid in "abcdef":
        out = collate.crop(ramp.astype(np.uint8), uid)
        assert out.shape == (16, 16, 3) and out.dtype == np.uint8
        if min(shape) > 40:
            high, wide = (int(out[-1, 8, 0]) - int(out[0, 8, 0])) / 255, (int(out[8, -1, 1]) - int(out[8, 0, 1])) / 255
            assert AREA[0] * 0.85 < high * wide < 1.05  # sampled at centres: 15 of 16 each way are seen


@pytest.mark.parametrize("shape", [(300, 300), (360, 480), (300, 403)])
def test_windows_are_those_of_torchvisions_rule(shape):
    height, width = shape
    found = set()
    for uid in range(300):
        draws = (uniform(uid, n) for n in count())
        left, top, right, bottom = window(width, height, AREA, draws)
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        assert 0.89 < (right - left) * (bottom - top) / (width * height) <= 1
        assert 0.74 < (right - left) / (bottom - top) < 1.35
        found.add((left, top, right, bottom))
    assert len(found) > 100


@pytest.mark.parametrize(
    ("size", "box"),
    [((600, 400), (33, 0, 566, 400)), ((100, 400), (0, 133, 100, 266)), ((300, 5), (146, 0, 153, 5))],
)
def test_where_no_window_fits_it_is_the_middle(size, box):
    assert {window(*size, AREA, (uniform(uid, n) for n in count())) for uid in range(20)} == {box}


def test_crop_depends_on_seed_epoch_and_uid_only():
    pixels = np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)
    crops = {
        (seed, epoch, uid): Collate(16, tokens_of, seed, epoch).crop(pixels, uid).tobytes()
        for seed in (0, 1)
        for epoch in (0, 1)
        for uid in "ab"
    }
    assert len(set(crops.values())) >= 6  # where no window fits, it is the whole picture
    assert crops[0, 1, "b"] == Collate(16, tokens_of, 0, 1).crop(pixels, "b").tobytes()


def test_collate_gives_pixels_and_tokens():
    file = io.BytesIO()
    Image.new("RGB", (40, 30), (255, 0, 10)).save(file, "PNG")
    samples = [
        {"uid": "a", "image": file.getvalue(), "text": "red"},
        {"uid": "b", "image": file.getvalue(), "text": ""},
    ]
    batch = Collate(8, tokens_of, 0, 0)(samples)
    assert batch["pixels"].shape == (2, 3, 8, 8) and batch["pixels"].dtype == torch.uint8
    assert batch["pixels"][1, :, 4, 4].tolist() == [255, 0, 10]
    assert (batch["tokens"].tolist(), batch["uid"]) == ([[3], [0]], ["a", "b"])


def test_a_picture_that_does_not_decode_names_its_sample():
    with pytest.raises(BrokenTableError, match=r"sample u1: its picture does not decode \(.*verify --decode --fix"):
        Collate(8, Tokens(None), 0, 0)([{"uid": "u1", "image": b"none", "text": "x"}])


REWRITE = "another caption, longer than any that the drawings have of their own, which are short"


@pytest.fixture(scope="module")
def rewritten(tmp_path_factory) -> str:
    """A release of 20 pictures whose captions have a rewrite each."""

    def with_captions(table):
        told = [[{"text": REWRITE, "kind": "rewrite", "model": None, "language": None, "negative": False}]] * len(table)
        place = table.schema.get_field_index("captions")
        return table.set_column(place, "captions", pa.array(told, table.schema.field("captions").type))

    out = write_release(tmp_path_factory.mktemp("rewritten") / "release", samples=20, per_shard=20)
    rewrite_table(out, "manifest/samples/00000000.parquet", with_captions)
    return str(out)


def test_each_visit_shows_one_of_several_captions(rewritten):
    own = {row["uid"]: len(row["caption"]) for row in Release.open(rewritten).samples().to_pylist()}
    seen = set()
    batches = Batches(rewritten, Collate(8, tokens_of, 0, 0), uids=None, lanes=(0, 1, 1), batch=10, captions=True)
    for _ in range(3):
        for batch in batches:
            seen |= {(uid, size) for uid, [size] in zip(batch["uid"], batch["tokens"].tolist())}
    assert {size for _, size in seen} - {len(REWRITE)} <= set(own.values())
    shown = {uid: {size == len(REWRITE) for each, size in seen if each == uid} for uid in own}
    assert sum(len(kinds) == 2 for kinds in shown.values()) > 8  # three visits show both to three of four


@pytest.mark.parametrize(
    ("captions", "shares"),
    [("first", (0, 0)), ("any", (0.3, 0.7)), ({"original": 1}, (0, 0)), ({"original": 1, "rewrite": 9}, (0.8, 1))],
)
def test_training_shows_captions_as_often_as_their_kinds_weigh(quick, rewritten, monkeypatch, captions, shares):
    shown, call = [], Tokens.__call__
    monkeypatch.setattr(Tokens, "__call__", lambda self, texts, keys: (shown.extend(texts), call(self, texts, keys))[1])
    text = captions if isinstance(captions, str) else json.dumps(captions)
    quick("a", f"captions={text}", release=rewritten, samples_seen=96)
    assert shares[0] <= shown.count(REWRITE) / len(shown) <= shares[1] and len(shown) == 96


@pytest.mark.parametrize(
    ("captions", "message"),
    [
        ("second", "--set captions=second: Input should be 'first' or 'any', or: Input should be a valid dict"),
        ('{"rewrite": -1}', "--set captions=-1: Input should be greater than or equal to 0"),
        ("{}", "--set captions={}: .* at least 1 item"),
        ('{"original": 1, "llm": 2}', r"no kind of caption \['llm'\]; known: \['original', 'rewrite'\]"),
    ],
)
def test_wrong_weights_of_captions_are_told(quick, rewritten, tmp_path, captions, message):
    with pytest.raises(RecipeError, match=message):
        quick("a", f"captions={captions}", release=rewritten)
    assert not (tmp_path / "a").exists()


def test_tokens_are_cut_by_mode_and_keyed():
    import open_clip

    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    texts, keys = ["a dog", "one two three four five six seven eight"], [(0, 0, "a"), (0, 0, "b")]
    cut = Tokens(tokenizer, 6)(texts, keys)
    assert cut.shape == (2, 6) and torch.equal(cut, tokenizer(texts, 6))
    whole = tokenizer.encode(texts[1])
    for mode in ("random", "block"):
        tokens = Tokens(tokenizer, 6, mode).check()
        found = tokens(texts, keys)
        assert torch.equal(found[0], cut[0])  # it fits
        ids = found[1].tolist()
        assert (ids[0], ids[-1]) == (tokenizer.sot_token_id, tokenizer.eot_token_id)
        assert [whole.index(each) for each in ids[1:-1]] == sorted(whole.index(each) for each in ids[1:-1])
        assert torch.equal(tokens(texts, keys), found)
        assert len({tuple(tokens(texts, [(0, n, "a"), (0, n, "b")])[1].tolist()) for n in range(20)}) > 3
    with pytest.raises(RecipeError, match="tokens=random: wanted the tokenizer of CLIP, found function"):
        Tokens(tokens_of, mode="random").check()


def test_strong_augmentation_is_keyed_and_keeps_size_and_type():
    pixels = np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8)
    plain, strong = (Collate(16, tokens_of, 0, 0, each) for each in (False, True))
    assert strong.crop(pixels, "a").shape == (16, 16, 3) and strong.crop(pixels, "a").dtype == np.uint8
    assert np.array_equal(strong.crop(pixels, "a"), Collate(16, tokens_of, 0, 0, True).crop(pixels, "a"))
    assert not np.array_equal(strong.crop(pixels, "a"), plain.crop(pixels, "a"))
    assert WIDE_AREA[0] < AREA[0]


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_each_operation_does_something_to_some_picture(kind):
    image = Image.fromarray(np.random.default_rng(1).integers(40, 200, (20, 30, 3), np.uint8))
    draws = [(kind + 0.5) / len(KINDS), 0.2] + [0.0, 0.0] * (DRAWS // 2 - 1)
    found = rand_augment(image, draws)
    assert found.size == image.size and found.mode == "RGB"
    assert (found.tobytes() == image.tobytes()) == (kind == 0)


def batches(release, *, workers=0, start=0, epoch=0, lanes=(0, 1, 1), epochs=1, uids=None):
    made = Batches(release, Collate(8, tokens_of, 0, 0), uids=uids, lanes=lanes, batch=16)
    loaded = loader(made.begin(epoch, start), workers)
    return [batch for _ in range(epochs) for batch in loaded]


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_are_the_same_for_any_number_of_workers(release, workers):
    wanted, found = batches(release, epochs=3, start=1), batches(release, epochs=3, start=1, workers=workers)
    assert [b["uid"] for b in found] == [b["uid"] for b in wanted] and len(found) == 2 + 3 + 3
    assert all(torch.equal(f["pixels"], w["pixels"]) for f, w in zip(found, wanted))


def test_whole_batches_only_and_no_sample_twice(release):
    found = batches(release)
    uids = [uid for batch in found for uid in batch["uid"]]
    assert len(found) == 3 and len({*uids}) == len(uids) == 48
    assert [b["uid"] for b in batches(release, epoch=1)] != [b["uid"] for b in found]
    assert [b["uid"] for b in batches(release, epochs=2)[3:]] == [b["uid"] for b in batches(release, epoch=1)]


def test_an_epoch_goes_on_where_it_was_left(release):
    assert [b["uid"] for b in batches(release, start=2)] == [b["uid"] for b in batches(release)][2:]
    assert batches(release, start=3) == []


def test_batches_depend_on_the_lanes_and_not_on_the_ranks_that_share_them(release):
    """Of four lanes: one rank's batches are those of two ranks side by side, and of four."""
    whole = [b["uid"] for b in batches(release, lanes=(0, 4, 4))]
    for ranks in (2, 4):
        each = 4 // ranks
        parts = [batches(release, lanes=(n * each, (n + 1) * each, 4), workers=n % 2) for n in range(ranks)]
        assert [[uid for b in row for uid in b["uid"]] for row in zip(*parts)] == whole
    assert len(whole) == 3 and len({uid for uids in whole for uid in uids}) == 48


def test_lanes_of_unequal_length_give_equally_many_batches(release):
    uids = Release.open(release).samples(["uid"])["uid"].to_pylist()[:53]  # 17 or 18 samples a lane
    parts = [batches(release, lanes=(n, n + 1, 2), uids=uids) for n in range(2)]
    assert [len(part) for part in parts] == [3, 3]
    seen = [uid for part in parts for batch in part for uid in batch["uid"]]
    assert len({*seen}) == len(seen) == 48 and {*seen} <= {*uids}
