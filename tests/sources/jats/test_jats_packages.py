"""Articles in folders, archives and lists; how they are told from other kinds; into a pool."""

import gzip
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from curation.errors import RecipeError
from curation.sources import SOURCES, expand, jats, kind_of
from tests.sources.archives import tar, zipped
from tests.sources.conftest import Rows, Sink
from tests.sources.jats.conftest import article, fig

FIGURES = fig("One.", "F1", "g1") + fig("Two.", "F2", "g2")


def of(number: int, body: str = FIGURES) -> bytes:
    return article(body).replace(b">7<", f">{number}<".encode())


@pytest.fixture
def package(jpeg: bytes) -> dict[str, bytes]:
    """The files of a package of PubMed Central: thumbnails beside the images, the article last."""
    return {
        "PMC7/g1.gif": b"GIF89a" + bytes(40),
        "PMC7/g1.jpg": jpeg,
        "PMC7/g2.jpg": jpeg + b"2",
        "PMC7/paper.pdf": b"%PDF",
        "PMC7/paper.nxml": of(7),
    }


@pytest.fixture
def pairs(tmp_path: Path, sink: Sink, rows: Callable) -> Callable[..., Rows]:
    def pairs(name: str, data: bytes, **settings: object) -> Rows:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
        return rows(jats.read(str(tmp_path / name), sink, **settings))

    return pairs


def files_of(rows: Rows, sink: Sink) -> list[bytes | None]:
    """The bytes that the pointers lead to."""
    found = []
    for pointer in (row["image"] for row in rows.found):
        if pointer is None:
            found.append(None)
        elif pointer["uri"] == "pool":
            found.append(sink.bytes_of(pointer))
        else:
            end = None if pointer["length"] is None else pointer["offset"] + pointer["length"]
            found.append(Path(pointer["uri"]).read_bytes()[pointer["offset"] : end])
    return found


FORMS = {
    "p.tar": tar,
    "p.tar.gz": lambda files: tar(files, "w:gz"),
    "p.tgz": lambda files: tar(files, "w:gz"),
    "p.zip": zipped,
}


@pytest.mark.parametrize("form", FORMS)
def test_archives(pairs: Callable, package: dict, sink: Sink, jpeg: bytes, form: str) -> None:
    rows = pairs(form, FORMS[form](package))
    assert [(r["caption"], r["extra"]["member"]) for r in rows.found] == [
        ("One.", "PMC7/paper.nxml"), ("Two.", "PMC7/paper.nxml"),
    ]  # fmt: skip
    assert files_of(rows, sink) == [jpeg, jpeg + b"2"]
    assert rows.rejected == []
    copied = form != "p.tar"
    assert sink.extensions == (["jpg", "jpg"] if copied else [])


def test_a_folder(tmp_path: Path, package: dict, rows: Callable, sink: Sink, jpeg: bytes) -> None:
    for name, data in package.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    ((uri, kind),) = expand([str(tmp_path)])
    assert kind == "jats"
    found = rows(jats.read(uri, sink))
    assert [row["image"] for row in found.found] == [
        {"uri": str(tmp_path / f"PMC7/g{n}.jpg"), "offset": 0, "length": None} for n in (1, 2)
    ]
    assert sink.extensions == []


def test_a_packed_article_and_a_folder_of_images(pairs: Callable, tmp_path: Path, jpeg: bytes, sink: Sink) -> None:
    (tmp_path / "else/deep").mkdir(parents=True)
    (tmp_path / "else/g1.jpg").write_bytes(jpeg)
    (tmp_path / "else/deep/g2.jpg").write_bytes(jpeg + b"2")
    data = gzip.compress(article(fig("One.") + fig("Two.", "F2", "deep/g2")))
    assert files_of(pairs("p.nxml.gz", data), sink) == [None, None]
    assert files_of(pairs("p.nxml.gz", data, image_root=str(tmp_path / "else")), sink) == [jpeg, jpeg + b"2"]


