"""The paragraphs of a paper that cite a figure, as readable text."""

from collections.abc import Callable, Iterable

from curation.sources.latex.floats import Paragraph

CONTEXT_CHARS = 20_000  # of all paragraphs together; assumption: enough for a dozen
PARAGRAPH_CHARS = 10_000  # of LaTeX; assumption: what is longer is no paragraph


class Citations:
    """The citing paragraphs of one paper by label; each is made readable once, when it is first asked for."""

    def __init__(self, body: str, paragraphs: list[Paragraph], read: Callable[[str], str]) -> None:
        self.body, self.paragraphs, self.read = body, paragraphs, read
        self.by_key: dict[str, list[int]] = {}
        self.texts: dict[int, str] = {}
        for number, paragraph in enumerate(paragraphs):
            for key in paragraph.keys:
                self.by_key.setdefault(key, []).append(number)

    def of(self, labels: Iterable[str]) -> str | None:
        """The paragraphs that cite any of these labels, each once, in order, an empty line between; null for none."""
        numbers = sorted({number for label in labels for number in self.by_key.get(label, ())})
        texts, left = [], CONTEXT_CHARS
        for number in numbers:
            text = self._text(number)
            if len(text) > left:
                break
            texts += [text] if text and text not in texts else []
            left -= len(text)
        return "\n\n".join(texts) or None

    def _text(self, number: int) -> str:
        if number not in self.texts:
            paragraph = self.paragraphs[number]
            pieces, at = [], paragraph.start
            for start, end in sorted(paragraph.holes):
                pieces.append(self.body[at : max(at, start)])
                at = max(at, end)
            pieces.append(self.body[at : max(at, paragraph.end)])
            self.texts[number] = self.read(" ".join(pieces)[:PARAGRAPH_CHARS])
        return self.texts[number]
