"""What a paper may come as: folders, archives, packed files, arXiv's bulk tars; and what is known of it."""

import gzip
import io
import json
import os
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from curation.errors import RecipeError
from curation.sources import expand, kind_of, latex
from curation.sources.latex import identity
from curation.sources.latex.mains import is_main
from tests.sources.latex.papers import PREAMBLE, picture, read, read_body, write

PNG = picture()
FIGURE = r"\begin{figure}\includegraphics{f/a}\caption{One \ref{x}.}\label{x}\end{figure}"
MAIN = PREAMBLE + r"\title{The $\alpha$ title}\begin{document}" + FIGURE + "\n\nSee \\ref{x}.\n\n\\end{document}"
FILES = {"main.tex": MAIN.encode(), "f/a.png": PNG}


def tar(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def zstd(data: bytes) -> bytes:
    return pa.compress(data, "zstd", asbytes=True)


PACKED = {"p.tar": tar, "p.tar.gz": lambda f: gzip.compress(tar(f)), "p.tgz": lambda f: gzip.compress(tar(f))}
PACKED |= {"p.tar.zst": lambda f: zstd(tar(f)), "p.zip": zipped, "p.gz": lambda f: gzip.compress(tar(f))}


def test_a_full_temporary_folder_is_no_fault_of_the_paper(tmp_path: Path, no_room: Callable) -> None:
    nested = gzip.compress(tar(FILES | {"noise": random.Random(0).randbytes(100_000)}))
    (tmp_path / "bulk.tar").write_bytes(tar({"2001/2001.00001.gz": nested}))
    with no_room():
        read(tmp_path / "bulk.tar")


@pytest.mark.parametrize("name", PACKED)
def test_archives(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(PACKED[name](FILES))
    assert kind_of(str(path)) == "latex"
    result = read(path)
    (row,) = result.found
    assert (row["caption"], row["context"], row["document"]) == ("One <ref>.", "See <ref>.", "p")
    assert row["extra"] == {
        "figure": "fig1", "file": "f/a.png", "label": "x", "title": "The α title", "caption_stripped": "One.",
    }  # fmt: skip
    assert result.rejected == []
    pointer = row["image"]
    if name == "p.tar":  # it lies there as it is
        assert pointer["uri"] == str(path) and result.copies == []
        assert path.read_bytes()[pointer["offset"] :][: pointer["length"]] == PNG
    else:
        assert pointer["uri"] == "pool" and result.copies == [PNG]


def test_folder(tmp_path: Path) -> None:
    folder = write(tmp_path / "pool/2310.06825v1", {**FILES, "notes.tex": "No main file.", "x.txt": "x"})
    main = str(folder / "main.tex")
    assert expand([str(tmp_path / "pool")]) == [(main, "latex")]
    (row,) = read(main).found
    assert row["image"] == {"uri": str(folder / "f/a.png"), "offset": 0, "length": None}
    assert (row["document"], row["identity"]) == ("2310.06825v1", "arxiv:2310.06825v1/f/a.png")


def test_files_above_the_main_file_need_a_root(tmp_path: Path) -> None:
    main = MAIN.replace(r"{f/a}", r"{../f/a}")
    write(tmp_path / "repo", {"src/main.tex": main, "f/a.png": PNG})
    assert read(tmp_path / "repo/src/main.tex").errors() == [("fig1 ../f/a", "outside_package")]
    assert len(read(tmp_path / "repo/src/main.tex", image_root=str(tmp_path / "repo")).found) == 1
    elsewhere = read(tmp_path / "repo/src/main.tex", image_root=str(write(tmp_path / "other", {"a.txt": "x"})))
    assert elsewhere.errors() == [("", "missing_file")]


def test_a_single_packed_source(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("2310.06825.gz", "paper.tex.gz", "hep-th9901001.gz", "notes.gz")]
    for path in paths[:2]:
        path.write_bytes(gzip.compress(MAIN.encode()))
    paths[2].write_bytes(gzip.compress(rb"\magnification=1200 \input harvmac \def\x{y} Plain text. \bye"))
    paths[3].write_bytes(gzip.compress(b"Some text with a \\section in it, but no paper."))
    assert [kind_of(str(path)) for path in paths] == ["latex", "latex", "latex", None]
    for path in paths[:2]:
        assert read(path).errors() == [("fig1 f/a", "missing_file")]
    assert read(paths[2]).errors() == [(r"\input{harvmac}", "missing_file")]


def test_bulk_tar(tmp_path: Path) -> None:
    """As arXiv has them: tars of packed tars, packed sources and PDF files."""
    broken = gzip.compress(tar(FILES))
    members = {
        "2310/2310.00001.gz": gzip.compress(tar(FILES)),
        "2310/2310.00002.gz": gzip.compress(MAIN.encode()),
        "2310/2310.00003.pdf": b"%PDF-1.4",
        "2310/2310.00004.gz": gzip.compress(b"%auto-ignore\nThis paper has been withdrawn."),
        "2310/2310.00005.gz": broken[: len(broken) // 2],
        "2310/2310.00006.gz": b"no gzip at all",
        "math/0001007.gz": gzip.compress(tar(FILES)),
    }
    path = tmp_path / "arXiv_src_2310_001.tar"
    path.write_bytes(tar(members))
    assert kind_of(str(path)) == "latex"
    result = read(path)
    assert [(row["document"], row["identity"]) for row in result.found] == [
        ("2310.00001", "arxiv:2310.00001/f/a.png"), ("math/0001007", "arxiv:math/0001007/f/a.png"),
    ]  # fmt: skip
    assert result.copies == [PNG, PNG]
    errors = result.errors()
    assert ("2310/2310.00002.gz: fig1 f/a", "missing_file") in errors
    assert ("2310/2310.00003.pdf", "not_latex") in errors
    assert ("2310/2310.00004.gz", "withdrawn") in errors
    assert any(item.startswith("2310/2310.00005.gz") for item, _ in errors)
    assert ("2310/2310.00006.gz", "no_main_file") in errors
    assert not any("00001" in item or "0001007" in item for item, _ in errors)


def test_archives_in_archives_are_bounded(tmp_path: Path) -> None:
    inner = gzip.compress(tar({"2310.00001.gz": gzip.compress(tar(FILES))}))
    (tmp_path / "bulk.tar").write_bytes(tar({"2310/2310.00009.tar.gz": inner, "2310/2310.00001.gz": inner}))
    result = read(tmp_path / "bulk.tar")
    assert result.found == [] and {error for _, error in result.errors()} <= {"nested_archive", "no_main_file"}
    (tmp_path / "many.tar").write_bytes(tar({f"2310/{n}.gz": b"" for n in range(12)}))
    assert ("", "too_many_members") in read(tmp_path / "many.tar", archive_members=10).errors()


def test_a_bomb_in_a_bulk_tar_costs_itself(tmp_path: Path) -> None:
    members = {
        "2310/2310.00001.gz": gzip.compress(b"\0" * (70 << 20), 1),
        "2310/2310.00002.gz": gzip.compress(tar(FILES)),
    }
    (tmp_path / "bulk.tar").write_bytes(tar(members))
    result = read(tmp_path / "bulk.tar", archive_bytes=1 << 20)
    assert result.errors() == [("2310/2310.00001.gz", "too_large")]
    assert len(result.found) == 1


README = {
    "00README.XXX": "main.tex ignore\nsecond.tex toplevelfile\n",
    "00README.json": json.dumps({"sources": [{"filename": "second.tex", "usage": "toplevel"}]}),
    "00README.yaml": "sources:\n- filename: second.tex\n  usage: toplevel\n",
}


@pytest.mark.parametrize("name", README)
def test_the_main_file_that_arxiv_was_told(tmp_path: Path, name: str) -> None:
    second = MAIN.replace("One", "Second").encode()
    files = FILES | {"second.tex": second, name: README[name].encode()}
    (tmp_path / "p.tar").write_bytes(tar(files))
    assert [row["caption"] for row in read(tmp_path / "p.tar").found] == ["Second <ref>."]


def test_several_main_files_are_several_papers(tmp_path: Path) -> None:
    supplement = MAIN.replace("One", "Supplement").replace("{f/a}", "{f/b}").encode()
    part = rb"\documentclass[main]{subfiles}\begin{document}Part\end{document}"
    files = FILES | {"si.tex": supplement, "part.tex": part, "old/main.tex": MAIN.encode()}
    (tmp_path / "p.tar").write_bytes(tar(files))
    result = read(tmp_path / "p.tar")
    assert [row["document"] for row in result.found] == ["p/main"]
    assert result.errors() == [("si.tex: fig1 f/b", "missing_file")]


def test_a_main_file_that_cannot_be_read_costs_itself(tmp_path: Path) -> None:
    (tmp_path / "p.tar").write_bytes(tar(FILES | {"a.tex": MAIN.encode() + rb"\\" * 5_100_000}))
    result = read(tmp_path / "p.tar")
    assert [row["document"] for row in result.found] == ["p/main"]
    assert result.errors() == [("a.tex", "too_large")]


@pytest.mark.parametrize(
    ("text", "is_so"),
    [
        (MAIN, True),
        (r"\documentstyle[12pt]{revtex} \begin {document}", True),
        (r"\input{preamble} \begin{document} x \end{document}", True),
        (r"% \documentclass{article} \begin{document}", False),
        (r"\begin{verbatim}\documentclass{a}\begin{document}\end{verbatim}", False),
        (r"\documentclass[tikz]{standalone}\begin{document}\tikz;\end{document}", False),
        (r"\documentclass[main]{subfiles}\begin{document}x\end{document}", False),
        (r"\section{One} \input{two}", False),
        (r"\documentclass{article} \input{body}", False),
        ("", False),
    ],
)
def test_main_files(text: str, is_so: bool) -> None:
    assert is_main(text.encode()) is is_so


@pytest.mark.parametrize(
    ("files", "error"),
    [
        ({"a.txt": b"hello", "b.png": PNG}, "no_main_file"),
        ({"a.tex": b"just words"}, "no_main_file"),
        ({"a.tex": b"%auto-ignore withdrawn"}, "withdrawn"),
        ({"ms.ps": b"%!PS-Adobe"}, "no_main_file"),
        ({}, "no_main_file"),
    ],
)
def test_no_paper(tmp_path: Path, files: dict[str, bytes], error: str) -> None:
    (tmp_path / "p.tar").write_bytes(tar(files))
    assert read(tmp_path / "p.tar").errors() == [("", error)]


def test_parts_that_share_figures_keep_the_names_of_files(tmp_path: Path) -> None:
    preamble = r"\graphicspath{{one/}{./two/}}"
    body = "".join(
        rf"\begin{{figure}}\includegraphics{{{name}}}\caption{{Cap of {n}.}}\end{{figure}}"
        for n, name in enumerate(("a", "./b.png", "C.PNG", "d.jpg", "e.x", '"f g".png', r"h\_i", "./sub/../k"))
    )
    names = (
        "one/a.png",
        "two/a.png",
        "two/b.png",
        "one/c.png",
        "one/D.JPG",
        "two/e.x.png",
        "f g.png",
        "h_i.png",
        "k.png",
    )
    result = read_body(tmp_path, body, *names, preamble=preamble)
    assert list(result.captions()) == ["a.png", "b.png", "c.png", "D.JPG", "e.x.png", "f g.png", "h_i.png", "k.png"]
    assert result.found[0]["extra"]["file"] == "one/a.png"
    assert result.errors() == []


def test_extensions_in_order(tmp_path: Path) -> None:
    body = r"\begin{figure}\includegraphics{a}\caption{Cap.}\end{figure}"
    for extension in ("eps", "jpg", "png"):
        (row,) = read_body(tmp_path, body, f"a.{extension}").found
        assert row["extra"]["file"] == f"a.{extension}"


LICENSES = {
    r"\usepackage[type={CC}, modifier={by-nc}, version={4.0}]{doclicense}": ("CC by-nc 4.0", "noncommercial"),
    r"\license{This article is under CC BY-SA 4.0.}": ("This article is under CC BY-SA 4.0.", "commercial"),
    r"\fancyfoot[L]{Preprint under http://creativecommons.org/licenses/by-nc-nd/4.0/}": (
        "http://creativecommons.org/licenses/by-nc-nd/4.0", "noncommercial",
    ),
    r"\newcommand{\note}{The code is licensed under MIT.}": (None, None),
}  # fmt: skip


@pytest.mark.parametrize("preamble", LICENSES)
def test_licence_of_a_paper(tmp_path: Path, preamble: str) -> None:
    (row,) = read_body(tmp_path, FIGURE, "f/a.png", preamble=preamble).found
    assert (row["license"], row["license_group"]) == LICENSES[preamble]


@pytest.mark.parametrize(
    ("sentence", "license"),
    [
        (r"This article is distributed under the Creative Commons Attribution 4.0 license.", True),
        (r"This work is licensed under CC BY 4.0, see \url{https://creativecommons.org/licenses/by/4.0/}.", True),
        (r"\textbf{Open Access} This article is licenced under a Creative Commons Attribution~4.0 License.", True),
        (
            "This article is an open access article distributed under the terms and\nconditions of the CC BY license.",
            True,
        ),
        (
            r"\small This work has been made available under the \href{http://creativecommons.org/licenses/by/4.0}{terms}.",
            True,
        ),
        (
            r"\footnote{Unless stated otherwise, this paper is released under the Creative Commons (CC BY) licence.}",
            True,
        ),
        (r"Our data are under CC BY 4.0. The code is MIT.", False),
        (r"In this paper we introduce DogBank, of photographs released under the CC BY 4.0 license.", False),
        (r"The text corpora were taken from Wikipedia under CC BY-SA 3.0.", False),
        (r"We include in this document icons from Font Awesome (CC BY 4.0).", False),
        (
            r"The data set of this paper is licensed under CC BY 4.0, see \url{https://creativecommons.org/licenses/by/4.0/}.",
            False,
        ),
        (r"This text is taken from \url{https://creativecommons.org/licenses/by/4.0/}.", False),
        (r"This work is published with photographs that are under CC BY 4.0.", False),
    ],
)
def test_licence_in_a_sentence(tmp_path: Path, sentence: str, license: bool) -> None:
    (row,) = read_body(tmp_path, f"{sentence} {FIGURE}", "f/a.png").found
    assert row["license_group"] == ("commercial" if license else None)


def test_licence_in_a_sentence_is_read_to_its_end(tmp_path: Path) -> None:
    sentence = (
        r"This work is licensed under the Creative Commons Attribution 4.0 Non-\allowbreak Commercial License. More."
    )
    (row,) = read_body(tmp_path, f"{sentence} {FIGURE}", "f/a.png").found
    assert row["license"] == "Creative Commons Attribution 4.0 Non-Commercial License"


def test_a_url_in_plain_tex_is_not_the_licence_of_the_paper(tmp_path: Path) -> None:
    text = r"\section{A} Photographs under https://creativecommons.org/licenses/by/4.0/. " + FIGURE
    folder = write(tmp_path, {"main.tex": text, "f/a.png": picture()})
    (row,) = read(folder / "main.tex").found
    assert row["license"] is None


def test_identity_of_files_that_are_no_papers_of_arxiv(tmp_path: Path) -> None:
    one, two = (read_body(tmp_path / name, FIGURE, "f/a.png").found[0] for name in ("one", "two"))
    assert one["identity"] == two["identity"] and one["identity"].startswith("sha256:")
    assert (one["document"], two["document"]) == ("one/main", "two/main")
    assert identity.arxiv_id("0001001", "src/math") == "math/0001001"


def test_settings_are_checked() -> None:
    with pytest.raises(RecipeError, match="raster_side: 5"):
        latex.read("x.tex", None, raster_side=5)


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    assert read(tmp_path / "none.tar").errors() == [("", "bad_file")]
    assert latex.looks(str(tmp_path / "none.tar")) is False


def test_images_of_an_archive_are_not_kept_in_memory(tmp_path: Path, bounded: Callable) -> None:
    one = r"\begin{figure}\includegraphics{%d}\caption{Of %d x.}\end{figure}"
    body = "".join(one % (n, n) * 2 for n in range(24))
    noise = os.urandom(1 << 17) * 64  # 8 MiB that gzip does not make smaller
    files = {f"{n}.png": PNG + bytes([n]) + noise for n in range(24)}
    text = f"{PREAMBLE}\\begin{{document}}{body}\\end{{document}}"
    (tmp_path / "p.tar.gz").write_bytes(gzip.compress(tar({"main.tex": text.encode(), **files}), 1))
    code = """
import sys
from curation.sources import latex
import curation.sources.latex.text
class Sink:
    copies = 0
    def add(self, data, extension):
        self.copies += 1
        return {"uri": "pool", "offset": 0, "length": len(data)}
sink = Sink()
start()
print(sum(batch.num_rows for batch in latex.read(sys.argv[1], sink)), sink.copies)
"""
    done = bounded(code, str(tmp_path / "p.tar.gz"))
    assert done.lines == ["48 24"]
    assert done.more_mb < 100
