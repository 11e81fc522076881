"""The papers of the sample: the readers find in them what the handbook's pages show."""

from pathlib import Path

import papers
import pytest
from PIL import Image

from curation.sources import SOURCES, expand

PAGE = """<html><head><title>Page</title></head><body><h2 class="title">5% of {title}</h2>
<div class="para">The text, before &amp; about it.</div><div class="figure"><img src="images/a.png"/>
<p class="title"><strong>Figure 1.1. R&amp;D costs $5_000, 50% #1 {{é}}</strong></p></div>
<div class="figure"><img src="images/gone.png"/><p class="title">Figure 1.2. Not there</p></div>
<div class="figure"><img src="images/b.png"/><p class="title">Figure 1.3. A second one. It goes on</p></div>
</body></html>"""


class Sink:
    """Counts what is copied."""

    def add(self, data: bytes, extension: str) -> dict:
        return {"uri": f"copy.{extension}", "offset": 0, "length": len(data)}


@pytest.fixture
def handbook(tmp_path: Path) -> Path:
    for language in ("en-US", "fr-FR"):
        (tmp_path / language / "images").mkdir(parents=True)
        (tmp_path / language / "page.html").write_text(PAGE.format(title="work & rest"))
        (tmp_path / language / "bare.html").write_text("<html><body><p>No figure</p></body></html>")
        for name in ("a", "b"):
            Image.new("RGB", (90, 90), "red").save(tmp_path / language / f"images/{name}.png")
    return tmp_path


def found(folder: Path) -> dict[str, list[dict]]:
    rows: dict[str, list[dict]] = {}
    for uri, kind in expand([str(folder)]):
        for batch in SOURCES[kind].read(uri, Sink()):
            rows.setdefault(kind, []).extend(batch.to_pylist())
    return rows


def test_each_figure_is_a_pair_with_its_context(handbook: Path, tmp_path: Path) -> None:
    assert papers.write(handbook, tmp_path / "papers") == {"articles": 1, "figures": 2, "latex_figures": 2}
    rows = found(tmp_path / "papers")
    assert set(rows) == {"jats", "latex"}
    for kind in ("jats", "latex"):
        first, second = rows[kind]
        assert first["caption"] == "R&D costs $5_000, 50% #1 {é}" and second["caption"] == "A second one. It goes on"
        assert "The text, before & about it." in first["context"] and first["image"] is not None
    assert {row["license_group"] for row in rows["jats"]} == {"commercial"}


def test_two_runs_give_equal_bytes(handbook: Path, tmp_path: Path) -> None:
    def written() -> dict[str, bytes]:
        papers.write(handbook, tmp_path / "papers")
        return {str(p): p.read_bytes() for p in (tmp_path / "papers").rglob("*") if p.is_file()}

    assert written() == written()


def test_the_real_handbook(real: Path, tmp_path: Path) -> None:
    counts = papers.write(real / "debian-handbook/usr/share/doc/debian-handbook/html", tmp_path / "papers")
    assert counts == {"articles": 20, "figures": 49, "latex_figures": 49}
    rows = found(tmp_path / "papers")
    assert {kind: len(each) for kind, each in rows.items()} == {"jats": 49, "latex": 49}
    assert all("caption" in row and row["image"] for each in rows.values() for row in each)
