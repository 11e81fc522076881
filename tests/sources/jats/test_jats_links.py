"""Which file an href means."""

import pytest

from curation.sources.jats.links import Files, stem


@pytest.mark.parametrize(
    ("href", "names", "found"),
    [
        ("f1.jpg", ["f1.png", "f1.jpg"], "f1.jpg"),  # the exact name
        ("f1.tif", ["f1.tif", "f1.jpg"], "f1.tif"),
        ("f1", ["f1.gif", "f1.jpg", "f1.png"], "f1.jpg"),  # the stem, by preference
        ("f1.tif", ["f1.gif", "f1.jpg"], "f1.jpg"),
        ("f1", ["f1.TIF"], "f1.TIF"),
        ("F1", ["f1.jpg", "F1.gif"], "F1.gif"),  # the exact stem before any case
        ("F1", ["f1.jpg"], "f1.jpg"),
        ("f1", ["f10.jpg", "f1a.jpg", "f11.jpg"], None),
        ("pone.0000133.g001", ["pone.0000133.g001.jpg", "pone.0000133.g002.jpg"], "pone.0000133.g001.jpg"),
        ("f1.eps", ["f1.eps", "f1.jpg"], "f1.jpg"),  # what can be read before what cannot
        ("f1.eps", ["f1.eps"], "f1.eps"),
        ("f1", ["f1.pdf"], "f1.pdf"),
        ("f1", ["f1", "f1.jpg"], "f1"),
        ("f1", ["f1.xml", "f1.mp4", "f1.doc"], None),
        ("media/f1.jpg", ["f1.jpg", "media/f1.jpg"], "media/f1.jpg"),
        ("./media/../f1.jpg", ["f1.jpg", "media/f1.jpg"], "f1.jpg"),
        ("../f1.jpg", ["f1.jpg"], "f1.jpg"),
        ("C:\\figures\\f1.jpg", ["f1.jpg"], "f1.jpg"),
        ("a%20b.jpg", ["a b.jpg"], "a b.jpg"),
        ("a%20b.jpg", ["a b.jpg", "a%20b.jpg"], "a%20b.jpg"),
        ("https://x.org/q/f1.jpg?size=large#top", ["f1.jpg"], "f1.jpg"),
        ("info:doi/10.1371/journal.g001", ["journal.g001.png"], "journal.g001.png"),
        ("info:doi/10.1371/journal.pone.1.g001", ["pone.1.g001.tif", "pone.1.g002.tif"], "pone.1.g001.tif"),  # PLOS
        ("", ["f1.jpg"], None),
        ("folder/", ["f1.jpg"], None),
    ],
)
def test_find(href: str, names: list[str], found: str | None) -> None:
    assert Files(names).find(href) == found


def test_the_nearest_folder_wins() -> None:
    names = ["a/f1.jpg", "a/deep/f1.jpg", "b/f1.jpg", "f1.jpg", "a/deep/f2.jpg", "f3.jpg", "b/f4.jpg"]
    assert Files(names, "a", alone=True).find("f1") == "a/f1.jpg"
    assert Files(names, "a", alone=True).find("deep/f1") == "a/deep/f1.jpg"
    assert Files(names, "a", alone=True).find("../b/f1") == "b/f1.jpg"
    assert Files(names, "a", alone=False).find("f2") == "a/deep/f2.jpg"
    assert Files(names, "a", alone=True).find("f3") == "f3.jpg"


def test_another_articles_file_is_not_taken() -> None:
    names = ["a/f1.jpg", "b/f2.jpg", "f3.jpg"]
    assert Files(names, "a", alone=False).find("f2") is None
    assert Files(names, "a", alone=False).find("f3") is None
    assert Files(names, "", alone=False).find("f1") is None
    assert Files(names, "", alone=True).find("f1") == "a/f1.jpg"
    assert Files(["ab/f1.jpg"], "a", alone=False).find("f1") is None


def test_stems() -> None:
    assert [stem(n) for n in ("a.JPEG", "a.b", "a.tar.png", ".jpg")] == ["a", "a.b", "a.tar", ""]
