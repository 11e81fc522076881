"""Papers made to do harm: each is read in bounded time and memory, opens nothing but itself, its figure is found."""

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from curation.sources.latex import identity
from curation.sources.latex.captions import is_panel_label
from curation.sources.latex.mains import is_main, mains
from curation.sources.packages import open_package
from tests.sources.latex.papers import PREAMBLE, collect_files, picture, read, write

CANARY = "canary-5f0e"
FIGURE = r"\begin{figure}\includegraphics{good.png}\caption{A good caption.}\end{figure}"
READ = """
import json, sys
import curation.sources.latex.text, encodings.utf_16, encodings.idna, tempfile
from curation.sources import latex
curation.sources.latex.text._converter()
class Sink:
    def add(self, data, extension):
        return {"uri": "pool", "offset": 0, "length": len(data)}
folder, touched = sys.argv[1], []
def hook(event, args):
    if event == "open" and not str(args[0]).startswith((folder, sys.prefix, sys.base_prefix, "/proc/self")):
        touched.append(str(args[0]))
    if event.startswith(("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork")):
        touched.append(event)
sys.addaudithook(hook)
for uri in sys.argv[2:]:
    start()
    captions, errors, began, before = [], [], time.process_time(), peak()
    for batch in latex.read(uri, Sink()):
        for row in batch.to_pylist():
            assert "canary" not in str(row) and "root:" not in str(row)
            (errors if "error" in row else captions).append(row.get("error") or row["caption"])
    print(json.dumps([captions[-1:], sorted(set(errors)), len(captions) + len(errors), touched,
                      time.process_time() - began, peak() - before]))
"""


def paper(body: str, preamble: str = "") -> str:
    return f"{PREAMBLE}{preamble}\\begin{{document}}{body}{FIGURE}\\end{{document}}"


@pytest.fixture
def harmless(tmp_path: Path, bounded: Callable, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple]]:
    """Read papers in a process of its own: the last caption and the errors of each; none touches anything else.

    `seconds` are some ten times what a paper takes on an idle machine, `mb` is what its reading adds to the memory.
    """
    inside = tmp_path / "inside"
    inside.mkdir()
    monkeypatch.setenv("TMPDIR", str(inside))
    (tmp_path / "secret.tex").write_text(CANARY)
    (tmp_path / "secret.png").write_bytes(picture("blue"))

    def harmless(papers: list[str], seconds: float = 20, mb: float = 200) -> list[tuple]:
        uris = []
        for number, text in enumerate(papers):
            folder = write(inside / f"p{number}", {"main.tex": text, "good.png": picture()})
            uris.append(str(folder / "main.tex"))
        before = collect_files(tmp_path)
        came = [json.loads(line) for line in bounded(READ, str(inside), *uris).lines]
        assert len(came) == len(papers)
        assert collect_files(tmp_path) == before
        for number, (_, _, rows, touched, cpu_s, more_mb) in enumerate(came):
            assert not touched, number
            assert cpu_s < seconds and more_mb < mb, (number, papers[number][:200])
            assert rows < 30_000
        return [(captions, errors) for captions, errors, *_ in came]

    return harmless


OUTSIDE = [
    r"\input{/etc/passwd}",
    r"\input /etc/passwd ",
    r"\include{../secret}\subfile{../secret}\import{../}{secret}",
    r"\input{a/../../secret.tex}",
    r"\input{p0/../../../secret}\input{\jobname/../../secret}",
    r"\def\up{..}\input{\up/secret}\input{\string/etc/passwd}",
    r"\InputIfFileExists{/etc/passwd}{}{}\verbatiminput{/etc/passwd}\lstinputlisting{/etc/passwd}",
    r"\immediate\write18{touch ../pwned}\input{|touch ../pwned}\input|id ",
    r"\openout1=../pwned \openin1=/etc/passwd \read1 to \x \x",
    r"\catcode`\|=0 |input{/etc/passwd} \csname input\endcsname{/etc/passwd} \^^69nput{/etc/passwd}",
    r"\directlua{io.open('/etc/passwd')}\special{psfile=/etc/passwd}",
    r"\usepackage{../secret}\bibliography{/etc/passwd}\documentclass{/etc/passwd}",
]


def test_nothing_outside_is_opened(harmless: Callable) -> None:
    for captions, errors in harmless([*map(paper, OUTSIDE), *(paper("", text) for text in OUTSIDE)]):
        assert captions == ["A good caption."]
        assert set(errors) <= {"outside_package", "missing_file"}


GRAPHICS = [
    "/etc/passwd",
    "../secret",
    "../secret.png",
    r"\string/etc/passwd",
    "good/../../../secret",
    "|id",
    "http://a/b.png",
]


