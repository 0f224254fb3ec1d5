"""Tables in plain text that are also Markdown."""

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, texts: int = 1) -> str:
    """Returns an aligned Markdown table.

    Args:
        header: The names of the columns.
        rows: As many cells each.
        texts: So many columns from the left hold text; the others hold figures and are aligned to the right.
    """
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        aligned = [
            cell.ljust(width) if column < texts else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(aligned)} |"

    rule = ["-" * width if column < texts else f"{'-' * (width - 1)}:" for column, width in enumerate(widths)]
    return "\n".join([line(header), f"| {' | '.join(rule)} |", *(line(row) for row in rows)])
