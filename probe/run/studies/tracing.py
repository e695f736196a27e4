"""Where in the encoder the bias first appears, and which token and head carry it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pandas as pd

from probe.io.artifacts import write_table
from probe.run.folder import Run, stale_files
from probe.run.studies.study import Study, StudyResult, bracketed

TRACE = "latent/trace.parquet"
PATCHING = "latent/patching.parquet"
HEADS = "latent/heads.parquet"
RESULT = "latent/trace.json"


class Tracing(Study):
    """Record the states of all prompts, measure the bias in each, and patch them one by one."""

    name = "tracing"
    file = RESULT

    def stale(self, run: Run) -> str | None:
        """Look at every file; what cannot be patched has two only."""
        made_from = self.made_from(run)
        if why := stale_files(run, made_from, TRACE, RESULT):
            return why
        is_patched = self.result(run).figures["strongest_head"] is not None
        return stale_files(run, made_from, PATCHING, HEADS) if is_patched else None

    def make(self, run: Run) -> None:
        """Write the tables and the result."""
        from probe.latent.tracing import trace, where_it_appears
        from probe.latent.tracing.counterfactuals import find_counterfactuals
        from probe.latent.tracing.heads import attribute_heads
        from probe.latent.tracing.patching import patch_states

        config, made_from = run.config.probe, self.made_from(run)
        drawing: dict[str, Any] = {"resampling": config.resampling}
        encoder = run.load_encoder()
        table = trace(encoder, run.prompts, **drawing)
        first = where_it_appears(table)
        tables = {TRACE: table}
        said = run.prompts.select(group=["male", "female"])
        left_out = find_counterfactuals(encoder, said).left_out
        if len(left_out) < len(run.prompts.pairs()[0]):
            tables[PATCHING] = patch_states(encoder, said, **drawing).table
            tables[HEADS] = attribute_heads(encoder, said, **drawing)
        for path, content in tables.items():
            kind = path.removeprefix("latent/").removesuffix(".parquet")
            write_table(run.folder / path, content, run.provenance(kind, made_from))
        lines, figures = _carriers(tables)
        if len(left_out):
            reason = left_out["reason"].iloc[0]
            lines.append(f"{len(left_out)} pairs were not patched, the first because of {reason}")
        sentence = "no state stands clear of its control" if first is None else first.sentence()
        figures |= {
            "first": None if first is None else asdict(first),
            "n_left_out": len(left_out),
        }
        self.keep(run, StudyResult([sentence, *lines], figures))


def _carriers(tables: dict[str, pd.DataFrame]) -> tuple[list[str], dict[str, Any]]:
    """Say which token carries the difference in each layer, and which head the most of it."""
    if PATCHING not in tables:
        return [], {"carriers": [], "strongest_head": None}
    patching, heads = tables[PATCHING], tables[HEADS]
    stream = patching[(patching["site"] == "residual") & (patching["position"] != "all")]
    carriers = stream.loc[stream.groupby("layer")["value"].idxmax()]
    of_heads = heads[heads["site"] == "head"]
    strongest = of_heads.loc[of_heads["value"].idxmax()].to_dict()
    by_layer = (f"{row.layer} {row.position} ({row.value:.2f})" for row in carriers.itertuples())
    lines = [
        f"the token that carries the difference, by layer: {', '.join(by_layer)}",
        f"the strongest head by {strongest['measure']} is layer {strongest['layer']}, head "
        f"{strongest['head']}: " + bracketed(*(strongest[end] for end in ("value", "low", "high"))),
    ]
    return lines, {"carriers": carriers.to_dict("records"), "strongest_head": strongest}
