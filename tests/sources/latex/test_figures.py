"""Which caption belongs to which graphic: one construct a test, as authors write them."""

from pathlib import Path

import pytest

from tests.sources.latex.papers import Result, read_body

BEGIN, END = r"\begin{figure}", r"\end{figure}"
A, B, C = (rf"\includegraphics[width=3cm]{{{name}.png}}" for name in "abc")
PICTURES = ("a.png", "b.png", "c.png")


def half(content: str) -> str:
    return rf"\begin{{minipage}}[t]{{0.5\textwidth}}{content}\end{{minipage}}"


def sub(content: str) -> str:
    return rf"\begin{{subfigure}}[b]{{0.5\textwidth}}{content}\end{{subfigure}}"


TABULAR = r"\begin{tabular}{c}x\end{tabular}"
TIKZ = r"\begin{tikzpicture}\draw (0,0);\end{tikzpicture}"

# name: body, captions by file, rejects.
CASES: dict[str, tuple[str, dict[str, str], list[tuple[str, str]]]] = {
    "one": (BEGIN + A + r"\caption{One.}" + END, {"a.png": "One."}, []),
    "star": (r"\begin{figure*}" + A + r"\caption*{One.}\end{figure*}", {"a.png": "One."}, []),
    "centred": (BEGIN + rf"\begin{{center}}{A}\end{{center}}\caption{{One.}}" + END, {"a.png": "One."}, []),
    "boxes": (BEGIN + rf"\centerline{{\fbox{{{A}}}}}\caption{{One.}}" + END, {"a.png": "One."}, []),
    "adjustbox": (BEGIN + rf"\begin{{adjustbox}}{{w}}{A}\end{{adjustbox}}\caption{{O.}}" + END, {"a.png": "O."}, []),
    "wrapped": (rf"\begin{{wrapfigure}}[5]{{r}}[1pt]{{3cm}}{A}\caption{{W.}}\end{{wrapfigure}}", {"a.png": "W."}, []),
    "side caption": (rf"\begin{{SCfigure}}[1][t]{A}\caption{{One.}}\end{{SCfigure}}", {"a.png": "One."}, []),
    "table": (rf"\begin{{table}}{A}\caption{{One.}}\end{{table}}", {"a.png": "One."}, []),
    "minipages": (
        BEGIN + half(A + r"\caption{One.}") + half(B + r"\caption{Two.}") + END, {"a.png": "One.", "b.png": "Two."}, [],
    ),
    "caption in its own minipage": (BEGIN + half(A) + half(r"\caption{One.}") + END, {"a.png": "One."}, []),
    "in a row, captions below": (
        BEGIN + A + r"\caption{One.}" + B + r"\caption{Two.}" + END, {"a.png": "One.", "b.png": "Two."}, [],
    ),
    "in a row, captions above": (
        BEGIN + r"\caption{One.}" + A + r"\caption{Two.}" + B + END, {"a.png": "One.", "b.png": "Two."}, [],
    ),
    "nothing follows the last caption": (
        BEGIN + r"\caption{Other.}" + A + r"\caption{Mine.}" + END, {"a.png": "Mine."}, [("fig1", "no_graphic")],
    ),
    "nothing after the last graphic": (
        BEGIN + A + r"\caption{One.}" + B + r"\caption{Two.}" + C + END,
        {"a.png": "One.", "b.png": "Two."},
        [("fig1 c.png", "no_caption")],
    ),
    "a drawing has its own": (
        BEGIN + TIKZ + r"\caption{Drawn.}" + A + r"\caption{One.}" + END, {"a.png": "One."}, [("fig1", "no_graphic")],
    ),
    "a drawing beside": (
        BEGIN + half(TIKZ + r"\caption{Drawn.}") + half(A) + END,
        {},
        [("fig1 a.png", "no_caption"), ("fig1", "no_graphic")],
    ),
    "a table beside": (
        BEGIN + half(A) + half(TABULAR + r"\captionof{table}{Tab.}") + r"\caption{Fig.}" + END, {"a.png": "Fig."}, [],
    ),
    "a table's caption is no figure's": (
        BEGIN + half(A) + half(TABULAR + r"\caption{Tab.}") + END,
        {},
        [("fig1 a.png", "no_caption"), ("fig1", "no_graphic")],
    ),
    "an empty panel keeps its caption": (
        BEGIN + r"\subfloat[Lost.]{\unknown}\subfloat{" + A + "}" + END,
        {},
        [("fig1 a.png", "no_caption"), ("fig1", "no_graphic")],
    ),
    "floatrow": (
        rf"{BEGIN}\begin{{floatrow}}\ffigbox{{{A}}}{{\caption{{One.}}}}\ffigbox{{{B}}}{{\caption{{Two.}}}}\end{{floatrow}}{END}",
        {"a.png": "One.", "b.png": "Two."}, [],
    ),
    "floatrow, captions above": (
        BEGIN + rf"\ffigbox{{\caption{{One.}}}}{{{A}}}\ffigbox{{\caption{{Two.}}}}{{{B}}}" + END,
        {"a.png": "One.", "b.png": "Two."},
        [],
    ),
    "captionof": (rf"\begin{{center}}{A}\captionof{{figure}}{{One.}}\end{{center}}", {"a.png": "One."}, []),
    "captionof in a paragraph": (rf"Text. {A} \captionof{{figure}}[Short]{{One.}}", {"a.png": "One."}, []),
    "captionof in the next": (A + "\n\n" + r"\captionof{figure}{One.}", {"a.png": "One."}, []),
    "captionof is not for what stands before": (
        rf"\begin{{center}}{A}\end{{center}} \begin{{center}}{B}\captionof{{figure}}{{Two.}}\end{{center}}",
        {"b.png": "Two."},
        [("fig1 a.png", "no_caption")],
    ),
    "figcaption with its file": (r"\figcaption[a.png]{One.}", {"a.png": "One."}, []),
    "not closed": (
        BEGIN + A + r"\caption{One \label{f}" + END + "\n\nText.\n\n" + BEGIN + B + r"\caption{Two.}" + END,
        {"a.png": "One", "b.png": "Two."},
        [],
    ),
    "figure not ended": (
        BEGIN + A + "\\caption{One.}\n\n\\section{S} Text.\n\n" + BEGIN + B + r"\caption{Two.}" + END,
        {"a.png": "One.", "b.png": "Two."},
        [],
    ),
    "too many braces": (
        BEGIN + "}}" + A + r"\caption{One.}}" + END + BEGIN + "{{" + B + r"\caption{Two.}" + END,
        {"a.png": "One.", "b.png": "Two."},
        [],
    ),
    "a wrong end": (BEGIN + r"\end{center}" + A + r"\end{figure*}\caption{One.}" + END, {"a.png": "One."}, []),
    "graphics in a caption": (
        BEGIN + A + r"\caption{As \includegraphics{b.png} shows.}" + END, {"a.png": "As shows."}, [],
    ),
    "no caption": (BEGIN + A + END + B, {}, [("fig1 a.png", "no_caption"), ("b.png", "not_in_figure")]),
    "blank caption": (BEGIN + A + r"\caption{~}" + END, {}, [("fig1 a.png", "no_caption")]),
    "no letters": (BEGIN + A + r"\caption{1--2}" + END, {}, [("fig1 a.png", "no_letters")]),
    "listing": (
        BEGIN + "\\begin{lstlisting}\n\\caption{No}\n\\end{lstlisting}" + r"\caption{L.}" + END,
        {},
        [("fig1", "no_graphic")],
    ),
    "table only": (rf"\begin{{table}}{TABULAR}\caption{{Tab.}}\end{{table}}", {}, []),
    "plain float": (r"\begin{scheme}" + A + r"\caption{One.}\end{scheme}", {"a.png": "One."}, []),
    "layers of a drawing": (
        rf"{BEGIN}\begin{{picture}}(1,1)\put(0,0){{{A}}}\put(0,0){{\includegraphics[page=2]{{a.png}}}}\end{{picture}}"
        rf"\caption{{One.}}{END}",
        {"a.png": "One."},
        [],
    ),
    "a slide": (
        rf"\begin{{frame}}{BEGIN}\includegraphics<1->[width=1cm]{{a.png}}\caption<2>{{One.}}{END}\end{{frame}}",
        {"a.png": "One."},
        [],
    ),
    "a name that only a program gives": (
        rf"{BEGIN}\foreach \n in {{a,b}}{{\includegraphics{{\n.png}}}}\caption{{Each.}}{END}",
        {},
        [("fig1 \\n.png", "missing_file")],
    ),
    "unknown environment": (r"\begin{panelbox}" + A + r"\caption{One.}\end{panelbox}", {"a.png": "One."}, []),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_captions(tmp_path: Path, name: str) -> None:
    body, captions, rejected = CASES[name]
    result = read_body(tmp_path, body, *PICTURES)
    assert result.captions() == captions
    assert result.errors() == rejected
    assert all(row["caption_kind"] == "caption" and "panel" not in row["extra"] for row in result.found)


def panels(result: Result) -> list[tuple[str, str, str, str | None]]:
    """File, caption, kind and caption of the whole figure; every row must be a panel, numbered in order."""
    rows = [row["extra"] | {"caption": row["caption"], "kind": row["caption_kind"]} for row in result.found]
    assert [row["panel"] for row in rows] == [str(n + 1) for n in range(len(rows))]
    assert {row["panel_count"] for row in rows} == {str(len(rows))}
    return [(row["file"], row["caption"], row["kind"], row.get("group_caption")) for row in rows]


OWN = [("a.png", "Left.", "caption", "Both."), ("b.png", "Right.", "caption", "Both.")]
SHARED = [("a.png", "Both.", "group_caption", None), ("b.png", "Both.", "group_caption", None)]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (A + B + r"\caption{Both.}", SHARED),
        (r"\caption{Both.}" + half(A) + half(B), SHARED),
        (rf"\begin{{tabular}}{{cc}}{A} & {B} \\ (a) & (b)\end{{tabular}}\caption{{Both.}}", SHARED),
        (rf"\subfloat{{{A}}}\subfloat[\label{{x}}]{{{B}}}\caption{{Both.}}", SHARED),
        (rf"\subfloat[(a)]{{{A}}}\subfloat[\textbf{{b}})\label{{x}}]{{{B}}}\caption{{Both.}}", SHARED),
        (r"\plottwo{a.png}{b.png}\caption{Both.}", SHARED),
        (r"\gridline{\fig{a.png}{0.3\textwidth}{(a)}\fig{b.png}{1cm}{(b)}}\caption{Both.}", SHARED),
        (sub(A + r"\caption{Left.}") + sub(B + r"\caption{Right.}") + r"\caption{Both.}", OWN),
        (r"\caption{Both.}" + sub(r"\caption{Left.}" + A) + sub(r"\caption{Right.}" + B), OWN),
        (half(A + r"\subcaption{Left.}") + half(B + r"\subcaption{Right.}") + r"\caption{Both.}", OWN),
        (A + r"\subcaption{Left.}" + B + r"\subcaption{Right.}\caption{Both.}", OWN),
        (rf"\subfloat[Left.]{{{A}}}\subfloat[List][Right.]{{{B}}}\caption{{Both.}}", OWN),
        (rf"\subfigure[Left.]{{{A}}}\quad\subfigure[Right.\label{{x}}]{{{B}}}\caption{{Both.}}", OWN),
        (rf"\subcaptionbox{{Left.}}[3cm]{{{A}}}\subcaptionbox[L]{{Right.}}{{{B}}}\caption{{Both.}}", OWN),
        (r"\gridline{\fig{a.png}{2cm}{Left.}\fig{b.png}{1cm}{Right.}}\caption{Both.}", OWN),
        (sub(A) + sub(B + r"\caption{Right.}") + r"\caption{Both.}", [SHARED[0], OWN[1]]),
    ],
)
def test_panels(tmp_path: Path, body: str, expected: list[tuple[str, str, str, str | None]]) -> None:
    assert panels(read_body(tmp_path, BEGIN + body + END, *PICTURES)) == expected


