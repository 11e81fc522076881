"""Sources as one text: includes, comments, conditionals, macros, and what must not happen."""

from pathlib import Path

import pytest

from curation.sources.latex.flatten import MOST_DEPTH, MOST_FILES, Flat, flatten
from curation.sources.latex.names import Names
from curation.sources.latex.source import clean, decode
from curation.sources.packages import open_package
from tests.sources.latex.papers import write


def flat(folder: Path, files: dict[str, str | bytes], main: str = "main.tex") -> Flat:
    with open_package(str(write(folder, files))) as package:
        return flatten(package, Names(package.members), main)


def body(folder: Path, text: str, preamble: str = "", **files: str) -> str:
    named = {name.replace("_", "/") + ".tex": content for name, content in files.items()}
    main = f"\\documentclass{{article}}{preamble}\\begin{{document}}{text}\\end{{document}} after"
    return flat(folder, named | {"main.tex": main}).body


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("a % b\nc", "a c"),
        ("a%\n   b", "ab"),
        ("a%\n\nb", "a\n\nb"),
        ("50\\% of\\\\% x\nb", "50\\% of\\\\b"),
        ("a % b", "a "),
        ("\\url{http://a.b/c%20d} % e\n", "\\url{http://a.b/c\\%20d} "),
        ("\\verb|%a_{| b % c", "\\%a\\_\\{ b "),
        ("\\lstinline[a=b]!x%y! \\lstinline{p%q}", "x\\%y p\\%q"),
        ("a\\begin{verbatim}\n%\\end{document}\n\\end{verbatim}b", "a\\begin{verbatim}\\end{verbatim}b"),
        ("a\\begin{comment}x\n\\end{comment}b", "ab"),
        (
            "\\lstnewenvironment{code}{}{}\\begin{code}%\\end{code}b",
            "\\lstnewenvironment{code}{}{}\\begin{verbatim}\\end{verbatim}b",
        ),
        ("a\\begin{verbatim} never closed % x", "a\\begin{verbatim} never closed "),
        ("a\r\nb\rc", "a\nb\nc"),
        ("\\verb", ""),
        ("\\verbatiminput{x}", "\\verbatiminput{x}"),
    ],
)  # fmt: skip
def test_clean(raw: str, text: str) -> None:
    assert clean(raw) == text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("é".encode(), "é"),
        ("é".encode("latin-1"), "é"),
        (b"\\usepackage[latin2]{inputenc} \xb3", "\\usepackage[latin2]{inputenc} ł"),
        (b"\\usepackage[cp1251]{inputenc} \xc0", "\\usepackage[cp1251]{inputenc} А"),
        (b"\\begin{CJK*}{GBK}{song}\xd6\xd0", "\\begin{CJK*}{GBK}{song}中"),
        (b"\xef\xbb\xbfa", "a"),
        ("a".encode("utf-16"), "a"),
        (b"\\usepackage[nonsense]{inputenc} \xe9", "\\usepackage[nonsense]{inputenc} é"),
    ],
)
def test_decode(data: bytes, text: str) -> None:
    assert decode(data)[0] == text


def test_included_files_are_put_in_place(tmp_path: Path) -> None:
    text = body(
        tmp_path,
        r"a \input{one} b \include{sub/two}c \input sub/three d \subfile{four} \import{sub/}{five} \input{ONE}",
        one="ONE %comment",
        sub_two=r"TWO\endinput never",
        sub_three=r"THREE \input{six}",
        four=r"\documentclass[main]{subfiles}\newcommand{\no}{no}\begin{document}FOUR\end{document} never",
        sub_five="FIVE",
        sub_six="SIX",
    )
    assert " ".join(text.split()) == "a ONE b TWOc THREE SIX d FOUR FIVE"


def test_conditionals(tmp_path: Path) -> None:
    preamble = r"\newif\iflong\longtrue\newif\ifshort"
    text = r"\iffalse no \ifx\a\b no \else no \fi no \else 1\fi \iflong 2\else no\fi \ifshort no\else 3\fi \longfalse"
    text += r"\iflong no\fi \ifnum1<2 4\else no\fi \if00 5\fi \ifpdf 6\else no\fi \ifthenelse{a}{b}{7} $a \iff b$"
    assert body(tmp_path, text, preamble).replace(r"\ifthenelse{a}{b}", "").split() == [
        *("1", "2", "3", "4", "5", "6", "{7}", "$a", r"\iff", "b$"),
    ]


def test_a_false_branch_that_never_ends_is_read(tmp_path: Path) -> None:
    assert body(tmp_path, r"a \iffalse b").split() == ["a", "b"]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("\\if0\n", False),
        ("\\if 0\n", False),
        ("\\if0%\n", False),
        ("\\if0 0", False),
        (r"\if0\begin{x}\end{x}", False),
        (r"\if0{}", False),
        (r"\if0", False),
        ("\\if\n00", True),
        (r"\if0\blind", True),
        (r"\if1\blind", False),
        ("\\if\\blind\n0", True),
        (r"\if\blind1", False),
    ],
)
def test_characters_are_compared_as_tex_does(tmp_path: Path, condition: str, holds: bool) -> None:
    text = rf"{condition}\textbf{{yes}}\else\textbf{{no}}\fi"
    assert body(tmp_path, text, r"\newcommand{\blind}{0}").split() == [r"\textbf{yes}" if holds else r"\textbf{no}"]


