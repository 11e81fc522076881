"""What the trials found: a row per fault, as text, Markdown and JSON."""

import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"


@dataclass
class Row:
    """One fault: how many trials, how many passed, the longest start of a resumed run, and what went wrong."""

    fault: str
    trials: int = 0
    passed: int = 0
    worst_resume_s: float = 0.0
    notes: dict[str, float] = field(default_factory=dict)  # a measure and its worst value
    failures: list[str] = field(default_factory=list)
    skipped: str = ""

    def add(self, what: str, faults: list[str], resume_s: float | None = None) -> None:
        """Count one trial, passed if nothing is wrong with it."""
        self.trials += 1
        self.passed += not faults
        self.worst_resume_s = max(self.worst_resume_s, resume_s or 0.0)
        self.failures += [f"{what}: {fault}" for fault in faults]
        print(f"   {'ok  ' if not faults else 'FAIL'} {self.fault}: {what}", file=sys.stderr, flush=True)
        for fault in faults:
            print(f"        {fault}", file=sys.stderr, flush=True)

    def note(self, name: str, value: float) -> None:
        """Keep the largest value of a measure."""
        self.notes[name] = max(self.notes.get(name, value), value)

    def cells(self) -> list[str]:
        """The row as it is shown."""
        notes = [f"{name} {value:.1f}" if value % 1 else f"{name} {value:.0f}" for name, value in self.notes.items()]
        resume = f"{self.worst_resume_s:.1f}" if self.worst_resume_s else "-"
        if self.skipped:
            return [self.fault, "-", "-", "-", f"skipped: {self.skipped}"]
        return [self.fault, str(self.trials), str(self.passed), resume, "; ".join(notes)]


@dataclass
class Findings:
    """All rows so far, by fault in the order of their first trial."""

    rows: dict[str, Row] = field(default_factory=dict)

    def row(self, fault: str) -> Row:
        return self.rows.setdefault(fault, Row(fault))

    def failed(self) -> bool:
        return any(row.passed < row.trials for row in self.rows.values())

    def markdown(self) -> str:
        """The table, one line per fault."""
        head = ["fault", "trials", "passed", "longest start of a resumed run, s", "worst measured"]
        lines = [head, ["---", "---:", "---:", "---:", "---"], *(row.cells() for row in self.rows.values())]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"

    def save(self, path: Path) -> None:
        """Write the rows as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([asdict(row) for row in self.rows.values()], indent=1) + "\n")

    def add(self, path: Path) -> None:
        """Add the rows that `save` wrote."""
        for each in map(lambda fields: Row(**fields), json.loads(path.read_text())):
            row = self.row(each.fault)
            row.trials, row.passed = row.trials + each.trials, row.passed + each.passed
            row.worst_resume_s = max(row.worst_resume_s, each.worst_resume_s)
            row.failures, row.skipped = row.failures + each.failures, row.skipped or each.skipped
            for name, value in each.notes.items():
                row.note(name, value)


def write_into(page: Path, text: str) -> None:
    """Put `text` between the two marks of a page."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{text}{END}{after}")