def test_a_figure_that_is_one_but_for_its_name(tmp_path: Path) -> None:
    body = (
        rf"\begin{{center}}\captionsetup{{type=figure}}\subfloat[Left.]{{{A}}}\subfloat[Right.]{{{B}}}\caption{{Both.}}"
    )
    assert panels(read_body(tmp_path, body + r"\end{center}", *PICTURES)) == OWN


def test_panels_without_any_other_caption(tmp_path: Path) -> None:
    result = read_body(tmp_path, BEGIN + sub(A + r"\caption{Left.}") + sub(B + r"\caption{Right.}") + END, *PICTURES)
    assert result.captions() == {"a.png": "Left.", "b.png": "Right."}
    assert all("group_caption" not in row["extra"] for row in result.found)


def test_number_of_a_panel_is_kept(tmp_path: Path) -> None:
    result = read_body(
        tmp_path, BEGIN + rf"\subfloat[(a)]{{{A}}}\subfloat[b)]{{{B}}}\caption{{Both.}}" + END, *PICTURES
    )
    assert [row["extra"]["panel_label"] for row in result.found] == ["(a)", "b)"]


@pytest.mark.parametrize("body", [r"\bicaption{One.}{Eins.}", r"\caption{One.}\label{x}\caption{Eins.}"])
def test_two_languages_are_two_pairs(tmp_path: Path, body: str) -> None:
    result = read_body(tmp_path, BEGIN + A + body + END, *PICTURES)
    assert [row["caption"] for row in result.found] == ["One.", "Eins."]
    assert len({row["identity"] for row in result.found}) == 1
    assert len({row["image"]["uri"] for row in result.found}) == 1


