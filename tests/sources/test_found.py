"""Rows and batches, captions, licences, image formats."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from curation.errors import BadItemError
from curation.schema import PAIRS, REJECTS
from curation.sources.found import (
    CAPTION_CHARS,
    FOUND,
    REJECTED,
    Found,
    Reject,
    batches,
    caption_text,
    image_extension,
    license_group,
)


def test_schemas_fit_the_tables_of_a_pool() -> None:
    for field in [f for f in FOUND if f.name != "identity"]:
        assert PAIRS.arrow.field(field.name).equals(field)
    for field in REJECTED:
        assert REJECTS.arrow.field(field.name).equals(field)


def test_batches_split_by_schema_and_size() -> None:
    items = [Found(f"i{n}", "a", "alt", str(n)) if n % 3 else Reject(str(n), "no_caption") for n in range(20)]
    made = list(batches(items, rows=4))
    assert all(batch.num_rows <= 4 for batch in made)
    found = [n for batch in made if batch.schema.equals(FOUND) for n in batch["document"].to_pylist()]
    rejected = [n for batch in made if batch.schema.equals(REJECTED) for n in batch["item"].to_pylist()]
    assert found == [str(n) for n in range(20) if n % 3]
    assert rejected == [str(n) for n in range(0, 20, 3)]
    assert list(batches([])) == []


def test_batches_take_lone_surrogates_everywhere() -> None:
    bad = "x\ud800"
    pair = Found(bad, bad, "alt", bad, bad, {"uri": bad, "offset": 1, "length": 2}, bad, extra={bad: bad})
    (batch,) = batches([pair])
    row = batch.to_pylist()[0]
    assert row["caption"] == row["image"]["uri"] == "x?"
    assert row["extra"] == [("x?", "x?")]


@settings(deadline=None)
@given(st.text(max_size=50))
def test_caption_is_raw_text_or_a_reason(raw: str) -> None:
    try:
        text, extra = caption_text(raw)
    except BadItemError as error:
        assert error.code in ("no_caption", "no_letters")
        assert not any(c.isalpha() for c in raw)
        assert (error.code == "no_caption") == (not raw.replace("\0", "").strip())
    else:
        assert text == raw.replace("\0", "")
        assert extra == {}


@pytest.mark.parametrize("length", [CAPTION_CHARS, CAPTION_CHARS + 1])
def test_caption_is_cut_at_the_limit_and_says_so(length: int) -> None:
    text, extra = caption_text("é" * length)
    assert text == "é" * CAPTION_CHARS
    assert extra == ({"caption_cut": str(length)} if length > CAPTION_CHARS else {})


def test_caption_needs_a_letter_within_what_is_kept() -> None:
    with pytest.raises(BadItemError, match="no_letters"):
        caption_text("1" * CAPTION_CHARS + "a")


@pytest.mark.parametrize(
    ("raw", "group"),
    [
        (None, None),
        ("", "other"),
        ("CC BY", "commercial"),
        ("cc-by-4.0", "commercial"),
        ("CC0", "commercial"),
        ("CC BY-ND", "commercial"),
        ("https://creativecommons.org/licenses/by-sa/3.0/deed.en", "commercial"),
        ("HTTP://CREATIVECOMMONS.ORG/PUBLICDOMAIN/ZERO/1.0/", "commercial"),
        ("Creative Commons Attribution-ShareAlike 3.0 Unported", "commercial"),
        ("Attribution 4.0 International", "commercial"),
        ("CC BY-NC", "noncommercial"),
        ("cc_by_nc_sa", "noncommercial"),
        ("http://creativecommons.org/licenses/by-nd-nc/1.0/", "noncommercial"),
        ("Creative Commons Attribution Non-Commercial No Derivatives", "noncommercial"),
        ("Creative Commons Attribution License (http://creativecommons.org/licenses/by-nc/2.0/)", "noncommercial"),
        ("CC BY 4.0 (text), CC BY-NC 4.0 (figures)", "noncommercial"),
        ("CC BY\u2011NC 4.0", "noncommercial"),
        ("CC BY\u2010NC\u2010ND", "noncommercial"),
        ("CC BY\u2013NC", "noncommercial"),
        ("Creative Commons Attribution\u2010NonCommercial\u2010NoDerivs License", "noncommercial"),
        ("Attribution\u2010NonCommercial 4.0 International", "noncommercial"),
        ("CC BY (NC)", "noncommercial"),
        ("CC BY, NC", "noncommercial"),
        ("CC BY/NC", "noncommercial"),
        ("cc-by-nc4.0", "noncommercial"),
        ("ccbync", "noncommercial"),
        ("\uff23\uff23\u3000\uff22\uff39\uff0d\uff2e\uff23", "noncommercial"),
        ("CC BY\u200b-\u200bNC", "noncommercial"),
        ("Creative Commons Attribution 4.0 Non-Commercial", "noncommercial"),
        ("Creative Commons Attribution 4.0, not for commercial use", "noncommercial"),
        ("Creative Commons Attribution - Pas d\u2019Utilisation Commerciale 4.0", "noncommercial"),
        ("https://creativecommons.org/licenses/by\u2010nc/4.0/", "noncommercial"),
        ("CC BY-NC (http://creativecommons.org/licenses/by/4.0/)", "noncommercial"),
        ("https://creativecommons.org/licenses/by_nc/4.0/", "noncommercial"),
        ("https://creativecommons.org/licenses/by%2Dnc/4.0/", "other"),
        ("CC BY4.0", "commercial"),
        ("CC BY\u2011SA\u00a04.0", "commercial"),
        ("CC BY/SA", "commercial"),
        ("CC BY 4.0, Nancy", "commercial"),
        ("CC Bylaws", "other"),
        ("http://www.springer.com/tdm", "other"),
        ("All rights reserved", "other"),
        ("photo by John Smith", "other"),
        ("by John Smith", "other"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "other"),
        ("https://creativecommons.org/licenses/sampling+/1.0/", "other"),
        ("Creative Commons", "other"),
    ],
)
def test_license_group(raw: str | None, group: str | None) -> None:
    assert license_group(raw) == group


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_image_extension_of_what_pillow_writes(format: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (5, 5)).save(file, format)
    expected = {"JPEG": "jpg", "TIFF": "tif"}.get(format, format.lower())
    assert image_extension(file.getvalue()) == expected
    assert image_extension(b"<" + file.getvalue()) is None
    assert image_extension(b"") is None