def test_meca(pairs: Callable, jpeg: bytes, sink: Sink) -> None:
    """A MECA zip (NISO RP-30): manifest and transfer information beside the article and its figures in `content`."""
    files = {
        "manifest.xml": b"<manifest><item><instance href='content/paper.xml'/></item></manifest>",
        "transfer.xml": b"<transfer/>",
        "directives.xml": b"<directives/>",
        "content/paper.xml": of(7),
        "content/figures/g1.jpg": jpeg,
        "content/g2.jpg": jpeg + b"2",
        "content/supplements/data.zip": b"PK\3\4no zip",
    }
    for name in ("p.zip", "p.meca"):
        rows = pairs(name, zipped(files))
        assert files_of(rows, sink) == [jpeg, jpeg + b"2"]
        assert rows.rejected == []


def test_several_articles_keep_their_images_apart(pairs: Callable, jpeg: bytes, sink: Sink) -> None:
    files = {}
    for number in range(3):
        files |= {f"{number}/a.nxml": of(number), f"{number}/g1.jpg": jpeg + bytes([number])}
    for form, pack in FORMS.items():
        rows = pairs(form, pack(files))
        assert files_of(rows, sink) == [i for n in range(3) for i in (jpeg + bytes([n]), None)]
        assert [row["document"] for row in rows.found] == [f"PMC{n}" for n in (0, 0, 1, 1, 2, 2)]


def test_archives_of_archives(pairs: Callable, package: dict, jpeg: bytes, sink: Sink) -> None:
    inner = {"PMC7.tar.gz": tar(package, "w:gz"), "PMC8.zip": zipped({"a.xml": of(8), "g2.jpg": jpeg})}
    rows = pairs("bulk.tar", tar(inner | {"bad.zip": b"PK\3\4", "third.tar": tar({"x.tar": tar(inner)})}))
    assert [row["document"] for row in rows.found] == ["PMC7", "PMC7", "PMC8", "PMC8"]
    assert files_of(rows, sink) == [jpeg, jpeg + b"2", None, jpeg]
    assert rows.errors() == [("bad.zip", "bad_zip"), ("third.tar/x.tar", "nested_archive")]
    more = pairs("bulk.tar", tar({"third.tar": tar({"x.tar": tar(package)})}), archive_nesting=2)
    assert len(more.found) == 2


def test_limits_are_settings(pairs: Callable, package: dict) -> None:
    assert pairs("p.tar", tar(package), archive_members=4).errors() == [("", "too_many_members"), ("", "no_article")]
    assert pairs("p.tar", tar(package), archive_members=5).rejected == []
    assert pairs("p.tgz", tar(package, "w:gz"), archive_bytes=5000).errors() == [("", "too_large")]
    assert pairs("p.tgz", tar(package, "w:gz"), archive_bytes=1 << 20).rejected == []


def test_one_image_is_copied_once(pairs: Callable, jpeg: bytes, sink: Sink) -> None:
    body = fig("One.", "F1", "g1") + fig("Two.", "F2", "g1.jpg") + fig("Three.", "F3", "g2")
    rows = pairs("p.zip", zipped({"a.xml": article(body), "g1.jpg": jpeg, "g2.jpg": b"GIF87a" + bytes(40)}))
    assert rows.found[0]["image"] == rows.found[1]["image"] != rows.found[2]["image"]
    assert sink.extensions == ["jpg", "gif"]  # by content


NO_IMAGES = {
    "g1.jpg": (b"<html>", "not_an_image"),
    "g1.pdf": (b"%PDF-1.4", "unsupported_format"),
    "g1.eps": (b"%!PS-Adobe", "unsupported_format"),
    "g1.svg": (b"<svg/>", "unsupported_format"),
    "g1.png": (b"", "not_an_image"),
    "g1.tif": (b"II*\0" + bytes(21 << 20), "too_large"),
}


