"""The result as Markdown, and the checks: does memory grow, does the cost of a pair?"""

import itertools
from typing import Any

from paired import machine

MEMORY_RATIO = 1.15  # a larger pool's peak over a smaller one's: what allocators and sampling leave
COST_RATIO = 1.1  # a larger pool's CPU seconds a pair over a smaller one's
# Spark's default for what a JVM takes beside its heap (spark.driver.memoryOverheadFactor, memoryOverhead).
OVERHEAD_SHARE, OVERHEAD_MB = 0.1, 384 * 1.048576
VERSIONS = ("pyspark", "pyarrow", "numba")  # of what the figures depend on most
RECIPES = {"text": "text part of `full`", "full": "`full`"}
RECIPES |= {name: f"`{name}` up to its shards" for name in ("metaclip", "wfpp")}


def net_cost(result: dict[str, Any], start: dict[str, Any], what: str) -> dict[str, float]:
    """CPU seconds per 10^6 pairs of each phase, start-up taken off; `total` is their sum."""
    base = start[f"{what} {result['series']}"]
    costs = {}
    for phase in result[what]["phases"]:
        used = sum(phase["cpu"].values()) - sum(base[phase["name"]]["cpu"].values())
        costs[phase["name"]] = used / result["pairs"] * 1e6
    return costs | {"total": sum(costs.values())}


def checks(results: dict[str, list[dict]], start: dict[str, Any]) -> list[dict[str, Any]]:
    """What must hold, as {check, wanted, found, ok}."""
    found = []
    for name, sizes in results.items():
        for what in ("ingest", "run"):
            for one in sizes:
                heap, used = one[what]["peaks"]["heap"], one[what]["peaks"]["jvm"]
                bound = heap + max(OVERHEAD_SHARE * heap, OVERHEAD_MB)
                where = f"{what} {name}, {one['size']:,}: MB of the JVM"
                found.append({"check": where, "wanted": round(bound), "found": round(used)})
            for small, large in itertools.pairwise(sizes):
                found += _growth(name, what, small, large, start)
            for three in zip(sizes, sizes[1:], sizes[2:]):
                found.append(_slopes(name, what, three))
    return [check | {"ok": check["found"] <= check["wanted"]} for check in found]


def _growth(name: str, what: str, small: dict, large: dict, start: dict[str, Any]) -> list[dict[str, Any]]:
    where = f"{what} {name}, {large['size']:,} over {small['size']:,}"
    ratios = {}
    for kind in ("driver", "worker"):
        ratios[f"memory of the {kind}"] = large[what]["peaks"][kind] / small[what]["peaks"][kind], MEMORY_RATIO
    costs = [net_cost(one, start, what)["total"] for one in (small, large)]
    ratios["CPU a pair"] = costs[1] / costs[0], COST_RATIO
    return [
        {"check": f"{where}: {text}", "wanted": wanted, "found": round(ratio, 3)}
        for text, (ratio, wanted) in ratios.items()
    ]


def _slopes(name: str, what: str, three: tuple[dict, ...]) -> dict[str, Any]:
    """The cost of a further pair, which no start-up can hide: a large run may start otherwise than a small one."""
    cost = [sum(sum(p["cpu"].values()) for p in one[what]["phases"]) for one in three]
    pairs = [one["pairs"] for one in three]
    slopes = [(cost[i + 1] - cost[i]) / (pairs[i + 1] - pairs[i]) for i in range(2)]
    sizes = [f"{one['size']:,}" for one in three]
    where = f"{what} {name}, {sizes[1]} to {sizes[2]} over {sizes[0]} to {sizes[1]}: CPU a further pair"
    return {"check": where, "wanted": COST_RATIO, "found": round(slopes[1] / slopes[0], 3)}


def markdown(results: dict[str, list[dict]], start: dict[str, Any], found: list[dict]) -> str:
    """The whole page."""
    parts = ["# Memory and cost at growing sizes", machine(*VERSIONS), "## Fixed cost", _fixed(start)]
    for name, sizes in results.items():
        parts += [f"## {RECIPES[name].capitalize()}", _memory(sizes), _costs(sizes, start)]
        parts += [_stages(sizes[-1]), _disk(sizes)]
    rows = [[c["check"], c["wanted"], c["found"], "yes" if c["ok"] else "**no**"] for c in found]
    return "\n\n".join([*parts, "## Checks", table(["at most", "wanted", "found", "holds"], rows), ""])


def table(head: list[Any], rows: list[list[Any]]) -> str:
    """A Markdown table; numbers are rounded to what can be told from noise."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_shown(cell) for cell in line) + " |" for line in lines)


def _shown(value: Any) -> str:
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _fixed(start: dict[str, Any]) -> str:
    seconds = {name: sum(p["seconds"] for p in phases.values()) for name, phases in start.items()}
    cpu = {name: sum(sum(p["cpu"].values()) for p in phases.values()) for name, phases in start.items()}
    rows = [[name, seconds[name], cpu[name], seconds[name] - seconds["session"]] for name in start]
    return table(["100 pairs, median of rounds", "s", "CPU s", "s more than a bare session"], rows)


def _memory(sizes: list[dict]) -> str:
    rows = []
    for what, one in itertools.product(("ingest", "run"), sizes):
        p = one[what]["peaks"]
        rows.append([what, one["pairs"], p["driver"], p["jvm"], p["heap"], p["worker"], p["workers_pss"]])
    head = ["peak MB", "pairs", "driver", "JVM", "its heap at most", "largest worker", "all workers (PSS)"]
    return table(head, [[cell if i < 2 else round(cell) for i, cell in enumerate(row)] for row in rows])


def _costs(sizes: list[dict], start: dict[str, Any]) -> str:
    """CPU seconds per 10^6 pairs at each size, and how much more the larger size costs than the one before."""
    rows = []
    for what in ("ingest", "run"):
        costs = [net_cost(one, start, what) for one in sizes]
        for phase in [p["name"] for p in sizes[0][what]["phases"]] + ["total"] * (what == "run"):
            row = [cost[phase] for cost in costs]
            growth = [f"{b / a:.2f}" if a > 0 else "" for a, b in itertools.pairwise(row)]
            rows.append([f"**{phase}**" if phase == "total" else phase, *row, *growth])
    head = ["CPU s per 10^6 pairs less start-up", *(f"{one['size']:,}" for one in sizes)]
    head += [f"{b['size']:,} over {a['size']:,}" for a, b in itertools.pairwise(sizes)]
    return table(head, rows)


def _stages(one: dict) -> str:
    """What each stage of the largest size took."""
    rows = []
    for phase in [*one["ingest"]["phases"], *one["run"]["phases"]]:
        cpu, mb = phase["cpu"], phase["mb"]
        counts = [phase.get("rows_in", ""), phase.get("rows_out", "")]
        used = [round(value, 1) for value in (cpu["driver"], cpu["jvm"], cpu["workers"])]
        rows.append([phase["name"], *counts, phase["seconds"], *used, round(mb["jvm"]), round(mb["worker"])])
    head = [f"{one['size']:,} pairs", "in", "out", "s", "CPU s driver", "JVM", "workers", "MB JVM", "largest worker"]
    return table(head, rows)


def _disk(sizes: list[dict]) -> str:
    head = ["MB on disk", *sizes[0]["mb"], "Spark's own, while it runs"]
    return table(head, [[f"{one['size']:,}", *one["mb"].values(), one["run"]["peaks"]["scratch"]] for one in sizes])