def test_short_caption_note_and_label(tmp_path: Path) -> None:
    body = BEGIN + A + r"\caption[Short]{Long one.}\label{fig:x}\caption*{Source: own.}" + END
    (row,) = read_body(tmp_path, body, *PICTURES).found
    assert row["caption"] == "Long one."
    wanted = {"short_caption": "Short", "caption_note": "Source: own.", "label": "fig:x", "figure": "fig1"}
    assert wanted.items() <= row["extra"].items()


def test_one_file_in_two_figures_is_one_image_with_two_captions(tmp_path: Path) -> None:
    figures = BEGIN + A + r"\caption{First.}" + END + BEGIN + A + r"\caption{Second.}" + END
    result = read_body(tmp_path, figures, *PICTURES)
    assert [row["caption"] for row in result.found] == ["First.", "Second."]
    assert len({row["identity"] for row in result.found}) == 1


def test_links_are_rejected_or_removed(tmp_path: Path) -> None:
    caption = r"\caption{From \url{http://x.org/a%20b} or \href{http://z.org}{there}.}"
    result = read_body(tmp_path, BEGIN + A + caption + END, *PICTURES)
    assert result.errors() == [("fig1 a.png", "link_in_caption")]
    kept = read_body(tmp_path, BEGIN + A + caption + END, *PICTURES, keep_links=True)
    assert kept.captions() == {"a.png": "From or there."}


def test_citing_paragraphs(tmp_path: Path) -> None:
    float_one = (
        BEGIN
        + sub(A + r"\caption{Left.}\label{l}")
        + sub(B + r"\caption{Right.}\label{r}")
        + r"\caption{Both.}\label{both}"
        + END
    )
    body = rf"""First, \cref{{l}} shows
    \emph{{a}} thing.

    {float_one}

    Second: Figs.~\ref{{r,other}} and \subref{{l}}. {BEGIN}{C}\caption{{Not here.}}{END} More.

    \section{{Title}} Third \autoref{{both}}.
    \begin{{itemize}}
    \item One item on \ref{{l}}.
    \item Another item.
    \end{{itemize}}

    None of it \ref{{nothing}}."""
    rows = {row["extra"]["file"]: row["context"] for row in read_body(tmp_path, body, *PICTURES).found}
    first, second, third = "First, <ref> shows a thing.", "Second: Figs. <ref> and <ref>. More.", "Third <ref>."
    assert rows["a.png"].split("\n\n") == [first, second, third, "One item on <ref>."]
    assert rows["b.png"].split("\n\n") == [second, third]
    assert rows["c.png"] is None
