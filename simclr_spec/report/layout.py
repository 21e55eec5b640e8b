"""Where the lines of a table break, and which columns stand beside each other, so that it keeps within a width.

Titles break between words, cells between the states that they list; no word and no number is cut. Columns for which there is
no room stand in a block of their own below, again with the titles of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

Line = tuple[str, str]
"""Text and its style on a terminal."""
Grid = Sequence[Sequence[Sequence[Line]]]
"""Rows of columns of lines; the first row and the first column are titles."""
_GAP = 2
_TITLE = 12
"""Titles of rows are folded no narrower than that for the sake of having all columns in one block."""


def fold(text: str, width: int, between: str = " ") -> list[str]:
    """Lines of at most `width` characters, broken after `between`; what cannot be broken is longer."""
    *pieces, last = text.split(between)
    out = [""]
    for piece in [*(piece + between.rstrip() for piece in pieces), last]:
        if out[-1] and len(out[-1]) + 1 + len(piece) > width:
            out.append("")
        out[-1] += f" {piece}" if out[-1] else piece
    return out


def laid_out(grid: Grid, width: int | None, *, right: bool) -> Iterator[list[Line]]:
    """Every line of the table as padded parts; an empty line between blocks. `right`: numbers stand at the right."""
    for number, (columns, widths) in enumerate(_blocks(grid, width)):
        if number:
            yield []
        for i, row in enumerate(grid):
            if i and number and not any(row[j] for j in columns[1:]):
                continue  # this row has no cell in these columns
            cells = [_folded(row[j], wide, i, j) for j, wide in zip(columns, widths, strict=True)]
            for k in range(max(map(len, cells))):
                yield list(_padded([cell[k] if k < len(cell) else ("", "") for cell in cells], widths, right))


def _padded(parts: Sequence[Line], widths: Sequence[int], right: bool) -> Iterator[Line]:
    for j, ((text, style), width) in enumerate(zip(parts, widths, strict=True)):
        yield " " * _GAP * bool(j) + (text.rjust(width) if right and j else text.ljust(width)), style


def _folded(lines: Sequence[Line], width: int, i: int, j: int) -> list[Line]:
    return [(part, style) for text, style in lines for part in fold(text, width, ", " if i and j else " ")]


def _blocks(grid: Grid, width: int | None) -> list[tuple[list[int], list[int]]]:
    """Of each block the columns, the titles' among them, and their widths."""
    every = range(len(grid[0]))
    natural = [max((len(text) for row in grid for text, _ in row[j]), default=0) for j in every]
    if width is None or _total(natural) <= width:
        return [(list(every), natural)]
    least = [max((len(text) for i, row in enumerate(grid) for text, _ in _folded(row[j], 0, i, j)), default=0) for j in every]
    narrow = max(least[0], min(natural[0], _TITLE))
    if _total([narrow, *least[1:]]) > width:
        narrow = max(least[0], min(natural[0], width // 3))
    blocks: list[list[int]] = [[0]]
    for j in every[1:]:
        if len(blocks[-1]) > 1 and _total([narrow, *(least[k] for k in blocks[-1][1:]), least[j]]) > width:
            blocks.append([0])
        blocks[-1].append(j)
    return [(block, _widened([narrow, *(least[j] for j in block[1:])], [natural[j] for j in block], width)) for block in blocks]


def _widened(widths: list[int], natural: list[int], width: int) -> list[int]:
    """With what room is left, from the left."""
    spare = max(0, width - _total(widths))
    for j, (have, wish) in enumerate(zip(widths, natural, strict=True)):
        widths[j] += min(spare, max(0, wish - have))
        spare -= widths[j] - have
    return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)
