"""A run folder as one self-contained HTML page: what was found, shown and cannot be concluded."""

from figures.report.finding import finding
from figures.report.numbers import interval, number, p_value, percent, percent_interval
from figures.report.page import LARGEST_PAGE, render_report, write_report

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
