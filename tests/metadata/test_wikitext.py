"""Wikitext to text: the markup of real articles, broken markup, and time in proportion to length."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.metadata.wikitext import plain_text

NAMES = frozenset({"file", "datei", "category", "kategorie"})


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("'''Dogs''' are ''[[domestic animal|domesticated]]'' [[wolf|wolves]].", "Dogs are domesticated wolves."),
        ("A [[dog]]s' [[Animal#Kinds]] [[:Category:Dogs]].", "A dogs' Animal Category:Dogs."),
        ("a {{convert|1|{{nested|x}}|[[km]]}} b", "a  b"),
        ("a<ref name=x>b {{cite}} [[c]]</ref> d<ref name=x /> e<ref name='x'/>.", "a d e."),
        ("a <!-- {{ [[ --> b<!-- to the end", "a  b"),
        ("x\n{| class=wikitable\n! h\n|-\n| {{a|\n|}}\n{|\n| in\n|}\n|}\ny", "x\n\ny"),
        ("[[File:a.jpg|thumb|200px|A [[dog]] and a [[cat|tom]]]]x [[Datei:b.png]] [[Kategorie:Hund]]", "x  "),
        ("[[de:Hund]] [[zh-min-nan:K]] [[Star Wars: Episode IV]] [[Re:Zero]]", "  Star Wars: Episode IV Re:Zero"),
        ("[http://a.org/b the site] [//c.org] see https://d.org/e?f=g now", "the site  see   now"),
        ("== Heading ==\n* one\n## two\n; a: b\n----\n=no", "\none\ntwo\na: b\n\n=no"),
        ("5&nbsp;km &amp;amp; &lt;ref&gt; A&ndash;B", "5\u00a0km &amp; <ref> A\u2013B"),
        ("<math>\\frac{{a}}{b}</math>x<gallery>\nFile:a.jpg|b\n</gallery>y<br/>z<sup>2</sup>", "xy\nz2"),
        ("__NOTOC__-{zh-hans:\u72d7;zh-hant:\u72ac}--{\u732b}-", "\u732b"),
    ],
)
def test_markup(wikitext, text):
    assert plain_text(wikitext, NAMES) == text


@pytest.mark.parametrize(
    ("wikitext", "words"),
    [
        ("a {{ b c", ["a", "b", "c"]),
        ("a }} b ]] c |} d </ref> e", ["a", "b", "c", "|}", "d", "e"]),
        ("a [[b [[c]] d", ["a", "b", "c", "d"]),
        ("a <ref> b <ref>no</ref> c", ["a", "b", "c"]),
        ("a {{b [[c}} d ]] e", ["a", "d", "e"]),
        ("a &#99999999999; &#xD800; b", ["a", ";", "\ufffd", "b"]),
    ],
)
def test_what_is_never_closed_stays(wikitext, words):
    assert plain_text(wikitext).split() == words


HOSTILE = ("{{", "[[", "<!--", "<ref>", "</ref>", "[//a", "[http://" + "a" * 50, "'''", "=", "= ", "\n=", "<a", "-{")
MARKUP = (*HOSTILE, "}}", "]]", "|}", "\n{|", "-->", "a", " b", "|", "\n", "</math>", "<math>", "&#", "&amp;")


@pytest.mark.parametrize("piece", [*HOSTILE, "&#", "[[a|", "{|", "|}", "{{{", "\n{|", "<ref name=", "&#9", "}}"])
def test_time_is_in_proportion_to_length(piece):
    """What is quadratic takes minutes for a megabyte; what is not, seconds on the slowest machine."""
    begun = time.process_time()
    plain_text(piece * (1_000_000 // len(piece)))
    plain_text("[[" * 100_000 + "a" * 500_000 + "]]" * 100_000)
    plain_text("[//" + "a" * 500_000)
    assert time.process_time() - begun < 20


@given(st.lists(st.sampled_from(MARKUP)))
def test_any_markup_gives_text_without_braces_that_match(pieces):
    found = plain_text("".join(pieces), NAMES)
    assert not re.search(r"\{\{|\}\}|\[\[|\]\]|<ref>", found)


def test_plain_words_stay():
    text = "A dog (Canis familiaris) isn't a cat; it is 40% of C++, 3 < 4 & x > y.\n\nNext."
    assert plain_text(text) == text
