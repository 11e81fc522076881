"""Tables as others publish them: which column is the caption, which are further ones, and in which files they come."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.sources import expand, tables
from curation.sources.layout import language_of
from curation.sources.lines import LINE_CHARS

URL = "https://a.org/{}.jpg"
PICTURE = b"\xff\xd8\xff and more"


def texts(row: dict) -> list[tuple[str, str, str | None]]:
    return [(each["kind"], each["text"], each["language"]) for each in row["captions"] or []]


def test_laion_coco_keeps_its_generated_captions(tmp_path: Path, rows: Callable) -> None:
    columns = {
        "URL": [URL.format(n) for n in range(3)],
        "TEXT": ["alt text", None, " "],
        "top_caption": ["a dog", "a cat", None],
        "all_captions": [["a dog", "a brown dog"], [], None],
        "all_similarities": [[0.3, 0.2], [], None],
        "similarity": [0.3, 0.2, 0.1],
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    result = rows(tables.read(str(tmp_path / "t.parquet"), None))
    first, second = result.found
    assert (first["caption"], second["caption"]) == ("alt text", "a cat")
    assert texts(first) == [
        ("top_caption", "a dog", None), ("all_captions", "a dog", None), ("all_captions", "a brown dog", None)
    ]  # fmt: skip
    assert texts(second) == []
    assert set(first["extra"]) == {"all_similarities", "similarity"}
    assert result.errors() == [("2", "no_caption")]


def test_wit_takes_what_text_there_is(tmp_path: Path, rows: Callable) -> None:
    names = ["language", "page_url", "image_url", "page_title", "caption_reference_description",
             "caption_attribution_description", "caption_alt_text_description", "context_page_description"]  # fmt: skip
    lines = [
        ["en", "https://w.org/A", URL.format(1), "A", "under it", "English: by hand", "for the blind", "About A"],
        ["de", "https://w.org/B", URL.format(2), "B", "", "", "nur der Alternativtext", ""],
        ["de", "https://w.org/C", URL.format(3), "C", "", "", "", "Über C"],
    ]  # fmt: skip
    (tmp_path / "wit.tsv").write_text("\n".join("\t".join(line) for line in [names, *lines]) + "\n")
    result = rows(tables.read(str(tmp_path / "wit.tsv"), None))
    first, second = result.found
    assert (first["caption"], first["caption_kind"], first["context"]) == ("under it", "caption", "About A")
    assert texts(first) == [
        ("caption_attribution_description", "English: by hand", None),
        ("caption_alt_text_description", "for the blind", None),
    ]
    assert (second["caption"], second["caption_kind"]) == ("nur der Alternativtext", "alt")
    assert first["extra"] == {"language": "en", "page_url": "https://w.org/A", "page_title": "A"}
    assert result.errors() == [("2", "no_caption")]


def test_languages_side_by_side(tmp_path: Path, rows: Callable) -> None:
    columns = {"url": [URL.format(1)], "caption_de": ["ein Hund"], "caption_en": ["a dog"], "text_id": ["17"]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    (row,) = rows(tables.read(str(tmp_path / "t.parquet"), None)).found
    assert row["caption"] == "ein Hund" and texts(row) == [("caption_en", "a dog", "en")]
    assert row["extra"] == {"text_id": "17"}
    (row,) = rows(tables.read(str(tmp_path / "t.parquet"), None, caption_column="caption_en")).found
    assert row["caption"] == "a dog" and texts(row) == [("caption_de", "ein Hund", "de")]
    assert language_of("num_captions_en") is None


def test_a_named_column_has_no_substitute(tmp_path: Path, rows: Callable) -> None:
    columns = {"url": [URL.format(1)], "text": ["17"], "caption": ["a dog"]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert rows(tables.read(str(tmp_path / "t.parquet"), None, caption_column="text")).errors() == [("0", "no_letters")]


def redcaps(count: int) -> list[dict]:
    return [
        {"image_id": f"x{n}", "author": "who", "url": URL.format(n), "raw_caption": f"A Dog [OC], {n}",
         "caption": f"a dog, {n} \u00fc \U0001f415", "subreddit": "dogs", "score": n, "crosspost_parents": None}
        for n in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("wrap", [True, False])
@pytest.mark.parametrize("indent", [None, 2])
def test_lists_of_objects_in_one_json(tmp_path: Path, rows: Callable, wrap: bool, indent: int | None) -> None:
    items = redcaps(3)
    content = {"info": {"year": 2017, "description": "[{"}, "annotations": items} if wrap else items
    path = tmp_path / "dogs_2017.json"
    path.write_text(json.dumps(content, indent=indent))
    assert expand([str(tmp_path)]) == [(str(path), "table")]
    result = rows(tables.read(str(path), None))
    assert [row["caption"] for row in result.found] == [item["caption"] for item in items]
    assert [row["document"] for row in result.found] == ["x0", "x1", "x2"]
    assert texts(result.found[2]) == [("raw_caption", "A Dog [OC], 2", None)]
    assert result.found[2]["extra"] == {"author": "who", "subreddit": "dogs", "score": "2"}
    assert not result.rejected


def test_a_long_list_is_read_piece_by_piece(tmp_path: Path, rows: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    items = redcaps(500)
    for chars in range(600, 640):  # cuts fall everywhere in and between the objects
        monkeypatch.setattr("curation.sources.objects.LINE_CHARS", chars)
        (tmp_path / "t.json").write_text(json.dumps(items))
        result = rows(tables.read(str(tmp_path / "t.json"), None))
        assert [row["document"] for row in result.found] == [item["image_id"] for item in items]
        assert not result.rejected


def test_broken_lists_keep_what_comes_before(tmp_path: Path, rows: Callable) -> None:
    whole = json.dumps(redcaps(3))
    path = tmp_path / "t.json"
    for text, found, errors in (
        (whole[:-30], 2, [("", "bad_file")]),
        (whole[:-1], 3, [("", "bad_file")]),
        (whole.replace('"x1"', "x1"), 1, [("", "bad_file")]),
        (whole[:-1] + f", 17, null, {json.dumps(redcaps(1)[0])}]", 4, [("3", "bad_json"), ("4", "bad_json")]),
        (whole[:-1] + ', {"caption": "' + "a" * 2 * LINE_CHARS + '"}]', 3, [("", "bad_file")]),
        ('{"images": []}', 0, [("", "bad_file")]),
        ("", 0, [("", "bad_file")]),
    ):  # fmt: skip
        path.write_text(text)
        result = rows(tables.read(str(path), None))
        assert (len(result.found), result.errors()) == (found, errors), text[-80:]


def test_other_json_in_a_folder_is_passed_over(tmp_path: Path) -> None:
    for name, content in (("a_stats.json", {"count": 3}), ("dataset_info.json", {"features": {}}), ("c.json", [1, 2])):
        (tmp_path / name).write_text(json.dumps(content))
    (tmp_path / "t.csv").write_text("url,caption\n")
    assert expand([str(tmp_path)]) == [(str(tmp_path / "t.csv"), "table")]


@pytest.mark.parametrize("is_file", [True, False])
def test_hugging_face_folders_of_arrow(tmp_path: Path, rows: Callable, sink: object, is_file: bool) -> None:
    image = pa.array([{"bytes": PICTURE + bytes([n]), "path": None} for n in range(200)])
    table = pa.table({"image": image, "text": [f"picture {n}" for n in range(200)]})
    folder = tmp_path / "train"
    folder.mkdir()
    path = folder / "data-00000-of-00001.arrow"
    with (pa.ipc.new_file if is_file else pa.ipc.new_stream)(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=150)
    (folder / "state.json").write_text('{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}')
    assert expand([str(tmp_path)]) == [(str(path), "table")]
    result = rows(tables.read(str(path), sink))
    assert [row["document"] for row in result.found] == [str(n) for n in range(200)]
    assert [sink.bytes_of(row["image"]) for row in result.found] == [PICTURE + bytes([n]) for n in range(200)]
    path.write_bytes(path.read_bytes()[:5000])
    assert rows(tables.read(str(path), sink)).errors()[0][1] == "bad_file"


def test_img2dataset_says_what_it_could_not_fetch(tmp_path: Path, rows: Callable) -> None:
    columns = {
        "url": [URL.format(n) for n in range(2)],
        "caption": ["a dog", "a cat"],
        "key": ["000000000", "000000001"],
        "status": ["success", "failed_to_download"],
        "error_message": [None, "HTTP Error 404: Not Found"],
        "width": [256, None],
        "sha256": ["ab", None],
    }
    pq.write_table(pa.table(columns), tmp_path / "00000.parquet")
    first, second = rows(tables.read(str(tmp_path / "00000.parquet"), None)).found
    assert (first["document"], first["extra"]) == ("000000000", {"status": "success", "width": "256", "sha256": "ab"})
    assert second["extra"] == {"status": "failed_to_download", "error_message": "HTTP Error 404: Not Found"}


@pytest.mark.parametrize("name", ["image_url", "img_url", "imageURL", "image_link", "image_src", "image", "picture"])
@pytest.mark.parametrize("page", ["url", "link", "src"])
def test_the_page_beside_the_url_of_an_image_is_not_the_image(
    tmp_path: Path, rows: Callable, name: str, page: str
) -> None:
    pages = [f"https://shop.com/page/{n}" for n in range(3)]
    columns = {page: pages, name: [URL.format(0), None, URL.format(2)], "title": ["a dog"] * 3}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    result = rows(tables.read(str(tmp_path / "t.parquet"), None))
    assert [row["url"] for row in result.found] == [URL.format(0), URL.format(2)]
    assert [row["extra"] for row in result.found] == [{page: pages[0]}, {page: pages[2]}]
    assert result.errors() == [("1", "no_url")]
    found = rows(tables.read(str(tmp_path / "t.parquet"), None, url_column=page)).found
    assert [row["url"] for row in found] == pages


def test_an_empty_column_of_image_urls_leaves_the_url_in_its_role(tmp_path: Path, rows: Callable) -> None:
    columns = {"image_url": pa.nulls(2, pa.string()), "url": [URL.format(0), URL.format(1)], "text": ["a dog"] * 2}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert [row["url"] for row in rows(tables.read(str(tmp_path / "t.parquet"), None)).found] == columns["url"]


def test_an_image_that_is_no_url_leaves_the_url_in_its_role(tmp_path: Path, rows: Callable) -> None:
    columns = {"url": [URL.format(0)], "image": ["images/0.jpg"], "text": ["a dog"]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    (row,) = rows(tables.read(str(tmp_path / "t.parquet"), None)).found
    assert (row["url"], row["image"], row["extra"]) == (URL.format(0), None, {"image": "images/0.jpg"})