@pytest.mark.parametrize("name", NO_IMAGES)
@pytest.mark.parametrize("form", ["p.tar", "p.tgz", "p.zip", "folder"])
def test_what_is_no_image_leaves_a_pair_without(pairs: Callable, tmp_path: Path, name: str, form: str) -> None:
    data, error = NO_IMAGES[name]
    files = {"a.xml": article(fig("One.")), name: data}
    if form == "folder":
        (tmp_path / name).write_bytes(data)
        rows = pairs("a.xml", files["a.xml"])
    else:
        rows = pairs(form, FORMS[form](files))
    (row,) = rows.found
    assert row["image"] is None
    assert row["extra"]["image_error"].startswith(error)


def test_links_out_of_the_folder_are_not_followed(pairs: Callable, tmp_path: Path, jpeg: bytes) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/g1.jpg").write_bytes(jpeg)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/g1.jpg").symlink_to(tmp_path / "outside/g1.jpg")
    (tmp_path / "in/g2.jpg").write_bytes(jpeg)
    (tmp_path / "in/g3.jpg").symlink_to(tmp_path / "in/g2.jpg")
    (tmp_path / "in/media").symlink_to(tmp_path / "outside")
    os.mkfifo(tmp_path / "in/g4.jpg")
    hrefs = ("g1.jpg", "../outside/g1.jpg", f"{tmp_path}/outside/g1.jpg", "media/g1.jpg", "g4.jpg", "g3.jpg")
    body = "".join(fig("One.", f"F{n}", href) for n, href in enumerate(hrefs))
    rows = pairs("in/a.xml", article(body))
    assert [row["extra"].get("image_error", "").partition(":")[0] for row in rows.found] == [
        "outside_root", "outside_root", "outside_root", "outside_root", "not_a_file", "",
    ]  # fmt: skip
    assert [row["image"] is None for row in rows.found] == [True] * 5 + [False]


def test_hostile_archives_cost_their_members(pairs: Callable, package: dict, tmp_path: Path) -> None:
    package["../../g1.jpg"] = package.pop("PMC7/g1.jpg")
    del package["PMC7/g1.gif"]
    package["/etc/passwd.xml"] = of(9)
    before = sorted(tmp_path.rglob("*"))
    for form, pack in FORMS.items():
        rows = pairs(form, pack(package))
        assert [row["image"] is None for row in rows.found] == [True, False]
        assert set(rows.errors()) == {("../../g1.jpg", "bad_name"), ("/etc/passwd.xml", "bad_name")}
    assert sorted(p for p in tmp_path.rglob("*") if not p.name.startswith("p.")) == before


def test_a_cut_archive_gives_what_came_before(pairs: Callable, jpeg: bytes) -> None:
    data = tar({"a.xml": of(7), "g1.jpg": jpeg, "g2.jpg": jpeg + bytes(90_000)})
    for name, cut in (("p.tar", data[:-50_000]), ("p.tar.gz", gzip.compress(data)[:-100])):
        rows = pairs(name, cut)
        assert [row["image"] is None for row in rows.found] == [False, True]
        assert rows.errors()[-1] == ("", "truncated_tar")


CSV = """File,Article Citation,Accession ID,Last Updated (YYYY-MM-DD HH:MM:SS),PMID,License
oa_package/PMC7.tar.gz,"J Test. 2001 Nov 5; 3(1):55-60",PMC7,2013-03-17 13:44:51,11250746,CC BY-NC
oa_package/PMC9.tar.gz,"J Test, 2001",PMC9,2013-03-17 13:44:51,11250747,CC BY
../PMC7.tar.gz,J,PMC7,2013-03-17,1,CC BY
/etc/PMC7.tar.gz,J,PMC7,2013-03-17,1,CC BY
nonsense
PMC8.xml,J,PMC8,2013-03-17,1,NO-CC CODE
"""
TXT = "2019-04-30 22:39:25\noa_package/PMC7.tar.gz\tJ Test. 2001\tPMC7\tPMID:11250746\tCC BY-NC\n"


def unlicensed(data: bytes) -> bytes:
    return data.replace(b"<permissions>", b"<!--").replace(b"</permissions>", b"-->")


