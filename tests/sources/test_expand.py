"""Which files a source means, and of what kind they are."""

import gzip
import inspect
import io
import tarfile
from pathlib import Path

import fsspec
import pytest

from curation.errors import RecipeError
from curation.sources import SOURCES, Source, expand, kind_of, tars


def tar(*names: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    return file.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as users have them: parts in subfolders, other files between them."""
    for name in (
        *("b.warc.gz", "a/2.parquet", "a/10.parquet", "a/_SUCCESS", "a/.hidden.parquet", "a/_temporary/0/x.parquet"),
        *("README.md", "c/x.TSV.GZ", "c/y.jsonl", "c/z.jpg", "with space & ünï.csv", "s.tar"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tar("x.jpg") if name == "s.tar" else b"")
    return tmp_path


def test_folders_are_searched_in_sorted_order(folder: Path) -> None:
    found = [(str(Path(uri).relative_to(folder)), kind) for uri, kind in expand([str(folder)])]
    assert found == [
        ("a/10.parquet", "table"), ("a/2.parquet", "table"), ("b.warc.gz", "crawl"), ("c/x.TSV.GZ", "table"),
        ("c/y.jsonl", "table"), ("s.tar", "tar"), ("with space & ünï.csv", "table"),
    ]  # fmt: skip
    assert expand([str(folder)], "crawl") == [(str(folder / "b.warc.gz"), "crawl")]


def test_each_file_comes_once_in_the_order_given(folder: Path) -> None:
    sources = [str(folder / "c"), str(folder / "c/y.jsonl"), str(folder / "a/*.parquet"), f"file://{folder}/b.warc.gz"]
    names = [Path(uri).name for uri, _ in expand(sources)]
    assert names == ["x.TSV.GZ", "y.jsonl", "10.parquet", "2.parquet", "b.warc.gz"]


def test_globs_may_name_folders(folder: Path) -> None:
    assert [Path(uri).name for uri, _ in expand([str(folder / "[ac]")])] == [
        "10.parquet", "2.parquet", "x.TSV.GZ", "y.jsonl",
    ]  # fmt: skip


def test_relative_paths_become_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert expand(["a/2.parquet"]) == [(str(folder / "a/2.parquet"), "table")]


def test_other_file_systems() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe({"/set/a.parquet": b"", "/set/deep/b.csv": b"", "/set/c.txt": b""})
    wanted = [("memory:///set/a.parquet", "table"), ("memory:///set/deep/b.csv", "table")]
    assert expand(["memory://set"]) == wanted
    assert expand(["memory://set/*.parquet"]) == wanted[:1]
    memory.rm("/set", recursive=True)


def test_a_named_kind_needs_no_suffix(folder: Path) -> None:
    assert expand([str(folder / "README.md")], "table") == [(str(folder / "README.md"), "table")]


@pytest.mark.parametrize(
    ("source", "kind", "said"),
    [
        ("nowhere", None, "no such file or folder"),
        ("*.nothing", None, "no such file or folder"),
        ("README.md", None, "crawl .warc"),
        ("c/z.jpg", None, "table .parquet"),
        ("a/_temporary", "crawl", "known: crawl"),
        ("a", "pictures", "['crawl', "),
    ],
)
def test_what_cannot_be_told_is_said_before_any_work(folder: Path, source: str, kind: str | None, said: str) -> None:
    with pytest.raises(RecipeError) as error:
        expand([str(folder / "b.warc.gz"), str(folder / source)], kind)
    assert said in str(error.value)
    assert source in str(error.value) or kind == "pictures"


def test_content_decides_where_two_kinds_share_a_suffix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    papers = Source(tars.read, (".tar.gz",), lambda uri: "paper" in uri or None)
    monkeypatch.setitem(SOURCES, "papers", papers)
    for name, members in {"images": ("a.GIF", "a.txt"), "paper": ("ms.doc",), "x": ("a.md",)}.items():
        (tmp_path / f"{name}.tar.gz").write_bytes(gzip.compress(tar(*members)))
    (tmp_path / "cut.tar.gz").write_bytes(b"\x1f\x8b")
    kinds = {path.name: kind_of(str(path)) for path in tmp_path.iterdir()}
    assert kinds == {"images.tar.gz": "tar", "paper.tar.gz": "papers", "x.tar.gz": "papers", "cut.tar.gz": "tar"}


def test_tars_whose_images_come_late(tmp_path: Path) -> None:
    texts = [f"{n}.{extension}" for n in range(40) for extension in ("txt", "json", "txt.bak")]
    images = [f"{n}.jpg" for n in range(40)]
    members = {
        "samples": [name for name in texts if not name.endswith("bak")] + images,
        "other": texts,
        "texts": texts[:2],
    }
    for name, names in members.items():
        (tmp_path / f"{name}.tar").write_bytes(tar(*names))
    found = {kind: [Path(uri).stem for uri, _ in expand([str(tmp_path)], kind)] for kind in (None, "tar")}
    assert found == {None: ["samples"], "tar": ["other", "samples", "texts"]}


def test_every_source_is_a_reader_with_settings() -> None:
    for name, source in SOURCES.items():
        first, second, *settings = inspect.signature(source.read).parameters.values()
        assert (first.name, second.name) == ("uri", "images"), name
        assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in settings), name
        assert all(suffix == suffix.lower() and "." in suffix for suffix in source.suffixes), name
