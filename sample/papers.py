"""Papers made of the Debian handbook: JATS articles with their pictures beside them, and a LaTeX paper as arXiv has it.

Each page of the handbook with a figure is an article: its title, the paragraph before each figure, which cites it, the
figure with its label and caption. Two runs give the same bytes: pages in path order, no times.
"""

import gzip
import io
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

from lxml import etree
from selectolax.lexbor import LexborHTMLParser, LexborNode

LICENSE = "https://creativecommons.org/licenses/by-sa/3.0/"  # one of the two that the handbook is under
XLINK = "http://www.w3.org/1999/xlink"
XML = "http://www.w3.org/XML/1998/namespace"
SPECIAL = str.maketrans({c: f"\\{c}" for c in "#$%&_{}"} | {"~": r"\~{}", "^": r"\^{}", "\\": r"\textbackslash{}"})


@dataclass(frozen=True)
class Figure:
    """A figure of a page: `paragraph` is the text before it."""

    label: str
    caption: str
    image: Path
    paragraph: str


@dataclass(frozen=True)
class Page:
    """A page with its figures."""

    name: str
    title: str
    figures: list[Figure]


def write(handbook: Path, target: Path) -> dict[str, int]:
    """What is in `target`: `jats/`, the English handbook with a folder an article, and `latex.tar.gz`, the French."""
    target.mkdir(exist_ok=True)
    counts = write_articles(handbook / "en-US", target / "jats")
    return counts | {"latex_figures": write_latex(handbook / "fr-FR", target / "latex.tar.gz")}


def write_articles(folder: Path, target: Path) -> dict[str, int]:
    """Articles and figures written: a folder in `target` for each page, with its XML and its pictures."""
    shutil.rmtree(target, ignore_errors=True)
    found = pages(folder)
    for page in found:
        (target / page.name).mkdir(parents=True)
        for figure in page.figures:
            shutil.copyfile(figure.image, target / page.name / figure.image.name)
        (target / page.name / f"{page.name}.xml").write_bytes(article(page, folder.name))
    return {"articles": len(found), "figures": sum(len(page.figures) for page in found)}


def write_latex(folder: Path, target: Path) -> int:
    """The number of figures written to `target`: a .tar.gz of main.tex, a chapter a page, and figures/."""
    found = pages(folder)
    chapters = {f"{page.name}.tex": chapter(page).encode() for page in found}
    files = {"main.tex": main_file(found).encode()} | chapters
    files |= {f"figures/{f.image.name}": f.image.read_bytes() for page in found for f in page.figures}
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    target.write_bytes(gzip.compress(plain.getvalue(), 6, mtime=0))
    return sum(len(page.figures) for page in found)


def pages(folder: Path) -> list[Page]:
    """The pages of one language that show figures whose picture is there."""
    read = (page_of(path) for path in sorted(folder.glob("*.html")))
    return [page for page in read if page.figures]


def page_of(path: Path) -> Page:
    """A page as far as papers need it."""
    tree = LexborHTMLParser(path.read_bytes())
    title = tree.css_first("h1.title, h2.title, title")
    figures = []
    for node in tree.css("div.figure"):
        image, caption = node.css_first("img[src]"), node.css_first("p.title")
        file = path.parent / (image.attributes["src"] or "") if image and caption else None
        if file and file.is_file() and file.suffix != ".svg":
            label, _, text = words(caption).partition(". ")
            figures.append(Figure(label, text, file, before(node)))
    return Page(path.stem, words(title) if title else path.stem, figures)


def before(node: LexborNode) -> str:
    """The text of the nearest paragraph before a figure."""
    while (node := node.prev) is not None:
        if node.tag == "div" and "para" in (node.attributes.get("class") or ""):
            return words(node)
    return ""


def words(node: LexborNode) -> str:
    """The text of a node on one line."""
    return " ".join(node.text().split())


def article(page: Page, language: str) -> bytes:
    """A page as a JATS article (NISO Z39.96)."""
    root = etree.Element("article", {f"{{{XML}}}lang": language[:2]}, nsmap={"xlink": XLINK})
    meta = sub(sub(root, "front"), "article-meta")
    sub(meta, "article-id", f"debian-handbook-{page.name}", {"pub-id-type": "publisher-id"})
    sub(sub(meta, "title-group"), "article-title", page.title)
    license = sub(sub(meta, "permissions"), "license", None, {f"{{{XLINK}}}href": LICENSE})
    sub(license, "license-p", "Creative Commons Attribution-ShareAlike 3.0")
    section = sub(sub(root, "body"), "sec")
    for number, figure in enumerate(page.figures):
        paragraph = sub(section, "p", f"{figure.paragraph} (")
        sub(paragraph, "xref", figure.label, {"ref-type": "fig", "rid": f"f{number}"}).tail = ")"
        shown = sub(section, "fig", None, {"id": f"f{number}"})
        sub(shown, "label", figure.label)
        sub(sub(shown, "caption"), "p", figure.caption)
        sub(shown, "graphic", None, {f"{{{XLINK}}}href": figure.image.name})
    return etree.tostring(root, encoding="utf-8", xml_declaration=True, pretty_print=False)


def sub(
    parent: etree._Element, tag: str, text: str | None = None, attributes: dict[str, str] | None = None
) -> etree._Element:
    """A new child."""
    child = etree.SubElement(parent, tag, attributes or {})
    child.text = text
    return child


def main_file(found: list[Page]) -> str:
    """The main file of the LaTeX paper."""
    inputs = "".join(f"\\input{{{page.name}}}\n" for page in found)
    head = "\\documentclass{article}\n\\usepackage{graphicx}\n\\graphicspath{{figures/}}\n"
    license = f"% {LICENSE}\n\\title{{The Debian Administrator's Handbook}}\n"
    return f"{head}{license}\\begin{{document}}\n\\maketitle\n{inputs}\\end{{document}}\n"


def chapter(page: Page) -> str:
    """A page as a section of the LaTeX paper."""
    parts = [f"\\section{{{page.title.translate(SPECIAL)}}}\n"]
    for number, figure in enumerate(page.figures):
        label = f"fig:{page.name}-{number}"
        parts.append(
            f"{figure.paragraph.translate(SPECIAL)} (\\ref{{{label}}})\n\n\\begin{{figure}}\n\\centering\n"
            f"\\includegraphics[width=\\linewidth]{{{figure.image.stem}}}\n"
            f"\\caption{{{figure.caption.translate(SPECIAL)}}}\n\\label{{{label}}}\n\\end{{figure}}\n"
        )
    return "\n".join(parts)
