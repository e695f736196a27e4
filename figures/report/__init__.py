"""A run folder as one self-contained HTML page: what was found, shown and cannot be concluded."""

from figures.report.page import LARGEST_PAGE, render_report, write_report
from probe.run.wording.finding import finding
from probe.run.wording.numbers import interval, number, p_value, percent, percent_interval

__all__ = [
    "LARGEST_PAGE",
    "finding",
    "interval",
    "number",
    "p_value",
    "percent",
    "percent_interval",
    "render_report",
    "write_report",
]
