"""README's table and what README says of it, against the quickstart of another clone, torch or processor.

    python -m benchmarks.quickstart [STORE...]

of stores (default: ./runs) in which `simclr-spec run quickstart` has ended. Each mean must lie within 2 sd of README's, and
each sentence must hold in each table. With the same versions on the same kind of processor all numbers are README's.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from simclr_spec.report.table import make
from simclr_spec.store.layout import Store

README = Path(__file__).parents[1] / "README.md"
MOST_SD = 2.0
"""By which a mean may be off."""
Means = Mapping[tuple[str, str], float]
"""(row, column) -> mean, in percent."""

FEW = ("1 per class", "2 per class")
SENTENCES: dict[str, Callable[[Means], bool]] = {
    "With one or two labels per class, fine-tuning a network pretrained without labels beats supervised training with the same "
    "augmentation by more than five points": lambda means: all(
        means[f"fine-tuned, {size}", few] - means[f"supervised, {size}", few] > 5 for size in ("small", "bigger") for few in FEW
    ),
    "and the bigger network, fine-tuned, is ahead of the small one": lambda means: all(
        means["fine-tuned, bigger", few] > means["fine-tuned, small", few] for few in FEW
    ),
    "At 10 % supervised training has caught up for the small network": lambda means: (
        means["supervised, small", "10 %"] > means["fine-tuned, small", "10 %"]
    ),
    "with all labels it is ahead for both": lambda means: all(
        means[f"supervised, {size}", "100 %"] > means[f"fine-tuned, {size}", "100 %"] for size in ("small", "bigger")
    ),
    "Taught by the bigger one, the small network does better than trained with supervision": lambda means: (
        means["distilled, bigger to small", "1 per class"] - means["supervised, small", "1 per class"] > 5
    ),
}
"""What README says, a part of a sentence each, and when it is true."""


def published() -> dict[tuple[str, str], tuple[float, float]]:
    """README's means and standard deviations, by row and column."""
    block = next(text for text in README.read_text(encoding="utf-8").split("```") if "Top-1 accuracy with few labels" in text)
    lines = [line for line in block.splitlines() if line.strip()]
    head = next(i for i, line in enumerate(lines) if line.startswith(" "))
    columns = re.split(r"\s{2,}", lines[head].strip())
    found = {}
    for line in lines[head + 1 :]:
        if not (cells := re.findall(r"([\d.]+) ± ([\d.]+) \(\d+\)", line)):
            break
        row = re.split(r"\s{2,}", line)[0]
        found.update({(row, column): (float(m), float(sd)) for column, (m, sd) in zip(columns, cells, strict=False)})
    return found


def measured(store: Path) -> dict[tuple[str, str], float]:
    """A finished quickstart's means."""
    cells = make("quickstart", Store(store)).cells
    if missing := [cell.row.title for cell in cells if not cell.complete]:
        sys.exit(f"{store}: no finished quickstart ({missing[0]} lacks runs); simclr-spec run quickstart makes one")
    return {(cell.row.title, cell.column.title): cell.mean for cell in cells if cell.mean is not None}


def main(stores: list[str]) -> int:
    expected, prose = published(), " ".join(README.read_text(encoding="utf-8").split())
    tables = {store: measured(Path(store)) for store in stores}
    off = 0
    print(f"{'':28}{'':13}{'README':>12}", *(f"{Path(store).name:>16}" for store in tables))
    for (row, column), (mean, sd) in expected.items():
        told = []
        for means in tables.values():
            distance = (means[row, column] - mean) / sd
            off += abs(distance) > MOST_SD
            told.append(f"{means[row, column]:6.1f} {distance:+5.1f} sd{' ✗' if abs(distance) > MOST_SD else '  '}")
        print(f"{row:28}{column:13}{mean:6.1f} ± {sd:3.1f}", *told)
    for sentence, holds in SENTENCES.items():
        false = [store for store, means in tables.items() if not holds(means)]
        off += len(false) + (sentence not in prose)
        print("✗" if false or sentence not in prose else "✓", sentence, *(f"[not in {store}]" for store in false))
    return int(bool(off))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["runs"]))