@pytest.mark.parametrize("root", [False, True])
def test_file_lists(pairs: Callable, tmp_path: Path, package: dict, sink: Sink, jpeg: bytes, root: bool) -> None:
    top = tmp_path / "mirror" if root else tmp_path
    (top / "oa_package").mkdir(parents=True)
    package["PMC7/paper.nxml"] = unlicensed(package["PMC7/paper.nxml"])
    (top / "oa_package/PMC7.tar.gz").write_bytes(tar(package, "w:gz"))
    (top / "PMC8.xml").write_bytes(of(8, fig("Eight.")))
    settings = {"image_root": str(top)} if root else {}
    rows = pairs("oa_file_list.csv", CSV.encode(), **settings)
    assert [(r["caption"], r["license"], r["license_group"]) for r in rows.found] == [
        ("One.", "CC BY-NC", "noncommercial"),  # the list's, for the article says nothing
        ("Two.", "CC BY-NC", "noncommercial"),
        ("Eight.", "http://creativecommons.org/licenses/by/4.0/", "commercial"),
    ]
    assert rows.found[0]["extra"]["package"] == "oa_package/PMC7.tar.gz"
    assert files_of(rows, sink) == [jpeg, jpeg + b"2", None]
    assert rows.errors() == [
        ("oa_package/PMC9.tar.gz", "missing_file"),
        ("../PMC7.tar.gz", "outside_root"),
        ("/etc/PMC7.tar.gz", "outside_root"),
        ("nonsense", "bad_row"),
    ]
    text = pairs("oa_file_list.txt", TXT.encode(), **settings)
    assert [row["license"] for row in text.found] == ["CC BY-NC"] * 2


def test_lists_of_the_bulk_files(pairs: Callable, tmp_path: Path) -> None:
    head = "Article File,Article Citation,AccessionID,LastUpdated (YYYY-MM-DD HH:MM:SS),PMID,License,Retracted\n"
    (tmp_path / "PMC000xxxxxx").mkdir()
    (tmp_path / "PMC000xxxxxx/PMC7.xml").write_bytes(unlicensed(of(7, fig())))
    line = "PMC000xxxxxx/PMC7.xml,J,PMC7,2013-03-17 13:44:51,1,CC0,yes\n"
    (row,) = pairs("oa_comm_xml.PMC000xxxxxx.filelist.csv", (head + line).encode()).found
    assert (row["license"], row["license_group"], row["extra"]["retracted"]) == ("CC0", "commercial", "yes")


def test_a_bad_package_of_a_list_costs_itself(pairs: Callable, tmp_path: Path, package: dict) -> None:
    (tmp_path / "a.tar.gz").write_bytes(tar(package, "w:gz")[:-200])
    (tmp_path / "b.zip").write_bytes(b"PK\3\4")
    (tmp_path / "c.zip").write_bytes(zipped({"x.txt": b""}))
    (tmp_path / "d.tar.gz").write_bytes(tar(package, "w:gz"))
    rows = pairs("oa_file_list.csv", b"File,Citation\na.tar.gz,J\nb.zip,J\nc.zip,J\nd.tar.gz,J\n")
    assert {row["extra"]["package"] for row in rows.found} >= {"d.tar.gz"}
    errors = [(item.partition("/")[0], error) for item, error in rows.errors()]
    assert ("b.zip", "bad_zip") in errors
    assert ("c.zip", "no_article") in errors
    assert not [error for error in errors if error[0] == "d.tar.gz"]


