"""Compare methods: bring the row of each up to date, then measure all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from probe.audit.measures import noise_floor
from probe.errors import OptionError
from probe.io.artifacts import hash_parts, read_json, write_json, write_table
from probe.io.settings import settings_line
from probe.run.compare.material import FOLDER, REFERENCE, Bench
from probe.run.compare.measurement import MethodEvaluator
from probe.run.compare.methods import BASE, all_methods, check_method, methods_of
from probe.run.compare.rows import make_row, read_row, row_made_from, stale_row
from probe.run.evaluation import evaluators
from probe.run.evaluation.corrected import seen_attributes
from probe.run.files import COMPARISON as TABLE
from probe.run.folder import INTERVALS, Run, stale_files
from probe.run.registry import Answer, StudyStage
from probe.stats.multiplicity import holm

RESULT = f"{FOLDER}/methods.json"


class CompareMethods(StudyStage):
    """A study that makes and measures methods: those named, or all, and always the base."""

    name = "compare methods"
    requires = ("train",)
    file = RESULT

    def __init__(
        self,
        names: Sequence[str] = (),
        *,
        n_images: int | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        known = all_methods()
        if unknown := [name for name in names if name not in known]:
            raise OptionError(f"no method is called {unknown[0]!r}; choose from {', '.join(known)}")
        if n_images is not None and n_images < 2:
            raise OptionError(f"n_images is {n_images}; needed at least 2")
        self._named = [name for name in known if name in (*names, BASE)] if names else []
        self._n_images, self._on_line = n_images, on_line

    @classmethod
    def kept(cls, run: Run) -> list[CompareMethods]:
        """The comparison in the run, as it was asked for; none if there is none."""
        if not (run.folder / RESULT).is_file():
            return []
        found = read_json(run.folder / RESULT, kind="comparison")[0]
        names = [of["name"] for of in found["methods"] if of["name"] in all_methods()]
        return [cls(names, n_images=found["n_images"]["per_subject"])]

    def names(self, run: Run) -> list[str]:
        """Return the methods in the order of the table."""
        return self._named or methods_of(run)

    def stale(self, run: Run) -> str | None:
        """Look at the row of every method, then at what was measured."""
        bench = self._bench(run)
        for name in (REFERENCE, *self.names(run)):
            if why := stale_row(bench, name):
                return why
        return self.stale_figures(run)

    def stale_figures(self, run: Run) -> str | None:
        """Look at the figures alone: images may have been removed since."""
        return stale_files(run, self._made_from(self._bench(run)), TABLE, RESULT)

    def make(self, run: Run) -> None:
        """Make what is not up to date, one method after the other, and measure."""
        bench, names = self._bench(run), self.names(run)
        for name in names:
            check_method(name, run)
        for name in (BASE, REFERENCE, *names):
            if stale_row(bench, name) is not None:
                make_row(bench, name)
                if self._on_line is not None:
                    self._on_line(f"{name}: made")
        config = run.config.evaluate
        known = bench.classifier.attributes
        attributes = {evaluators.column(name): values for name, values in known.items()}
        first, *others = seen_attributes(run, known)
        evaluator = MethodEvaluator(
            base=read_row(bench, BASE),
            reference=read_row(bench, REFERENCE),
            attributes=attributes,
            attribute=first.name,
            asked=first.labels,
            also_corrected=[of.name for of in others],
            resampling=config.resampling,
        )
        seen = {name: read_row(bench, name) for name in names}
        methods = [evaluator.figures(name, of) for name, of in seen.items()]
        adjusted = holm(np.array([of["difference"]["p"] for of in methods]))
        for of, p in zip(methods, adjusted, strict=True):
            of["difference"]["p_holm"] = float(p)
        figures = {
            "methods": methods,
            "best_baseline": evaluator.compared(seen, methods),
            "noise_floor": noise_floor(bench.n_images, len(attributes[first.name])),
            "n_images": {
                "per_subject": bench.n_images,
                "per_method": len(bench.plan),
                "subjects": len(run.lexicon.occupations),
            },
            "attribute": first.name,
            "also_corrected": [of.name for of in others],
            "value": next(iter(first.labels.values())),
            "model": run.config.model,
        }
        made_from = self._made_from(bench)
        provenance = run.provenance("methods", made_from, seed=config.seed)
        write_table(run.folder / TABLE, _table(methods), provenance)
        write_json(run.folder / RESULT, figures, run.provenance("comparison", made_from))

    def result(self, run: Run) -> Answer:
        """Read what was measured; `figures.text.tables` writes the table."""
        figures = read_json(run.folder / RESULT, kind="comparison")[0]
        return Answer(f"{len(figures['methods'])} methods compared", figures)

    def _bench(self, run: Run) -> Bench:
        return Bench(run, self._n_images or run.config.generate.n_images)

    def _made_from(self, bench: Bench) -> str:
        names = self.names(bench.run)
        rows = (row_made_from(bench, name) for name in names)
        of_runs = ("features", "calibration", "clip_margin", "recognition_margin")
        of_rows = ("faces", "face_margin")
        settings = settings_line(bench.run.config.evaluate, without=(*of_runs, *of_rows))
        return hash_parts("compare, best baseline", INTERVALS, settings, *names, *rows)


def _table(methods: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """One row a method and figure: ``name, keeps_explicit, figure, value, low, high, floor``."""
    rows = []
    for of in methods:
        for figure, found in of.items():
            if isinstance(found, dict) and {"value", "low", "high"} <= set(found):
                limits = {key: float(found[key]) for key in ("value", "low", "high")}
                shared = {"name": of["name"], "keeps_explicit": of["keeps_explicit"]}
                floor = float(found.get("floor", float("nan")))
                rows.append({**shared, "figure": figure, **limits, "floor": floor})
    return pd.DataFrame(rows)
