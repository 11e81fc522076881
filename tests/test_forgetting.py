"""Which pairs a list means: exact uids and hashes, URLs in any form, domains with what is below, articles' versions."""

import pyarrow as pa
import pytest

from curation.errors import RecipeError
from curation.forgetting import read_rules
from curation.schema import hex_id

UID = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def rules(tmp_path):
    """Call with kind=text to get the rules of lists with these lines."""

    def make(**texts):
        paths = {}
        for kind, text in texts.items():
            (tmp_path / f"{kind}.txt").write_text(text)
            paths[kind] = str(tmp_path / f"{kind}.txt")
        return read_rules(paths)

    return make


@pytest.mark.parametrize(
    ("kind", "line", "column", "hits", "misses"),
    [
        ("uids", UID.upper(), "uid", [UID], [UID[:-1] + "0", None]),
        ("urls", "HTTP://Example.com/A b#top", "url", ["http://example.com/A%20b", "http://EXAMPLE.com/A b"],
         ["http://example.com/a%20b", "https://example.com/A%20b", None]),
        ("urls", "https://e.org/page", "document", ["https://e.org/page", "https://e.org/page#fig"], ["https://e.org/"]),
        ("domains", "*.Bücher.example", "url", ["http://xn--bcher-kva.example/x", "HTTP://BÜCHER.example./x", "https://a.b.xn--bcher-kva.example:8080/"],
         ["http://xn--bcher-kva.example.com/", "http://notxn--bcher-kva.example/", None]),
        ("domains", "e.org", "document", ["https://u:p@www.e.org/x"], ["e.org", "PMC1", "https://a.org/?e.org", "http://[x"]),
        ("hashes", "AB" * 32, "sha256", ["ab" * 32], ["ba" * 32]),
        ("hashes", "ab" * 32, "image_id", [hex_id("sha256:" + "ab" * 32)], [hex_id("ab" * 32)]),
        ("articles", "pmc:PMC123", "document", ["PMC123", "pmc123"], ["PMC1234", "PMC12"]),
        ("articles", "2301.00001", "document", ["2301.00001", "2301.00001v2", "arXiv:2301.00001v3"], ["2301.000012"]),
        ("articles", "2301.00001v1", "document", ["2301.00001v1"], ["2301.00001v2", "2301.00001"]),
    ],
)  # fmt: skip
def test_a_rule_means_these_and_not_those(rules, kind, line, column, hits, misses):
    found = rules(**{kind: f"# a comment\n\n{line}\n"}).match(
        pa.table({column: pa.array([*hits, *misses], pa.string())})
    )
    assert (found >= 0).tolist() == [True] * len(hits) + [False] * len(misses)
    assert rules(**{kind: f"# a comment\n\n{line}\n"}).told(found[0]).endswith(".txt line 3")


def test_the_first_rule_is_told_and_order_does_not_change_the_key(rules):
    made = rules(uids=f"{UID}\n", domains="e.org\nf.org\n")
    rows = pa.table({"uid": [UID, "0" * 32], "url": ["http://f.org/", "http://f.org/"], "document": [None, None]})
    assert [made.told(n) for n in made.match(rows)] == ["uids.txt line 1", "domains.txt line 2"]
    assert made.key == rules(domains="f.org\n\ne.org\n", uids=UID).key != rules(uids=UID).key
    assert made.match(rows.slice(0, 0)).tolist() == []


@pytest.mark.parametrize(
    ("kind", "line", "message"),
    [
        ("uids", "abc", "line 1: 'abc', wanted 32 hex digits"),
        ("hashes", UID, "wanted 64 hex digits"),
        ("urls", "e.org", "wanted an http or https URL"),
        ("domains", "https://e.org/x", "wanted a domain such as example.com"),
        ("domains", "com", "wanted a domain"),
        ("domains", "bücher..de", "wanted a domain"),
        ("articles", "12", "wanted an article's id such as PMC123456"),
        ("uids", "# only a comment", "nothing to forget: give a list"),
    ],
)
def test_a_line_that_is_no_such_name_is_refused(rules, kind, line, message):
    with pytest.raises(RecipeError, match=message):
        rules(**{kind: line})


def test_a_list_that_is_not_there():
    with pytest.raises(RecipeError, match=r"no file /no/such.txt; wanted a list"):
        read_rules({"uids": "/no/such.txt"})
