"""LaTeX to readable text: what pylatexenc gives, and its quirks."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.sources.latex.macros import Macros, definitions
from curation.sources.latex.text import TEXT_CHARS, readable, stripped


def said(latex: str, definitions_text: str = "") -> str:
    macros = Macros()
    macros.define(definitions(definitions_text))
    return readable(latex, macros, {}).text


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        # Blanks between commands, which must not merge words.
        (r"{one} {two} \textbf{a} \emph{b} \emph{c}d", "one two a b cd"),
        (r"A\\B\\[2mm]C \newline D\par E\quad F~G\,H", "A B C D E F G H"),
        ("a\\\\ [1.5ex] b \\hspace*{1cm}c\n\td", "a b c d"),
        (r"(\emph{Left}:)(\textbf{Right})", "(Left:)(Right)"),
        # What the library loses.
        (r"\texttt{a} \textsf{b} \textup{c} \textmd{d} \textsc{E} \MakeUppercase{f}", "a b c d E f"),
        (r"\href{http://a.b}{words} \Citealt{x}", "words <cit.>"),
        (r"\S\ref{a} $a\ne b$ \copyright", "§<ref> a≠ b ©"),
        # Accents, quotes, dashes.
        (r"Schr\"odinger na\"{\i}ve \o re \ss{} \v{S} \L{}\'od\'z \AA", "Schrödinger naïve øre ß Š Łódź Å"),
        (r"``a'' -- b --- c 50\% \& \$5 \#1 a\_b", "“a” – b — c 50% & $5 #1 a_b"),
        # Mathematics.
        (r"$E=mc^2$ $10^{-3}\,$m $x_{i}^{2}$ $\frac{a}{b+c}$", "E=mc^2 10^-3 m x_i^2 a/(b+c)"),
        (r"$\sum_{i=1}^N x_i$ $\mathbf{x}\in\mathbb{R}^{d\times n}$", "∑_(i=1)^N x_i x∈R^(d× n)"),
        (r"$\mathcal{O}(n\log n)$ $\sin x$ $\sqrt{x+1}$ $\left. y\right|_0$", "O(n log n) sin x √(x+1) y|_0"),
        (r"20$^\circ$C 1$^{\mathrm{st}}$ H$_2$O CO\textsubscript{2} 10\textsuperscript{3}", "20°C 1st H_2O CO_2 10^3"),
        (r"$\hat{x}$ $\alpha\le\beta$ \[ x = 1 \] \(y\)", "x̂ α≤β x = 1 y"),
        (r"$\hat{\vec h}_i$ $\bar{x_i}$ $\widehat{ab}$ $\dot\nabla$ $\hat{}$", "h⃗̂_i x̄_i âb ∇̇"),
        # References, citations, labels.
        (r"Fig.~\ref{b} \cref{b,c} \eqref{e} \cite[p.~2]{x} \citet*{y}", "Fig. <ref> <ref> (<ref>) <cit.> <cit.>"),
        (r"\label{x}Text\index{y} here\footnote{A note.}", "Text here (A note.)"),
        # Units, colours, boxes.
        (r"\SI{5}{\micro\metre\per\second} \qty{3}{\kilo\gram} \num{1e5} \si{m\,s^{-1}}", "5 µm/s 3 kg 1e5 m s^-1"),
        (r"\textcolor[rgb]{1,0,0}{red} {\color{blue}sky} \raisebox{2pt}{up} \mbox{box}", "red sky up box"),
        (r"\resizebox{1cm}{!}{big} \rotatebox{90}{tall} \fcolorbox{a}{b}{c}", "big tall c"),
        (r"\includegraphics[width=1em]{x.png} icon \tikz{\draw;}", "icon"),
        (r"20$^\circ$ $^{\circ}$C $\circ$ \ang{45} super\-conductor", "20° °C ∘ 45° superconductor"),
        (r"Red \tikz[x=1]\draw[red,thick] (0,0) -- (1,0); line, \tikz{\draw;}", "Red line,"),
        (r"{\bf bold} {\it it} {\small\sc caps} \LaTeX{} \ldots", "bold it caps LaTeX …"),
        (r"\texorpdfstring{$x$}{x} \ce{H2O} \unknown{kept} \unknown alone", "x H2O kept alone"),
        # Unbalanced.
        (r"a {b $c", "a b c"),
        (r"a} b\end{x} c", "a b c"),
        ("", ""),
    ],
)
def test_readable(latex: str, text: str) -> None:
    assert said(latex) == text


@pytest.mark.parametrize(
    ("defined", "latex", "text"),
    [
        (r"\newcommand{\our}{\textsc{Ours}\xspace}", r"the \our net, \our, \our{} too", "the Ours net, Ours, Ours too"),
        (r"\newcommand{\vect}[1]{\mathbf{#1}}", r"$\vect{x}_i \vect y$", "x_i y"),
        (r"\newcommand{\o}[2][def]{#1-#2}", r"\o{a} \o[b]{c}", "def-a b-c"),
        (r"\def\kms{km\,s$^{-1}$}", r"5 \kms\ and", "5 km s^-1 and"),
        (r"\def\x#1#2{#2#1}", r"\x{a}b", "ba"),
        (r"\let\al\alpha \def\b{\al\al}", r"$\b$", "αα"),
        (r"\DeclareMathOperator*{\argmax}{arg\,max}", r"$\argmax_x f$", "arg max_x f"),
        (r"\NewDocumentCommand{\q}{o m}{<#2>}", r"\q{a} \q[z]{b}", "<a> <b>"),
        (r"\def\e{\ensuremath{x}} \def\m{\ifmmode x\else y\fi}", r"\e\ \m", "x y"),
        (r"\newacronym{sp}{SP}{Some Program}", r"\gls{sp} \glspl{sp} \acrlong{sp} \ac{no}", "SP SPs Some Program no"),
        (
            r"\acrodef{ab}[AB]{Able Body} \DeclareAcronym{cd}{short={C.D.}, long=See Dee}",
            r"\ac{ab} \acl{ab} \ac{cd}",
            "AB Able Body C.D.",
        ),
        # A program is not run: it stands for nothing.
        (r"\def\p{\csname write18\endcsname{x}}", r"a \p b", "a b"),
        (r"\def\w#1.{#1}", r"a \w b. c", "a b. c"),
    ],
)  # fmt: skip
def test_macros(defined: str, latex: str, text: str) -> None:
    assert said(latex, defined) == text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("As in Fig. <ref>.", "As in Fig.."),
        ("Red (see <ref>, <cit.>) and [<cit.>].", "Red and."),
        ("No marks (here).", "No marks (here)."),
    ],
)
def test_stripped(text: str, plain: str) -> None:
    assert stripped(text) == plain


def test_neither_the_day_nor_another_text_is_seen() -> None:
    assert said(r"A dog, \today.") == "A dog, ."
    assert said(r"\author{A. Bee}\title{On Bees} Text\maketitle") == "On Bees Text"
    assert said(r"\maketitle Text") == "Text"


def test_links_are_told(tmp_path: None = None) -> None:
    macros = Macros()
    macros.define(definitions(r"\newcommand{\site}{\url{http://x.org}}"))
    assert readable(r"From \site.", macros, {}).has_link
    assert readable(r"From \site.", macros, {}, urls=False).text == "From ."
    assert readable(r"\href{http://x.org}{here}", macros, {}, urls=False)[:2] == ("here", True)
    assert not readable("From http://x.org", macros, {}).has_link  # reference rule: only commands count


NASTY = [
    "{" * 9000 + "a" + "}" * 9000,
    r"\frac{" * 3000 + "}" * 3000,
    r"\begin{x}" * 2000,
    r"\begin{itemize}\item " * 900,
    "$" * 16000,
    r"\'" * 8000,
    "&~_^" * 4000,
    r"\cite[" * 2700,
    "\\" * 16001,
    r"$\left(" * 2000,
    r"\href{" * 2700,
    r"\SI{\SI{" * 2000,
    r"^{_{" * 4000,
    r"\textcolor" * 1600,
]


@pytest.mark.parametrize("latex", NASTY, ids=range(len(NASTY)))
def test_nasty_text_is_bounded(latex: str) -> None:
    began = time.process_time()
    assert len(said(latex)) <= 4 * TEXT_CHARS
    assert time.process_time() - began < 5


def test_macros_that_explode_are_cut() -> None:
    doubling = "".join(rf"\def\x{chr(97 + n)}{{\x{chr(98 + n)}\x{chr(98 + n)}}}" for n in range(25)) + r"\def\xz{z}"
    began = time.process_time()
    assert said(r"Good \xa text", doubling).startswith("Good")
    assert said(r"Good \a", r"\def\a{\a\a}").startswith("Good")
    assert said(r"Good \a{x}", r"\newcommand{\a}[1]{\a{#1#1}}").startswith("Good")
    assert time.process_time() - began < 5


LATEX = r"""\a \frac \begin{itemize} \end{itemize} \item \cite \ref{ \SI \left( \right) $ $$ { } [ ] ^ _ & % ~ # \\ \(
    \[ \verb| \href{ \sqrt[ \textbf{ \'e \"{ \gls{ \ifx \fi \else \xspace \mathbf x \textsuperscript{ <ref> é
    \hat \begin{tabular}{c}"""
PIECES = st.sampled_from(LATEX.split())


@given(st.lists(PIECES, max_size=40).map(" ".join) | st.text(max_size=200))
def test_any_text_gives_a_text(latex: str) -> None:
    text = said(latex)
    assert text == " ".join(text.split())
    stripped(text)
