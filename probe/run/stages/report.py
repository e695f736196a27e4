"""Stage 7: the page, by the function of `figures` that the caller gives."""

from collections.abc import Callable
from pathlib import Path

from probe.errors import ProbeError
from probe.io.artifacts import atomic
from probe.run.folder import Run
from probe.run.registry import Answer, Stage, register

PAGE = "report.html"

Render = Callable[[Path], str]
"""Run folder to HTML; refuses a run whose figures are missing or old."""


@register
class Report(Stage):
    """Compose the page; it is up to date if composing it again gives the same page."""

    name = "report"
    about = "Write the page with all results."
    requires = ("evaluate", "visualize")
    needs_figures = True

    def stale(self, run: Run) -> str | None:
        """Compare the page with what would be written."""
        path = run.folder / PAGE
        if not path.is_file():
            return f"{PAGE} does not exist yet"
        try:
            page = run.function("render")(run.folder)
        except ProbeError as error:  # `make` ends with it
            return str(error)
        is_same = path.read_text(encoding="utf-8") == page
        return None if is_same else f"{PAGE} was made from other results"

    def make(self, run: Run) -> None:
        """Write the page."""
        with atomic(run.folder / PAGE) as temporary:
            temporary.write_text(run.function("render")(run.folder), encoding="utf-8")

    def result(self, run: Run) -> Answer:
        """Look at the page."""
        path = run.folder / PAGE
        n_bytes = path.stat().st_size
        text = f"{path} ({n_bytes / 1e6:.1f} MB, needs no other file)"
        return Answer(text, {"path": str(path), "n_bytes": n_bytes})