def test_macros_that_lead_to_figures_are_expanded_everywhere(tmp_path: Path) -> None:
    preamble = r"""\newcommand{\inner}[1]{\includegraphics{#1}}\newcommand{\outer}[2][d]{\inner{#1/#2}}
        \newcommand{\plain}{words}\newenvironment{myfig}[1]{\begin{figure}\caption{#1}}{\end{figure}}
        \def\fref#1{Fig.~\ref{fig:#1}}\def\be{\begin{equation}}\renewcommand{\caption}[1]{gone}"""
    text = body(tmp_path, r"\outer{a} \plain \begin{myfig}{C} x\end{myfig} \fref{b}\be", preamble)
    assert text == (
        r"\includegraphics{d/a} \plain \begin{figure}\caption{C} x\end{figure} Fig.~\ref{fig:b}\begin{equation}"
    )


def test_macros_of_a_style_file_that_comes_with_the_paper(tmp_path: Path) -> None:
    style = r"\newcommand{\pic}[1]{\includegraphics{#1}}\def\@hidden{\includegraphics{no}}\input{nothing}"
    files = {
        "my.sty": style,
        "main.tex": r"\documentclass{a}\usepackage{amsmath,my}\begin{document}\pic{a}\end{document}",
    }
    result = flat(tmp_path, files)
    assert result.body == r"\includegraphics{a}" and not result.rejects


def errors(result: Flat) -> list[tuple[str, str]]:
    return [(reject.item, reject.error) for reject in result.rejects]


OUTSIDE = ["/etc/passwd", "../secret", "a/../../secret", r"\string/etc/passwd", r"\dots/secret", "~/secret"]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("command", [r"\input{%s}", r"\include{%s}", r"\input %s ", r"\import{}{%s}", r"\subfile{%s}"])
def test_nothing_outside_the_folder_is_read(tmp_path: Path, name: str, command: str) -> None:
    (tmp_path / "secret.tex").write_text("SECRET")
    (tmp_path / "~").mkdir()
    preamble = r"\documentclass{a}\def\dots{..}\begin{document}"
    result = flat(tmp_path / "paper", {"main.tex": f"{preamble}{command % name} end\\end{{document}}"})
    assert "SECRET" not in result.body and "root:" not in result.body and "end" in result.body
    assert [error for _, error in errors(result)] in (["outside_package"], ["missing_file"])


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.tex").write_text("SECRET")
    (tmp_path / "paper").mkdir()
    (tmp_path / "paper/link.tex").symlink_to(tmp_path / "secret.tex")
    (tmp_path / "paper/folder").symlink_to(tmp_path)
    result = flat(tmp_path / "paper", {"main.tex": r"\input{link} \input{folder/secret} end"})
    assert "SECRET" not in result.body and "end" in result.body
    assert [error for _, error in errors(result)] == ["missing_file", "missing_file"]


def test_cycles_end(tmp_path: Path) -> None:
    files = {
        "main.tex": r"a \input{main} b \input{x}",
        "x.tex": r"x \input{y} \input{x}",
        "y.tex": r"y \input{x} \input{y}",
    }
    result = flat(tmp_path, files)
    assert result.body.split() == ["a", "b", "x", "y"]
    assert {error for _, error in errors(result)} == {"include_cycle"} and len(result.rejects) == 4


def test_depth_is_bounded(tmp_path: Path) -> None:
    files = {f"f{n}.tex": rf"d{n} \input{{f{n + 1}}}" for n in range(MOST_DEPTH + 1)}
    result = flat(tmp_path, files | {"main.tex": r"\input{f0} end"})
    assert result.body.split() == [*(f"d{n}" for n in range(MOST_DEPTH - 1)), "end"]
    assert errors(result) == [(rf"\input{{f{MOST_DEPTH - 1}}}", "too_deep")]


@pytest.mark.parametrize("more", [0, 1])
def test_files_are_bounded(tmp_path: Path, more: int) -> None:
    count = MOST_FILES - 1 + more
    files = {f"f{n}.tex": f"d{n} " for n in range(count)}
    result = flat(tmp_path, files | {"main.tex": "".join(rf"\input{{f{n}}}" for n in range(count))})
    assert len(result.body.split()) == MOST_FILES - 1
    assert [error for _, error in errors(result)] == ["too_many_files"] * more


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    assert errors(flat(tmp_path, {"main.tex": r"\input{gone}\subimport{a}{b}"})) == [
        (r"\input{gone}", "missing_file"), (r"\subimport{a/b}", "missing_file"),
    ]  # fmt: skip