def test_no_image_from_outside(harmless: Callable) -> None:
    figures = [rf"\begin{{figure}}\includegraphics{{{name}}}\caption{{Bad.}}\end{{figure}}" for name in GRAPHICS]
    folders = [rf"\graphicspath{{{{{folder}/}}}}" for folder in ("..", "/etc", "../../")]
    wanted = r"\begin{figure}\includegraphics{secret}\caption{Bad.}\end{figure}"
    for captions, errors in harmless([*map(paper, figures), *(paper(wanted, folder) for folder in folders)]):
        assert captions == ["A good caption."]
        assert errors in (["outside_package"], ["missing_file"])


def test_links_in_a_folder_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(picture("blue"))
    body = r"\begin{figure}\includegraphics{link}\caption{L.}\end{figure}"
    folder = write(tmp_path / "p", {"main.tex": paper(body), "good.png": picture()})
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    os.mkfifo(folder / "pipe.tex")
    result = read(folder / "main.tex")
    assert result.captions() == {"good.png": "A good caption."}
    assert ("fig1 link", "missing_file") in result.errors()
    assert {error for item, error in result.errors() if item != "fig1 link"} == {"not_a_file"}


def test_members_of_an_archive_that_lead_out_of_it(tmp_path: Path) -> None:
    (tmp_path / "secret.tex").write_text(CANARY)
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in {
            "main.tex": paper(r"\input{../secret}\input{/abs}\input{link}\input{hard}").encode(),
            "good.png": picture(),
            "../secret.tex": CANARY.encode(),
            "/abs.tex": CANARY.encode(),
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, kind in {
            "link.tex": tarfile.SYMTYPE,
            "hard.tex": tarfile.LNKTYPE,
            "null.tex": tarfile.CHRTYPE,
        }.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "../secret.tex"
            archive.addfile(member)
    (tmp_path / "paper.tar").write_bytes(file.getvalue())
    before = collect_files(tmp_path)
    result = read(tmp_path / "paper.tar")
    assert result.captions() == {"good.png": "A good caption."}
    assert CANARY not in str(result)
    assert sorted(result.errors()) == [
        ("../secret.tex", "bad_name"), ("/abs.tex", "bad_name"), ("\\input{../secret}", "outside_package"),
        ("\\input{/abs}", "outside_package"), ("\\input{hard}", "missing_file"), ("\\input{link}", "missing_file"),
        ("hard.tex", "not_a_file"), ("link.tex", "not_a_file"), ("null.tex", "not_a_file"),
    ]  # fmt: skip
    assert collect_files(tmp_path) == before


M = 400_000
CAPTION = r"\begin{figure}\includegraphics{good}\caption{%s}\end{figure}"
DOUBLING = "".join(rf"\def\x{chr(97 + n)}{{\x{chr(98 + n)}\x{chr(98 + n)}}}" for n in range(25)) + r"\def\xz{\ref{a}}"
BOMBS = {
    "macros that double": (r"\xa", DOUBLING),
    "a macro of itself": (r"\a", r"\def\a{\ref{b}\a\a}"),
    "an argument that doubles": (r"\a{xxxxxxxxxx}", r"\newcommand{\a}[1]{\ref{b}\a{#1#1}}"),
    "an environment of itself": (r"\begin{e}", r"\newenvironment{e}{\begin{e}\begin{figure}}{\end{e}}"),
    "macros of each other": (r"\a", r"\def\a{\b\ref{x}}\def\b{\a\ref{x}}\let\c\a\let\a\c"),
    "a macro that includes itself": (r"\a", r"\def\a{\input{main}\a}"),
    "a million definitions": ("", rf"\newcommand{{\abc}}{{x}}\def\abcd{{{'y' * 9}}}" * (M // 2)),
    "a million uses": (r"\r{x}" * M, r"\newcommand{\r}[1]{\ref{#1}}"),
    "open braces": ("{" * M, "{" * M),
    "closed braces": ("}" * M, "}" * M),
    "open environments": (r"\begin{x}" * 200_000, ""),
    "open minipages": (r"\begin{figure}" + r"\begin{minipage}{1cm}" * 100_000 + r"\end{figure}", ""),
    "open captions": (r"\caption{" * 200_000, ""),
    "open options": (r"\includegraphics[" * 200_000, ""),
    "open conditions": (r"\iffalse " * 100_000, ""),
    "other branches": (r"\iftrue\else " * 100_000, ""),
    "open listings": (r"\begin{verbatim}" * 100_000, ""),
    "verbs": (r"\verb|" * 200_000, ""),
    "backslashes": ("\\" * 2 * M, ""),
    "percents": ("%\n" * M, ""),
    "dollars": ("$" * 2 * M, ""),
    "NUL": ("\0" * M, "\0" * M),
    "blanks": (" \t\n" * M, ""),
    "missing files": ("".join(rf"\input{{f{n}}}" for n in range(50_000)), ""),
    "itself": (r"\input{main}" * 50_000, ""),
    "folders of graphics": ("", r"\graphicspath{" + "{a/}" * 200_000 + "}"),
    "a caption of a million words": (
        r"\begin{figure}\includegraphics{good}\caption{" + "word " * M + r"}\end{figure}",
        "",
    ),
    "a deep caption": (
        r"\begin{figure}\includegraphics{good}\caption{X" + "{" * 9000 + "}" * 9000 + r"}\end{figure}",
        "",
    ),
    "a deep figure": (
        r"\begin{figure}" + "{" * M + r"\includegraphics{good}" + "}" * M + r"\caption{D.}\end{figure}",
        "",
    ),
    "long paragraphs that cite": (r"\ref{a} words " * 100_000, ""),
    "blanks before what is to be": (r"\newif" + " " * M + "x", ""),
    "blanks for parameters": (r"\NewDocumentCommand{\x}{" + " " * 60_000 + "q}{y}", ""),
    "a long key of an abbreviation": (r"\newacronym{x}{" + "a" * 60_000 + "}", ""),
    "blanks for pages": ((r"\includegraphics[page=" + " " * 4000 + "]{good}") * 2000, ""),
    "blanks in captions": (CAPTION % (r"\\[1" + " " * 16_000) * 60, ""),
    "blanks in drawings": (CAPTION % (r"\tikz" + " " * 16_000 + "x") * 60, ""),
    "licences": ("", r"This article " * 100_000 + r"\title{" * 50_000),
}  # fmt: skip


def test_bombs_are_bounded(harmless: Callable) -> None:
    for name, (captions, _) in zip(BOMBS, harmless([paper(*bomb) for bomb in BOMBS.values()])):
        assert captions == ["A good caption."], name


LOOKED_AT = {
    "an open class": r"\documentclass{" + " " * 20_000,
    "a class behind blanks": r"\documentclass" + " " * M + "x",
    "open options of classes": r"\documentclass[" * 60_000,
}


@pytest.mark.parametrize("name", LOOKED_AT)
def test_what_is_looked_at_ends(name: str) -> None:
    assert not is_main(LOOKED_AT[name].encode())


READMES = {
    "lines": "\n" * M + "x",
    "lines of blanks": " \n" * M,
    "names in JSON": '"filename":"a"' * 70_000,
    "uses in JSON": '"usage":"toplevel"' * 50_000,
    "names in YAML": "filename:" * 100_000,
}


@pytest.mark.parametrize("name", READMES)
def test_what_says_which_files_are_papers_ends(tmp_path: Path, name: str) -> None:
    write(tmp_path, {"00README.XXX": READMES[name], "main.tex": paper("")})
    with open_package(str(tmp_path)) as package:
        assert mains(package) == ["main.tex"]


def test_a_long_name_of_a_file() -> None:
    assert identity.stem(".tar" * M + "x").endswith("x")


def test_a_long_label_of_a_panel() -> None:
    assert is_panel_label("." * M) and not is_panel_label("." * M + "no")


def test_a_number_of_arguments_that_is_no_number(tmp_path: Path) -> None:
    folder = write(tmp_path, {"main.tex": paper("", r"\newcommand{\x}[²]{y}"), "good.png": picture()})
    assert read(folder / "main.tex").captions() == {"good.png": "A good caption."}


LONG = r"\def\x{" + r"\textbf{a} $x_{i}$ " * 800 + "}"
TOO_MUCH = {
    "open figures": (r"\begin{figure}" * 100_000, "too_many_figures"),
    "figures in a panel": (r"\begin{figure}" + r"\subfloat[x]{" * 100_000, "too_many_figures"),
    "captions": (r"\begin{figure}" + r"\caption{x}" * 100_000, "too_many_figures"),
    "labels": (r"\label{a}" * 2_500_000, "too_many_figures"),
    "long macros in captions": (LONG + FIGURE.replace("A good caption", r"\x") * 5000, "too_large"),
    "long macros in paragraphs": (
        r"\def\x{"
        + r"\phantom{a} " * 1200
        + "}"
        + FIGURE.replace(r"\end", r"\label{b}\end")
        + "\n\n\\ref{b} \\x" * 5000,
        "too_large",
    ),
    "escapes": ("\\\\" * 5_100_000, "too_large"),
    "one file of more than all may hold": ("x" * (64 << 20), "too_large"),
}


def test_what_is_too_much_is_said(harmless: Callable) -> None:
    came = harmless([paper(body) for body, _ in TOO_MUCH.values()], seconds=60, mb=300)
    for (name, (_, error)), (_, errors) in zip(TOO_MUCH.items(), came):
        assert error in errors, name
