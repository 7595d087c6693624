"""From raw figures to the cells of tables: medians, ratios within a round, and whether a target is reached."""
import statistics


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def number(value, digits=0, unit=""):
    return "–" if value is None else f"{value:,.{digits}f}{unit}"


def milliseconds(microseconds):
    return number(None if microseconds is None else microseconds / 1000, 1)


def mebibytes(kib, digits=0):
    return number(None if kib is None else kib / 1024, digits)


def markdown(header, rows):
    """A table, numbers to the right, and aligned so that it reads as plain text too."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]

    def line(cells):
        first, rest = cells[0].ljust(widths[0]), [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:])]
        return "| " + " | ".join([first, *rest]) + " |"

    rule = "| " + "-" * widths[0] + " | " + " | ".join("-" * (width - 1) + ":" for width in widths[1:]) + " |"
    return "\n".join([line(header), rule, *map(line, rows)])


class Runs:
    """The runs that have some properties in common, summed up by median."""

    def __init__(self, runs, **properties):
        self.runs = [run for run in runs if all(run[key] == value for key, value in properties.items())]

    def __bool__(self):
        return bool(self.runs)

    def median(self, key):
        return median(run[key] for run in self.runs)

    def ratio(self, others, key="rate"):
        """The median of the ratios of each round."""
        by_round = {run["round"]: run[key] for run in others.runs}
        return median(run[key] / by_round[run["round"]] for run in self.runs if by_round.get(run["round"]))

    @property
    def server_us(self):
        return median(
            None if run["server_user_us"] is None else run["server_user_us"] + run["server_system_us"] for run in self.runs)

    @property
    def peak_kib(self):
        peaks = [run["peak_kib"] for run in self.runs if run["peak_kib"] is not None]
        return max(peaks) if peaks else None


def target(text, value, reached, digits=2, unit=""):
    """A row of (target, measured, reached), or None where nothing was measured."""
    return None if value is None else [text, number(value, digits, unit), "yes" if reached(value) else "**no**"]


def at_least(bound):
    return lambda value: value >= bound


def below(bound):
    return lambda value: value < bound
