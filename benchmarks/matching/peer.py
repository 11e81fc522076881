"""Matching by pyahocorasick, the way MetaCLIP 1 and 2 use it: one automaton, all overlapping entries of spaced text."""

from collections.abc import Callable, Sequence

PEER = "pyahocorasick==2.3.1"  # one version, so that figures of different days compare


def spaced(caption: str) -> str:
    """The caption as MetaCLIP searches it: blanks around it and its marks, other blanks as spaces (section 3.2)."""
    caption = f" {caption} "
    for mark in ",.;:?!`":
        caption = caption.replace(mark, f" {mark} ")
    for blank in "\t\n\r":
        caption = caption.replace(blank, " ")
    return caption


def built_automaton(entries: Sequence[str]) -> Callable[[Sequence[str]], list[list[int]]]:
    """A search: captions in, lists of ids out, from an automaton of the entries with a space on either side."""
    import ahocorasick

    automaton = ahocorasick.Automaton()
    for number, entry in enumerate(entries):
        key = f" {entry} "
        automaton.add_word(key, (number, key))
    automaton.make_automaton()

    def search(captions: Sequence[str]) -> list[list[int]]:
        return [list({number for _, (number, _) in automaton.iter(spaced(c))}) for c in captions]

    return search
