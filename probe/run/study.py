"""A study: from the files of a run to tables, a summary and figures, done on request."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeAlias

from probe.errors import DataError
from probe.io.artifacts import hash_parts, read_json, read_table, write_json, write_table
from probe.io.settings import settings_line
from probe.run.files import SHARES, SUBJECTS
from probe.run.folder import INTERVALS, Run, stale_files
from probe.run.registry import STUDY, Answer, StudyStage

if TYPE_CHECKING:
    import pandas as pd

Tables: TypeAlias = Mapping[str, Any]
"""Data frames by kind, see `Study.kind`."""


class Study(StudyStage):
    """A study of a run.

    A subclass decorated with `probe.run.registry.register` in a module of `probe.run.studies`, or
    in a plugin, is all that a new study needs: it becomes a name that ``moesd-probe study`` takes,
    and its settings become a table of ``config.toml`` and options of the command.
    """

    requires = ("fit",)
    tables: tuple[str, ...] = ()
    """Files of the tables that it may write (Parquet), relative to the run folder."""
    inputs: tuple[str, ...] = ()
    """Files that it reads, relative to the run folder."""
    reads_settings: tuple[str, ...] = ()
    """Settings that it reads: all of a stage (``"evaluate"``) or one (``"fit.estimator"``)."""

    @abstractmethod
    def compute(self, run: Run) -> tuple[Tables, Answer]:
        """Return those of ``tables`` that this run has, and what was found."""

    def kind(self, table: str) -> str:
        """Return the kind of a table: the name of its file, without folder and suffix."""
        return PurePath(table).stem

    def make(self, run: Run) -> None:
        """Write the tables, then the result; remove tables that are not written any more."""
        if why := self.unmet(run):
            raise DataError(f"the study {self.name} cannot be done on {run.folder}: {why}")
        made_from, seed = self.made_from(run), run.config.study.seed
        tables, found = self.compute(run)
        written = []
        for path in self.tables:
            kind = self.kind(path)
            if kind in tables:
                made = run.provenance(kind, made_from, seed=seed)
                write_table(run.folder / path, tables[kind], made)
                written.append(path)
            else:
                (run.folder / path).unlink(missing_ok=True)
        data = {"lines": found.text.splitlines(), "figures": found.data, "tables": written}
        write_json(run.folder / self.file, data, run.provenance("study", made_from, seed=seed))

    def stale(self, run: Run) -> str | None:
        """Compare the hash in every file with that of today's settings and inputs."""
        made_from = self.made_from(run)
        if why := stale_files(run, made_from, self.file):
            return why
        return stale_files(run, made_from, *self._read(run)["tables"])

    def result(self, run: Run) -> Answer:
        """Read what was found."""
        data = self._read(run)
        return Answer("\n".join(data["lines"]), data["figures"])

    def made_from(self, run: Run) -> str:
        """Hash the settings and everything that is read."""
        lines = []
        for name in (STUDY, *([self.name] if self.settings else []), *self.reads_settings):
            table, _, chosen = name.partition(".")
            found = getattr(run.config, table)
            lines.append(f"{name}={getattr(found, chosen)}" if chosen else settings_line(found))
        return hash_parts(f"study of {self.name}", INTERVALS, *lines, run.hashes(*self.inputs))

    def _read(self, run: Run) -> dict[str, Any]:
        return dict(read_json(run.folder / self.file, kind="study")[0])


def base_shares(run: Run) -> pd.DataFrame:
    """Join the bias score of every occupation with the share of women in the base model's images.

    Columns: ``subject, split, share_women, bias_score, n, share, low, high``.
    """
    subjects, _ = read_table(run.folder / SUBJECTS, kind="subjects")
    shares, _ = read_table(run.folder / SHARES, kind="shares")
    config = run.config.evaluate
    seen = shares[
        (shares["side"] == "base")
        & (shares["attribute"] == config.attribute)
        & (shares["value"] == config.female)
    ].set_index("subject")
    return subjects[["subject", "split", "share_women", "bias_score"]].join(
        seen[["n", "share", "low", "high"]], on="subject", how="inner"
    )


def counts_of(table: pd.DataFrame, split: str) -> list[Any]:
    """Bias score, number of images of women, and of all images, of the occupations of a split."""
    rows = table[table["split"] == split]
    n_women = (rows["share"] * rows["n"]).round().astype(int)
    return [of.to_numpy() for of in (rows["bias_score"], n_women, rows["n"])]
