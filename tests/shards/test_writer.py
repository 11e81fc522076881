"""What goes into a shard besides plain copies: pictures made smaller or encoded anew, captions, vectors."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from curation.errors import BadItemError, BrokenTableError, RecipeError, StaleOutputError
from curation.files import join
from curation.headers import header
from curation.records import read_record, write_record
from curation.schema import CAPTIONS, PAIRS, hex_id
from curation.shards.picture import Form, picture
from curation.shards.tar import read_members
from curation.shards.writer import shard_record, vectors_name, write_release_shard
from curation.stages.write_shards import CARRIED

FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF", "tiff": "TIFF"}


def drawn(width: int, height: int, extension: str, **options) -> bytes:
    """A soft gradient, which no encoder changes much."""
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([rows * 255 // height, columns * 255 // width, (rows + columns) * 255 // (height + width)], -1)
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, FORMATS[extension], **options)
    return file.getvalue()


def pixels_of(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), int)


@pytest.mark.parametrize("extension", ["jpg", "png", "webp"])
def test_a_picture_that_needs_no_change_stays_byte_for_byte(extension):
    data = drawn(300, 200, extension)
    for form in (Form(), Form(max_side_px=300), Form(short_side_px=200), Form(512, 512, quality=10)):
        assert picture(data, form).data == data
    assert picture(data, Form(max_side_px=299)).data != data


@pytest.mark.parametrize(
    ("form", "size"),
    [
        (Form(max_side_px=512), (512, 384)),
        (Form(short_side_px=256), (341, 256)),
        (Form(max_side_px=100, short_side_px=90), (100, 75)),
        (Form(max_side_px=100, encode="webp", quality=80), (100, 75)),
        (Form(encode="jpg", quality=60), (1200, 900)),
    ],
)
@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "gif", "tiff"])
def test_size_format_and_digest_are_those_of_what_is_written(form, size, extension):
    data = drawn(1200, 900, extension)
    found = picture(data, form)
    assert (found.width, found.height) == size == Image.open(io.BytesIO(found.data)).size
    wanted = form.encode or {"gif": "png", "tiff": "png"}.get(extension, extension)
    assert found.format == wanted == header(found.data).format
    assert found.sha256 == hashlib.sha256(found.data).hexdigest() != hashlib.sha256(data).hexdigest()
    exact = np.asarray(Image.open(io.BytesIO(data)).convert("RGB").resize(size, Image.Resampling.BOX), int)
    assert np.abs(pixels_of(found.data) - exact).mean() < 4
    assert picture(data, form).data == found.data


def test_a_rotated_picture_is_written_upright():
    turned = Image.Exif()
    turned[0x0112] = 6
    data = drawn(80, 40, "jpg", exif=turned)
    found = picture(data, Form(max_side_px=40))
    assert (found.width, found.height) == (20, 40)
    assert header(found.data).orientation == 1


def test_quality_is_the_encoders(tmp_path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8))
    file = io.BytesIO()
    noise.save(file, "PNG")
    for encode in ("jpg", "webp"):
        sizes = [len(picture(file.getvalue(), Form(encode=encode, quality=q)).data) for q in (20, 60, 90)]
        assert sizes == sorted(sizes) and sizes[0] < sizes[2] / 2


def test_a_picture_that_cannot_be_decoded_is_refused_only_where_it_has_to_be():
    cut = drawn(300, 200, "jpg")[:1500]
    assert picture(cut, Form()).data == cut
    with pytest.raises(BadItemError):
        picture(cut, Form(encode="jpg"))


def rows_of(folder: Path, count: int = 5) -> pa.Table:
    """Pairs with a picture each, two further captions and a vector; number 3 has no vector, number 4 no file."""
    rows = []
    for number in range(count):
        data = drawn(100 + number, 80, "png")
        (folder / f"{number}.png").write_bytes(data)
        row = dict.fromkeys(CARRIED) | {"uid": hex_id(str(number)), "image_id": hex_id(f"i{number}")}
        row |= {"image": {"uri": str(folder / f"{number}.png"), "offset": None, "length": None}}
        row |= {"caption": f"caption {number}", "source": "made", "kind": "table", "document": str(number)}
        told = [{"text": f"another of {number}", "kind": "rewrite"}, {"text": "ein Bild", "language": "de"}]
        vector = None if number == 3 else np.arange(4, dtype="<f2").tobytes()[:6] + bytes([number, 0])
        row |= {"captions": told, "image_embedding": vector}
        rows.append(row | {"image_embedding__error": "not_an_image: made" if number == 3 else None})
    (folder / "4.png").unlink()
    fields = [PAIRS.arrow.field(n) for n in CARRIED]
    fields += [pa.field("image_embedding", pa.binary()), pa.field("image_embedding__error", pa.string())]
    return pa.Table.from_pylist(rows, pa.schema(fields))


def test_vectors_lie_beside_the_shard_row_by_row(tmp_path):
    rows = rows_of(tmp_path)
    out = str(tmp_path / "out")
    errors = write_release_shard(out, 7, rows, [], Form(max_side_px=50), ["image_embedding"]).to_pylist()
    assert errors[:4] == [None, None, None, "image_embedding is null: not_an_image: made"]
    assert errors[4].startswith("missing_file")
    record = read_record(shard_record(out, 7))
    [part] = record["embeddings"]
    assert part["name"] == vectors_name(7, "image_embedding") == "shards/00000007.image_embedding.npy"
    data = Path(join(out, part["name"])).read_bytes()
    assert (part["rows"], part["bytes"], part["sha256"]) == (3, len(data), hashlib.sha256(data).hexdigest())
    vectors = np.load(io.BytesIO(data), allow_pickle=False)
    assert vectors.dtype == np.float16 and vectors.shape == (3, 4)
    assert vectors.tobytes() == b"".join(rows["image_embedding"].to_pylist()[:3])


def test_manifest_and_json_have_every_caption_and_agree(tmp_path):
    import pyarrow.parquet as pq

    rows = rows_of(tmp_path, 5)
    out = str(tmp_path / "out")
    write_release_shard(out, 0, rows, [], Form(max_side_px=50))
    table = pq.read_table(join(out, "manifest/samples/00000000.parquet"))
    assert table.schema.field("captions").type == CAPTIONS
    tar = Path(join(out, "shards/00000000.tar")).read_bytes()
    found = {member.name: tar[member.offset : member.offset + member.bytes] for member in read_members(tar)}
    assert len(found) == 3 * len(table) == 12
    for row in table.to_pylist():
        told = json.loads(found[f"{row['uid']}.json"])
        assert told == {k: v for k, v in row.items() if k not in ("shard", "offset", "bytes")}
        assert [each["text"] for each in told["captions"]][1] == "ein Bild"
        assert found[f"{row['uid']}.txt"].decode() == row["caption"]
        image = found[f"{row['uid']}.png"]
        assert hashlib.sha256(image).hexdigest() == row["sha256"]
        assert (
            Image.open(io.BytesIO(image)).size == (row["width"], row["height"]) == (50, round(80 * 50 / row_side(row)))
        )
        assert tar[row["offset"]["image"] :][: row["bytes"]["image"]] == image


def row_side(row: dict) -> int:
    return 100 + int(row["document"])


def test_a_shard_is_made_again_where_what_was_asked_for_is_another(tmp_path):
    rows = rows_of(tmp_path)
    out = str(tmp_path / "out")
    contents = []
    for form in (Form(), Form(), Form(max_side_px=20), Form(max_side_px=20, quality=30)):
        write_release_shard(out, 0, rows, [], form)
        record = read_record(shard_record(out, 0))
        contents.append((record["content"], record["tar"]["sha256"]))
    assert contents[0] == contents[1] and len(set(contents)) == 3
    column = rows.column_names.index("image_embedding")
    other = rows.set_column(column, rows.field(column), pa.array([b"\0" * 8] * len(rows), pa.binary()))
    made = []
    for table in (rows, rows.slice(0, 5), pa.concat_tables([rows[:2], rows[2:]]), other):
        write_release_shard(out, 0, table, [], Form(), ["image_embedding"])
        made.append(read_record(shard_record(out, 0))["content"])
    assert made[0] == made[1] == made[2] != made[3]


def interrupted(*_):
    raise KeyboardInterrupt


def test_vectors_of_a_release_as_clip_retrieval_reads_them(make_release, tmp_path):
    import pyarrow.parquet as pq

    from curation.retrieval import retrieval

    out = make_release(samples=20, per_shard=8)
    with pytest.raises(RecipeError, match="no vectors of image_embedding or caption_embedding"):
        retrieval(str(out), str(tmp_path / "emb"))
    mark = read_record(str(out / "manifest/release.json"))
    parts = []
    for number, tar in enumerate(mark["tars"]):
        name = vectors_name(number, "image_embedding")
        np.save(out / name, np.full((tar["rows"], 4), number, np.float16))
        data = (out / name).read_bytes()
        parts.append({"name": name, "bytes": len(data), "rows": tar["rows"], "sha256": "0" * 64})
    write_record(str(out / "manifest/release.json"), mark | {"embeddings": parts})
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("curation.retrieval.parquet_writer", interrupted)  # the first vectors are there
        retrieval(str(out), str(tmp_path / "emb"))
    assert {each.name for each in tmp_path.iterdir()} == {"release"}
    told = retrieval(str(out), str(tmp_path / "emb"))
    assert told == {"folder": str(tmp_path / "emb"), "samples": 20, "files": 3, "img_emb": "image_embedding"}
    assert {p.relative_to(tmp_path / "emb").as_posix() for p in (tmp_path / "emb").rglob("*.*")} == {
        f"{kind}/{kind}_{n}.{end}" for kind, end in (("img_emb", "npy"), ("metadata", "parquet")) for n in range(3)
    }
    for number in range(3):
        rows = pq.read_table(tmp_path / f"emb/metadata/metadata_{number}.parquet")
        vectors = np.load(tmp_path / f"emb/img_emb/img_emb_{number}.npy")
        assert len(rows) == len(vectors) == mark["tars"][number]["rows"] and (vectors == number).all()
        assert rows.column_names[:2] == ["image_path", "uid"] and rows["image_path"] == rows["uid"]
        assert {"caption", "url", "width", "clip_score"} < {*rows.column_names} and "offset" not in rows.column_names
    with pytest.raises(StaleOutputError):
        retrieval(str(out), str(tmp_path / "emb"))
    (out / name).write_bytes(data[:-1])
    with pytest.raises(BrokenTableError, match=rf"wanted {len(data)} bytes as committed, found {len(data) - 1} bytes"):
        retrieval(str(out), str(tmp_path / "other"))
    assert not (tmp_path / "other").exists()