KINDS = {
    "a.nxml": (of(7), "jats"),
    "a.xml": (of(7), "jats"),
    "b.xml": (b"<manifest/>", None),
    "c.xml": (b"<rss><article/></rss>", None),
    "d.xml": (b"no xml", None),
    "e.xml.gz": (gzip.compress(of(7)), "jats"),
    "f.jats": (of(7), "jats"),
    "g.zip": (zipped({"x/a.xml": of(7)}), "jats"),
    "h.zip": (zipped({"x.txt": b""}), None),
    "p.meca": (zipped({"manifest.xml": b"<manifest/>", "content/a.xml": of(7)}), "jats"),
    "q.tar": (tar({"PMC7.tar.gz": b""}), "jats"),
    "i.tar": (tar({"1.jpg": b"\xff\xd8\xff", "1.txt": b"x", "a.xml": of(7)}), "tar"),  # samples first
    "j.tar": (tar({"1.jpg": b"\xff\xd8\xff", "a.xml": of(7)}), "jats"),
    "k.tar.gz": (tar({"1.jpg": b"\xff\xd8\xff", "a.nxml": of(7)}, "w:gz"), "jats"),
    "l.tgz": (tar({"1.jpg": b"\xff\xd8\xff", "1.json": b"{}"}, "w:gz"), "tar"),
    "m.tar": (tar({"1.jpg": b"\xff\xd8\xff"}), "tar"),
    "n.tar": (b"no tar", "tar"),
    "o.tar.gz": (b"\x1f\x8bno gzip", "tar"),
    "oa_file_list.csv": (CSV.encode(), "jats"),
    "oa_file_list.txt": (TXT.encode(), "jats"),
    "my_file_list.csv": (b"url,caption\nhttp://x.org/a.jpg,a dog\n", "table"),
    "my_file_list.txt": (b"a\nb\n", None),
}


def test_kinds_are_told(tmp_path: Path) -> None:
    for name, (data, _) in KINDS.items():
        (tmp_path / name).write_bytes(data)
    assert {name: kind_of(str(tmp_path / name)) for name in KINDS} == {name: kind for name, (_, kind) in KINDS.items()}
    found = {Path(uri).name: kind for uri, kind in expand([str(tmp_path)])}
    assert found == {name: kind for name, (_, kind) in KINDS.items() if kind}
    with pytest.raises(RecipeError, match="no file of a kind"):
        expand([str(tmp_path / "b.xml")])
    assert expand([str(tmp_path / "b.xml")], "jats") == [(str(tmp_path / "b.xml"), "jats")]


def test_a_packed_tar_is_not_unpacked_for_ever_to_tell_its_kind(tmp_path: Path) -> None:
    info = tarfile.TarInfo("data.bin")
    info.size = 2 << 30
    for name, known in (("a.tar", False), ("a.tar.gz", None)):
        data = info.tobuf(tarfile.GNU_FORMAT)
        (tmp_path / name).write_bytes(data if name == "a.tar" else gzip.compress(data))
        assert jats.looks(str(tmp_path / name)) is known


def test_what_is_no_article_is_told(pairs: Callable) -> None:
    assert pairs("b.xml", b"<manifest/>").errors() == [("", "no_article")]
    assert pairs("b.zip", zipped({"a.xml": b"<manifest/>"})).errors() == [("", "no_article")]


def test_into_a_pool(spark: object, tmp_path: Path, package: dict, jpeg: bytes) -> None:
    from curation.images import read_pointers
    from curation.ingest import ingest
    from curation.pool import Pool

    (tmp_path / "in").mkdir()
    (tmp_path / "in/PMC7.tar.gz").write_bytes(tar(package, "w:gz"))
    (tmp_path / "in/eight.xml").write_bytes(of(8, FIGURES + fig("", "F3")))
    (tmp_path / "in/g1.jpg").write_bytes(jpeg + b"8")
    said = ingest([str(tmp_path / "in")], out=str(tmp_path / "pool"), archive_members=100)
    assert (said["rows"], said["rejected"]) == (4, 1)
    found = Pool.open(str(tmp_path / "pool")).pairs(spark).orderBy("document", "caption").collect()
    assert [(r["document"], r["caption"], r["kind"]) for r in found] == [
        (document, caption, "jats") for document in ("PMC7", "PMC8") for caption in ("One.", "Two.")
    ]
    images = list(read_pointers([r["image"] and r["image"].asDict() for r in found]))
    assert images[:3] == [jpeg, jpeg + b"2", jpeg + b"8"]
    assert images[3].code == "no_image"


def test_the_registry_knows_the_settings() -> None:
    from curation.signal import setting_defaults

    assert {"table_images", "image_root", "archive_bytes"} <= set(setting_defaults(SOURCES["jats"].read))
