"""Where in the encoder the bias first appears, and which token and head carry it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pandas as pd

from probe.artifacts import write_table
from probe.experiment.run import Run, stale_files
from probe.experiment.studies.study import (
    StudyResult,
    bracketed,
    read_result,
    study_made_from,
    write_result,
)

TRACE = "latent/trace.parquet"
PATCHING = "latent/patching.parquet"
HEADS = "latent/heads.parquet"
RESULT = "latent/trace.json"


class Tracing:
    """Record the states of all prompts, measure the bias in each, and patch them one by one."""

    name = "tracing"
    before = "train"
    file = RESULT

    def stale(self, run: Run) -> str | None:
        """Look at every file."""
        return stale_files(run, self.made_from(run), TRACE, PATCHING, HEADS, RESULT)

    def make(self, run: Run) -> None:
        """Write the three tables and the result."""
        from probe.latent.tracing import trace, where_it_appears
        from probe.latent.tracing.heads import attribute_heads
        from probe.latent.tracing.patching import patch_states
        from probe.text.encoder import TextEncoder

        config, made_from = run.config.probe, self.made_from(run)
        drawing: dict[str, Any] = {"n_bootstrap": config.n_bootstrap, "seed": config.seed}
        encoder = TextEncoder.load(run.config.model, device=run.device)
        table = trace(encoder, run.prompts, **drawing)
        said = run.prompts.select(group=["male", "female"])
        patching = patch_states(encoder, said, **drawing)
        heads = attribute_heads(encoder, said, **drawing)
        first = where_it_appears(table)
        result = _result(
            asdict(first) if first is not None else None,
            first.sentence() if first is not None else "no state stands clear of its control",
            patching.table,
            heads,
            n_left_out=len(patching.left_out),
        )
        for path, content, kind in (
            (TRACE, table, "trace"),
            (PATCHING, patching.table, "patching"),
            (HEADS, heads, "heads"),
        ):
            write_table(run.folder / path, content, run.provenance(kind, made_from))
        write_result(run, RESULT, result, made_from)

    def result(self, run: Run) -> StudyResult:
        """Read the result."""
        return read_result(run, RESULT)

    def made_from(self, run: Run) -> str:
        """Hash of the settings and inputs."""
        return study_made_from(self.name, run)


def _result(
    first: dict[str, Any] | None,
    sentence: str,
    patching: pd.DataFrame,
    heads: pd.DataFrame,
    *,
    n_left_out: int,
) -> StudyResult:
    stream = patching[(patching["site"] == "residual") & (patching["position"] != "all")]
    carriers = stream.loc[stream.groupby("layer")["value"].idxmax()]
    strongest = heads[heads["site"] == "head"].sort_values("value", ascending=False).iloc[0]
    lines = [
        sentence,
        "the token that carries the difference, by layer: "
        + ", ".join(
            f"{row.layer} {row.position} ({row.value:.2f})" for row in carriers.itertuples()
        ),
        f"the strongest head by {strongest['measure']} is layer {strongest['layer']}, head "
        f"{strongest['head']}: {bracketed(*(strongest[e] for e in ('value', 'low', 'high')))}",
    ]
    if n_left_out:
        lines.append(f"{n_left_out} pairs whose tokens do not stand face to face were not patched")
    figures = {
        "first": first,
        "carriers": carriers.to_dict("records"),
        "strongest_head": strongest.to_dict(),
        "n_left_out": n_left_out,
    }
    return StudyResult(lines, figures)
