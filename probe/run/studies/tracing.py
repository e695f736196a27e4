"""Where in the encoder the bias first appears, and which token and head carry it."""

from dataclasses import asdict
from typing import Any

from probe.run.files import EMBEDDED
from probe.run.folder import Run
from probe.run.registry import Answer, register
from probe.run.study import Study, Tables
from probe.stats.notation import interval


@register
class Tracing(Study):
    """Record the states of all prompts, measure the bias in each, and patch them one by one."""

    name = "tracing"
    takes = "1 min"
    about = "the layer, token and attention head that carry the bias"
    tables = ("latent/trace.parquet", "latent/patching.parquet", "latent/heads.parquet")
    file = "latent/trace.json"
    is_english = True
    inputs = EMBEDDED

    def compute(self, run: Run) -> tuple[Tables, Answer]:
        """Return the trace and, where pairs can be patched, what each state and head restores."""
        from probe.latent.tracing import trace, where_it_appears
        from probe.latent.tracing.counterfactuals import find_counterfactuals
        from probe.latent.tracing.heads import attribute_heads
        from probe.latent.tracing.patching import patch_states

        drawing: dict[str, Any] = {"resampling": run.config.study.resampling}
        encoder, prompts = run.load_encoder(), run.prompts.measured
        table = trace(encoder, prompts, **drawing)
        first = where_it_appears(table)
        tables = {"trace": table}
        explicit = prompts.select(group=["male", "female"])
        left_out = find_counterfactuals(encoder, explicit).left_out
        if len(left_out) < len(prompts.pairs()[0]):
            tables["patching"] = patch_states(encoder, explicit, **drawing).table
            tables["heads"] = attribute_heads(encoder, explicit, **drawing)
        lines, figures = _carriers(tables)
        if len(left_out):
            reason = left_out["reason"].iloc[0]
            lines.append(f"{len(left_out)} pairs were not patched, the first because of {reason}")
        sentence = "no state exceeds its control" if first is None else first.sentence()
        figures["first"] = None if first is None else asdict(first)
        figures["n_left_out"] = len(left_out)
        return tables, Answer("\n".join([sentence, *lines]), figures)


def _carriers(tables: Tables) -> tuple[list[str], dict[str, Any]]:
    """Say which token carries the difference in each layer, and which head the most of it."""
    if "patching" not in tables:
        return [], {"carriers": [], "strongest_head": None}
    patching, heads = tables["patching"], tables["heads"]
    stream = patching[(patching["site"] == "residual") & (patching["position"] != "all")]
    carriers = stream.loc[stream.groupby("layer")["value"].idxmax()]
    of_heads = heads[heads["site"] == "head"]
    strongest = of_heads.loc[of_heads["value"].idxmax()].to_dict()
    by_layer = (f"{row.layer} {row.position} ({row.value:.2f})" for row in carriers.itertuples())
    lines = [
        f"the token that carries the difference, by layer: {', '.join(by_layer)}",
        f"the strongest head by {strongest['measure']} is layer {strongest['layer']}, head "
        f"{strongest['head']}: {interval(strongest)}",
    ]
    return lines, {"carriers": carriers.to_dict("records"), "strongest_head": strongest}
