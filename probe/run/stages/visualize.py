"""Stage 6: every figure, by the function of `figures` that the caller gives."""

from collections.abc import Callable, Collection
from pathlib import Path

from probe.io.artifacts import hash_parts, read_json, write_json
from probe.run.files import (
    COMPARISON,
    EVALUATION,
    FIT,
    GATE,
    MAP,
    SUBJECTS,
    USER_PLACES,
    correction_files,
)
from probe.run.folder import Run, missing_file, stale_files
from probe.run.registry import STUDIES, Answer, Stage, register

MARK = "figures/provenance.json"

Draw = Callable[..., list[Path]]
"""Run folder, and ``progress``, to the files of its figures."""
DrawNamed = Callable[[Path, str], list[Path]]
"""Run folder and name of a figure, or of a concept's files, to the files of the figure."""


def drawn(folder: Path, files: Collection[Path]) -> Answer:
    """Name the files of figures of a run folder."""
    names = sorted(path.relative_to(folder).as_posix() for path in files)
    figures = sorted({path.stem for path in files})
    return Answer(f"{', '.join(figures)}: {len(names)} files", {"files": names})


@register
class Visualize(Stage):
    """Draw every figure."""

    name = "visualize"
    about = "Draw every figure."
    requires = ("evaluate",)
    needs_figures = True

    def stale(self, run: Run) -> str | None:
        """Look at the mark, and whether each figure is there."""
        why = stale_files(run, self.made_from(run), MARK)
        return why or missing_file(run, self._files(run))

    def make(self, run: Run) -> None:
        """Draw, then mark."""
        (run.folder / MARK).unlink(missing_ok=True)
        files = run.function("draw")(run.folder, progress=run.progress_on("figures"))
        made = run.provenance("figures", self.made_from(run))
        write_json(run.folder / MARK, drawn(run.folder, files).data, made)

    def result(self, run: Run) -> Answer:
        """Read the mark."""
        return drawn(run.folder, [run.folder / name for name in self._files(run)])

    def made_from(self, run: Run) -> str:
        """Hash of the settings and inputs."""
        asked = (*(study.file for study in STUDIES.values()), COMPARISON, USER_PLACES)
        done = [name for name in asked if (run.folder / name).exists()]
        always = (MAP, SUBJECTS, FIT, GATE, *correction_files(run.config), *EVALUATION)
        return hash_parts("figures", run.hashes(*always, *done))

    def _files(self, run: Run) -> list[str]:
        return list(read_json(run.folder / MARK, kind="figures")[0]["files"])
