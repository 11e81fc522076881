"""PDF and EPS figures drawn: what they show, and what hostile ones cost. EPS tests need Ghostscript."""

import io
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from PIL import Image

from curation.errors import BadItemError
from curation.headers import header
from curation.sources.latex import raster
from curation.sources.latex.raster import Rasteriser
from tests.sources.latex.papers import PREAMBLE, read, write

needs_ghostscript = pytest.mark.skipif(shutil.which("gs") is None, reason="Ghostscript (gs) is not installed")


def pdf(*colours: str, size: tuple[int, int] = (60, 30)) -> bytes:
    """A PDF with a page of each colour, the left half white."""
    pages = [Image.new("RGB", size, "white") for _ in colours]
    for page, colour in zip(pages, colours):
        page.paste(colour, (size[0] // 2, 0, *size))
    file = io.BytesIO()
    pages[0].save(file, "PDF", save_all=True, append_images=pages[1:])
    return file.getvalue()


def page_of(content: bytes, box: str = "0 0 200 100", more: bytes = b"") -> bytes:
    """A PDF of one page with this content stream."""
    return (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox["
        + box.encode()
        + b"]/Resources<<"
        + more
        + b">>/Contents 4 0 R>>endobj"
        b"\n4 0 obj<</Length " + str(len(content)).encode() + b">>stream\n" + content + b"\nendstream endobj\n"
        b"trailer<</Root 1 0 R>>\n%%EOF\n"
    )


def eps(program: str, box: str = "0 0 200 100", first: str = "%!PS-Adobe-3.0 EPSF-3.0") -> bytes:
    return f"{first}\n%%BoundingBox: {box}\n{program}\nshowpage\n".encode()


RED_RIGHT = "1 0 0 setrgbcolor 100 0 100 100 rectfill"


def colours(jpeg: bytes) -> tuple[tuple[int, int], list[tuple[bool, ...]]]:
    """Size, and whether red, green and blue are bright a quarter and three quarters along."""
    picture = Image.open(io.BytesIO(jpeg))
    assert (picture.format, picture.mode) == ("JPEG", "RGB")
    width, height = picture.size
    spots = [picture.getpixel((width * n // 4, height // 2)) for n in (1, 3)]
    return picture.size, [tuple(value > 128 for value in spot) for spot in spots]


WHITE, RED, BLUE = (True, True, True), (True, False, False), (False, False, True)


def drawn(**files: bytes) -> dict[str, str]:
    """Errors by name of files, `drawn` where there is none."""
    said = {}
    with Rasteriser(64, seconds=2) as rasteriser:
        for name, data in files.items():
            try:
                assert header(rasteriser.pdf(data, 1)).width <= 64
                said[name] = "drawn"
            except BadItemError as error:
                said[name] = error.code
    return said


def test_first_page_in_bounds() -> None:
    with Rasteriser(512) as rasteriser:
        assert colours(rasteriser.pdf(pdf("red", "blue"), 1)) == ((512, 256), [WHITE, RED])
        assert colours(rasteriser.pdf(pdf("red", "blue"), 2)) == ((512, 256), [WHITE, BLUE])
        assert max(colours(rasteriser.pdf(page_of(b"", "0 0 14400 14400"), 1))[0]) == 512
        with pytest.raises(BadItemError, match="bad_pdf"):
            rasteriser.pdf(pdf("red"), 2)


def test_a_drawing_that_is_too_large_costs_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    with Rasteriser(64) as rasteriser:
        monkeypatch.setattr(raster, "IMAGE_BYTES", 99)
        with pytest.raises(BadItemError, match="too_large"):
            rasteriser.pdf(pdf("red"), 1)
        monkeypatch.undo()
        assert header(rasteriser.pdf(pdf("red"), 1)).width == 64


def test_what_is_no_pdf_costs_itself() -> None:
    good = pdf("red")
    assert drawn(
        good=good,
        empty=b"",
        words=b"%PDF-1.4 nothing",
        cut=good[: len(good) // 2],
        long=page_of(b"", "0 0 14400 1"),
        flat=page_of(b"", "0 0 0 0"),
        after=good,
    ) == {
        "good": "drawn", "empty": "bad_pdf", "words": "bad_pdf", "cut": "bad_pdf", "long": "bad_pdf", "flat": "drawn",
        "after": "drawn",
    }  # fmt: skip


def test_a_page_that_takes_too_long() -> None:
    began = time.monotonic()
    slow = page_of(b"1 0 0 rg 0 0 199 99 re f " * 3_000_000)
    nested = b"/XObject<</X 4 0 R>>"  # a form that draws itself
    assert drawn(slow=slow, recursive=page_of(b"/X Do /X Do", more=nested), good=pdf("red"))["good"] == "drawn"
    assert time.monotonic() - began < 30
    assert drawn(slow=slow)["slow"] in ("timeout", "decoder_crash")  # seconds or memory


def test_a_paper_of_pages_that_take_long() -> None:
    slow = page_of(b"1 0 0 rg 0 0 199 99 re f " * 3_000_000)
    with Rasteriser(64, seconds=1, paper_seconds=2) as rasteriser:
        began = time.monotonic()
        for _ in range(50):
            with pytest.raises(BadItemError, match="timeout"):
                rasteriser.pdf(slow, 1)
        assert time.monotonic() - began < 20
        rasteriser.new_paper()
        assert header(rasteriser.pdf(pdf("red"), 1)).width == 64


def test_a_picture_that_takes_too_much_memory() -> None:
    image = b"BI /W 60000 /H 60000 /CS /G /BPC 8 /F /RL ID \x80 EI"
    assert drawn(huge=page_of(b"100 0 0 100 0 0 cm " + image), good=pdf("red"))["good"] == "drawn"


def test_a_crash_costs_one_figure() -> None:
    with Rasteriser(64) as rasteriser:
        rasteriser.pdf(pdf("red"), 1)
        os.kill(rasteriser.process.pid, signal.SIGKILL)
        with pytest.raises(BadItemError, match="decoder_crash"):
            rasteriser.pdf(pdf("red"), 1)
        assert colours(rasteriser.pdf(pdf("blue"), 1))[1] == [WHITE, BLUE]
        process = rasteriser.process
    assert process.poll() is not None  # none is left behind


def test_the_process_is_bounded() -> None:
    with Rasteriser(64) as rasteriser:
        rasteriser.pdf(pdf("red"), 1)
        limits = Path(f"/proc/{rasteriser.process.pid}/limits").read_text()
    bounds = {line[:26].strip(): line[26:].split()[1] for line in limits.splitlines()[1:]}
    assert bounds["Max address space"] == str(1 << 30)
    assert bounds["Max file size"] == bounds["Max core file size"] == "0"


def paper(folder: Path, **files: bytes) -> Path:
    figures = [rf"\begin{{figure}}\includegraphics{{{name}}}\caption{{Of {name}.}}\end{{figure}}" for name in files]
    named = {f"{name}.{'pdf' if data[:5] == b'%PDF-' else 'eps'}": data for name, data in files.items()}
    text = f"{PREAMBLE}\\begin{{document}}{''.join(figures)}\\end{{document}}"
    return write(folder, {"main.tex": text, **named}) / "main.tex"


def test_pages_of_one_file_are_images_of_their_own(tmp_path: Path) -> None:
    body = "".join(
        rf"\begin{{figure}}\includegraphics[width=1cm,page={n}]{{a.pdf}}\caption{{Page.}}\end{{figure}}"
        for n in (1, 2, 3)
    )
    text = f"{PREAMBLE}\\begin{{document}}{body}\\end{{document}}"
    result = read(write(tmp_path, {"main.tex": text, "a.pdf": pdf("red", "blue")}) / "main.tex", raster_side=100)
    assert [colours(data) for data in result.copies] == [((100, 50), [WHITE, RED]), ((100, 50), [WHITE, BLUE])]
    assert len({row["identity"] for row in result.found}) == 2
    assert [row["extra"]["drawn_from"] for row in result.found] == ["pdf", "pdf"]
    assert result.errors() == [("fig3 a.pdf", "bad_pdf")]


def test_without_ghostscript_a_reject_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = read(paper(tmp_path, a=eps(RED_RIGHT), b=pdf("red")))
    assert result.captions() == {"b.pdf": "Of b."}
    assert result.errors() == [("fig1 a", "no_ghostscript")]
    assert "gs" in result.rejected[0]["detail"]


@needs_ghostscript
def test_eps(tmp_path: Path) -> None:
    preview = eps(RED_RIGHT)
    preview = (
        b"\xc5\xd0\xd3\xc6" + (30).to_bytes(4, "little") + len(preview).to_bytes(4, "little") + bytes(18) + preview
    )
    files = {
        "plain": eps(RED_RIGHT),
        "moved": eps("100 50 translate " + RED_RIGHT, "100 50 300 150"),
        "below": eps("-100 -50 translate " + RED_RIGHT, "-100 -50 100 50"),
        "unnamed": eps(RED_RIGHT, first="%!PS"),
        "preview": preview,
        "atend": eps(RED_RIGHT, "(atend)") + b"%%BoundingBox: 0 0 200 100\n",
        "pages": eps(RED_RIGHT) + b"0 0 1 setrgbcolor 0 0 200 100 rectfill showpage\n",
    }
    result = read(paper(tmp_path, **files), raster_side=200)
    assert result.rejected == []
    for row, data in zip(result.found, result.copies):
        assert row["extra"]["drawn_from"] == "eps"
        assert colours(data) == ((200, 100), [WHITE, RED]), row["caption"]


@needs_ghostscript
def test_hostile_eps(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("canary")
    files = {
        "reads": f"({tmp_path}/secret) (r) file 100 string readstring pop print",
        "passwd": "(/etc/passwd) (r) file pop",
        "writes": f"({tmp_path}/made) (w) file dup (x) writestring closefile",
        "deletes": f"({tmp_path}/secret) deletefile",
        "pipes": f"(%pipe%touch {tmp_path}/made) (w) file closefile",
        "device": f"<< /OutputFile ({tmp_path}/made) >> setpagedevice showpage",
        "loops": "{} loop",
        "memory": "[ { 1000000 string } loop",
        "page": "<< /PageSize [100000 100000] >> setpagedevice 0 0 9 9 rectfill",
        "words": "nothing of PostScript",
    }
    folder = tmp_path / "p"
    main = paper(folder, **{name: eps(program) for name, program in files.items()}, last=eps(RED_RIGHT))
    began, before = time.monotonic(), sorted(map(str, tmp_path.rglob("*")))
    result = read(main)
    assert time.monotonic() - began < 120
    assert sorted(map(str, tmp_path.rglob("*"))) == before
    assert (tmp_path / "secret").read_text() == "canary" and "canary" not in str(result.rejected)
    assert "last.eps" in result.captions()
    assert ("fig7 loops", "timeout") in result.errors()
    assert {error for _, error in result.errors()} <= {"bad_eps", "timeout", "decoder_crash"}
