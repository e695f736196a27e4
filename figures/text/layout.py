"""Columns of text."""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], *, n_left: int = 1) -> list[str]:
    """Lay rows out in columns, the first ``n_left`` to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if column < n_left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
