"""A run folder as one self-contained HTML page: results, figures and their limits."""

from figures.report.page import LARGEST_PAGE, render_report

__all__ = ["LARGEST_PAGE", "render_report"]
