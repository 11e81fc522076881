"""Duplicates by group, each beside what stands for it, and pictures of evaluation sets that were in the pool."""

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import RecipeError
from curation.files import join
from curation.images import read_pointers
from curation.models.evaluation import load_evaluation
from curation.report.gallery import picture_card, pool_cards
from curation.report.pairs import Pairs
from curation.report.parts import first_rows
from curation.shards.manifest import Release
from curation.shown import plain

LOOKED_AT = 20_000  # duplicates of smallest uid, of which the largest groups are shown
GROUPS = 6  # shown of one step
MEMBERS = 3  # dropped pairs shown of a group
LEAKS = 12  # leaked pairs shown of one step


def duplicate_groups(release: Release) -> list[dict[str, Any]]:
    """Of each step that has the side table `duplicates`: how many pairs it dropped as such, and its largest groups
    among those of smallest uid: `size` there, a card of the pair that stays (null: of an earlier release) and cards of
    some that go, but for those that a mended release has lost. A step without duplicates, or whose table the store no
    longer has, is left out.
    """
    found = []
    for number, step in enumerate(release.mark["stages"]):
        rows = _first(release, number, "duplicates", LOOKED_AT)
        if rows is not None and len(rows):
            listed = Pairs.of(release, []).stage(number)["tables"]["duplicates"]
            groups = _groups(release, rows)
            found.append({"step": step["name"], "pairs": sum(part["rows"] for part in listed), "groups": groups})
    return found


def leaks(release: Release) -> list[dict[str, Any]]:
    """Of each step that has the side table `leaks`: its rows, and cards of leaked pairs, each beside the evaluation
    picture that it is (null where the evaluation file, or the picture, is not there any more).
    """
    found = []
    for number, step in enumerate(release.mark["stages"]):
        if "leaks" in step:
            pairs = _leaked(release, number, step["settings"]["evaluation"])
            found.append({"step": step["name"], "sets": step["leaks"], "pairs": pairs})
    return found


def _first(release: Release, number: int, table: str | None, limit: int, rows: pc.Expression | None = None) -> Any:
    """The rows of smallest uid of a step's table, or of its side table; None where there is none."""
    done = Pairs.of(release, []).stage(number)
    folder = release.stage_folder(number)
    if done is None or (table and table not in done["tables"]):
        return None
    if table:
        return first_rows(join(folder, table), done["tables"][table], None, limit, rows)
    return first_rows(folder, done["parts"], done["columns"], limit, rows)


def _groups(release: Release, rows: pa.Table) -> list[dict[str, Any]]:
    """The largest groups among the rows, ties by name."""
    sizes = Counter(rows["group"].to_pylist())
    shown = []
    for name, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:GROUPS]:
        members = rows.filter(pc.equal(rows["group"], name)).slice(0, MEMBERS).to_pylist()
        stays = members[0]["representative"]
        cards = {card["uid"]: card for card in pool_cards(Pairs.of(release, [*filter(None, [stays]), *_uids(members)]))}
        known = [row for row in members if row["uid"] in cards]
        gone = [cards[row["uid"]] | {"detail": _similarity(row["similarity"])} for row in known]
        shown.append({"size": size, "stays": cards.get(stays), "gone": gone})
    return shown


def _uids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["uid"] for row in rows]


def _similarity(value: float | None) -> str:
    return "" if value is None else f"similarity {value:.4f}"


def _leaked(release: Release, number: int, evaluation: str) -> list[dict[str, Any]]:
    rows = _first(release, number, None, LEAKS, pc.field("drop_reason") == "evaluation_image")
    rows = [] if rows is None else rows.to_pylist()
    cards = {card["uid"]: card for card in pool_cards(Pairs.of(release, _uids(rows)))}
    rows = [row for row in rows if row["uid"] in cards]  # a mended release may have lost some
    originals = _originals(evaluation, rows)
    shown = []
    for row, original in zip(rows, originals):
        detail = (
            f"{plain(row['evaluation_set'])}/{plain(row['evaluation_item'])} · cosine {row['evaluation_score']:.4f}"
        )
        shown.append({"pair": cards[row["uid"]] | {"detail": detail}, "original": original})
    return shown


def _originals(evaluation: str, rows: list[dict[str, Any]]) -> list[dict[str, Any] | None]:
    """A card of the evaluation picture of each row."""
    try:
        items = load_evaluation(evaluation).items
    except RecipeError:
        return [None] * len(rows)
    named = {
        (each["set"], each["item"]): each for each in items.select(["set", "item", "caption", "image"]).to_pylist()
    }
    found = [named.get((row["evaluation_set"], row["evaluation_item"])) for row in rows]
    encoded = read_pointers([each["image"] if each else None for each in found])
    return [each and picture_card(each | {"uid": ""}, data) for each, data in zip(found, encoded)]
