"""Elements as a line of text: blanks, blocks, formulas, accents."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from curation.sources.jats.article import parser
from curation.sources.jats.mathml import math_text
from curation.sources.jats.text import TEXT_CHARS, collapsed, tex_text, text_of

MATH = 'xmlns:mml="http://www.w3.org/1998/Math/MathML" xmlns:xlink="http://www.w3.org/1999/xlink"'


def element(body: str, tag: str = "caption") -> etree._Element:
    return etree.fromstring(f"<{tag} {MATH}>{body}</{tag}>")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<p>10<sup>-3</sup> M Ca<sub>2</sub><sup>+</sup></p>", "10-3 M Ca2+"),
        ("<p>a<bold>b</bold>c <italic>d</italic> e</p>", "abc d e"),
        ("<title>One</title><p>Two</p>", "One Two"),
        ("<title>One</title>\n  <p>Two<break/>three</p>", "One Two three"),
        (
            "<p>A<list><list-item><label>1.</label><p>b</p></list-item><list-item><p>c</p></list-item></list>d</p>",
            "A 1. b c d",
        ),
        ("<p>x<def-list><def-item><term>T</term><def><p>D</p></def></def-item></def-list></p>", "x T D"),
        ("<p>see<!-- no --> <xref rid='F1'>Fig.\u00a01</xref><?pi no?>.</p>", "see Fig. 1."),
        ("<p>An <inline-graphic xlink:href='x'><alt-text>arrow</alt-text></inline-graphic> up</p>", "An arrow up"),
        ("<p>An <inline-graphic xlink:href='x'/> up</p>", "An up"),
        ("<p>Cafe\u0301 <named-content>A\u030a</named-content></p>", "Café Å"),
        ("<p>Own.</p><supplementary-material><caption><p>Other.</p></caption></supplementary-material>", "Own."),
        ("<p><b>Own.</b><object-id>1</object-id><index-term><term>no</term></index-term> More.</p>", "Own. More."),
        ("<p>One <alternatives><textual-form>x</textual-form><inline-graphic/></alternatives> two</p>", "One x two"),
        ("<p>Line\r\n\u2003one\u2009two\u200b</p>", "Line one two\u200b"),
        ("", ""),
    ],
)
def test_text(body: str, text: str) -> None:
    assert text_of(element(body)) == text


def test_nothing_has_no_text() -> None:
    assert text_of(None) == ""


FORMULA = (
    "<tex-math>\\documentclass{minimal}\\begin{document}$$x_1$$\\end{document}</tex-math>"
    "<mml:math><mml:msub><mml:mi>y</mml:mi><mml:mn>1</mml:mn></mml:msub></mml:math>"
)


def test_of_the_forms_of_a_formula_one_is_taken() -> None:
    for around in ("inline-formula", "disp-formula"):
        both = f"<p>a <{around}><alternatives>{FORMULA}<inline-graphic/></alternatives></{around}> b</p>"
        assert text_of(element(both)) == "a y_1 b"
        assert text_of(element(f"<p>a <{around}>{FORMULA}<label>(1)</label></{around}> b</p>")) in (
            "a y_1 b",
            "a y_1 (1) b",
        )
        tex = FORMULA.partition("<mml:math>")[0]
        assert text_of(element(f"<p>a <{around}>{tex}</{around}> b</p>")) == "a x_1 b"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<mi>x</mi><mo>=</mo><mn>2</mn>", "x=2"),
        ("<mrow>\n <mi>x</mi>\n <mo> ± </mo>\n <mn>1</mn></mrow>", "x±1"),
        ("<msup><mn>10</mn><mrow><mo>-</mo><mn>3</mn></mrow></msup>", "10^-3"),
        ("<msup><mi>x</mi><mrow><mi>n</mi><mo>+</mo><mn>1</mn></mrow></msup>", "x^(n+1)"),
        ("<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup>", "x_i^2"),
        ("<mfrac><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mi>c</mi></mfrac>", "(a+b)/c"),
        ("<msqrt><mi>x</mi><mo>+</mo><mn>1</mn></msqrt>", "√(x+1)"),
        ("<msqrt><mn>2</mn></msqrt>", "√2"),
        ("<mroot><mi>x</mi><mn>3</mn></mroot>", "(x)^(1/3)"),
        ("<mover accent='true'><mi>x</mi><mo>¯</mo></mover>", "x̄"),
        ("<mover><mi>e</mi><mo>^</mo></mover>", "ê"),
        ("<msub><mi>f</mi><mover accent='true'><mi>σ</mi><mo>→</mo></mover></msub>", "f_σ⃗"),
        ("<munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi></munderover>", "∑_(i=1)^n"),
        ("<mi>S</mi><mo>\u2062</mo><mi>x</mi>", "Sx"),
        ("<mfenced><mi>a</mi><mi>b</mi></mfenced>", "(a, b)"),
        ("<mfenced open='[' close=']'><mi>a</mi></mfenced>", "[a]"),
        ("<msup><mi>f</mi><mo>′</mo></msup>", "f′"),
        ("<mi>p</mi><mtext> if </mtext><mi>q</mi>", "p if q"),
        ("<semantics><mi>a</mi><annotation>TeX</annotation></semantics>", "a"),
        ("<mtable><mtr><mtd>1</mtd><mtd><mn>2</mn></mtd></mtr><mtr><mtd><mn>3</mn></mtd></mtr></mtable>", "1, 2; 3"),
        ("<mi>a<!-- c --></mi>", "a"),
        ("<msup/><mfrac/><mover/><munder/><msqrt/><mroot/><msubsup><mi>a</mi></msubsup>", "a"),
        ("", ""),
    ],
)
def test_mathml(body: str, text: str) -> None:
    prefixed = re.sub(r"<(/?)(?=[a-z])", r"<\1mml:", body)
    assert unicodedata.normalize("NFC", math_text(element(prefixed, "mml:math"))) == text


@pytest.mark.parametrize(
    ("tex", "text"),
    [
        (r"$\alpha \le \beta$", "α≤β"),
        (r"\documentclass[12pt]{minimal}\usepackage{amsmath}\begin{document}$$p < 0.05$$\end{document}", "p < 0.05"),
        (r"x^2", "x^2"),
        (r"\sqrt(13)", "√(()13)"),
        (r"$\frac{a}{b}$", "a/b"),
        (r"\unknown{x}", "x"),
        (r"{x", "x"),
        ("", ""),
    ],
)
def test_tex(tex: str, text: str) -> None:
    assert tex_text(tex).replace(" ", "") == text.replace(" ", "")


def test_tex_that_is_too_long_stays_as_it_is() -> None:
    assert tex_text("$" + "x" * 5000 + "$") == "x" * 5000
    assert tex_text("{" * 30 + "x" + "}" * 30) == "{" * 30 + "x" + "}" * 30


@given(st.text())
def test_collapsed_text_is_nfc_with_single_blanks(raw: str) -> None:
    text = collapsed(raw)
    assert collapsed(text) == text == text.strip()
    assert unicodedata.is_normalized("NFC", text)
    assert text.split() == text.split(" ") or not text


TAGS = (
    "p",
    "title",
    "italic",
    "sup",
    "list",
    "xref",
    "alternatives",
    "inline-formula",
    "mml:math",
    "mml:mfrac",
    "break",
)


@given(
    st.recursive(
        st.text("ab <&é\n", max_size=6), lambda inner: st.tuples(st.sampled_from(TAGS), st.lists(inner, max_size=4))
    )
)
def test_no_text_is_lost_or_made_up(tree: object) -> None:
    """Outside of formulas and alternatives every letter of the source is there, in its order."""

    def xml(node: object) -> str:
        if isinstance(node, str):
            return node.replace("&", "&amp;").replace("<", "&lt;")
        return f"<{node[0]}>{''.join(map(xml, node[1]))}</{node[0]}>"

    source = xml(tree)
    ours = text_of(element(source))
    if not any(tag in source for tag in ("alternatives", "formula", "mml:")):
        wanted = unicodedata.normalize("NFC", "".join(element(source).itertext()))
        assert "".join(ours.split()) == "".join(wanted.split())
    assert unicodedata.is_normalized("NFC", ours)


@given(st.text("\\{}[]$^_&%abαfracleftright begind()", max_size=60))
def test_no_tex_raises(source: str) -> None:
    assert isinstance(tex_text(source), str)


def test_a_long_text_is_read_to_the_limit() -> None:
    assert len(text_of(element("<p>" + "a" * (TEXT_CHARS + 5) + "</p>"))) in (
        TEXT_CHARS,
        TEXT_CHARS - 1,
        TEXT_CHARS - 2,
    )


def test_entities_of_a_dtd_that_is_not_read() -> None:
    data = b"<!DOCTYPE p SYSTEM 'x.dtd'><p>&alpha;<i>&lt;&nbsp;&eacute;</i>&nobody;</p>"
    assert text_of(etree.fromstring(data, parser())) == "α< é&nobody;"
