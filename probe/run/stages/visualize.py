"""The last two stages: figures and the page, by functions of `figures` that the caller gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from probe.io.artifacts import atomic, hash_parts, read_json, write_json
from probe.run.files import COMPARISON, EVALUATION, FIT, GATE, MAP, SUBJECTS, correction_files
from probe.run.folder import Run, missing_file, stale_files
from probe.run.registry import STUDIES, Record, Stage

MARK = "figures/provenance.json"
PAGE = "report.html"

Draw = Callable[..., list[Path]]
"""Run folder, and ``progress``, to the files of its figures."""
Render = Callable[[Path], str]
"""Run folder to HTML; refuses a run whose figures are missing or old."""

DrawNamed = Callable[[Path, str], list[Path]]
"""Run folder and name of a figure, or of a concept's files, to the files of the figure."""


@dataclass(frozen=True)
class VisualizeResult(Record):
    """Which files were drawn."""

    files: list[str]
    """Relative to the run folder."""

    @classmethod
    def of(cls, folder: Path, files: Iterable[Path]) -> VisualizeResult:
        """Name the files of a run folder."""
        return cls(sorted(path.relative_to(folder).as_posix() for path in files))

    def summary(self) -> str:
        """One line."""
        names = sorted({Path(name).stem for name in self.files})
        return f"{len(names)} figures, {len(self.files)} files: {', '.join(names)}"


class Visualize(Stage):
    """Draw every figure."""

    name = "visualize"
    requires = ("evaluate",)

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def stale(self, run: Run) -> str | None:
        """Look at the mark, and whether each figure is there."""
        why = stale_files(run, self.made_from(run), MARK)
        return why or missing_file(run, self.result(run).files)

    def make(self, run: Run) -> None:
        """Draw, then mark."""
        (run.folder / MARK).unlink(missing_ok=True)
        files = self._draw(run.folder, progress=run.progress_on("figures"))
        made = run.provenance("figures", self.made_from(run))
        write_json(run.folder / MARK, {"files": VisualizeResult.of(run.folder, files).files}, made)

    def result(self, run: Run) -> VisualizeResult:
        """Read the mark."""
        return VisualizeResult(read_json(run.folder / MARK, kind="figures")[0]["files"])

    def made_from(self, run: Run) -> str:
        """Hash of the settings and inputs."""
        asked = (*(study.file for study in STUDIES.values()), COMPARISON)
        done = [name for name in asked if (run.folder / name).exists()]
        always = (MAP, SUBJECTS, FIT, GATE, *correction_files(run.config), *EVALUATION)
        return hash_parts("figures", run.hashes(*always, *done))


@dataclass(frozen=True)
class ReportResult(Record):
    """The page and its size."""

    path: str
    n_bytes: int

    def summary(self) -> str:
        """One line."""
        return f"{self.path} ({self.n_bytes / 1e6:.1f} MB, needs no other file)"


class Report(Stage):
    """Compose the page; it is up to date if composing it again gives the same page."""

    name = "report"
    requires = ("evaluate",)

    def __init__(self, render: Render) -> None:
        self._render = render

    def stale(self, run: Run) -> str | None:
        """Compare the page with what would be written."""
        path = run.folder / PAGE
        if not path.is_file():
            return f"{PAGE} does not exist yet"
        is_same = path.read_text(encoding="utf-8") == self._render(run.folder)
        return None if is_same else f"{PAGE} was made from other results"

    def make(self, run: Run) -> None:
        """Write the page."""
        with atomic(run.folder / PAGE) as temporary:
            temporary.write_text(self._render(run.folder), encoding="utf-8")

    def result(self, run: Run) -> ReportResult:
        """Look at the page."""
        path = run.folder / PAGE
        return ReportResult(str(path), path.stat().st_size)
