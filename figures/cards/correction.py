"""The model card of a correction that is given away."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from figures.cards.evidence import Evidence, hub_id
from figures.cards.markdown import Markdown, render
from figures.cards.results import eval_results
from figures.cards.section import bias_section


def correction_card(run: Path) -> str:
    """Compose the model card of a run's correction: use, training, bias and limits."""
    from huggingface_hub import ModelCardData

    evidence = Evidence.gather(run)
    config = evidence.run.config
    data = ModelCardData(
        library_name="diffusers",
        base_model=hub_id(config.model),
        tags=["text-to-image", "fairness", "moesd"],
        model_name=f"MoESD for {evidence.model}",
        eval_results=eval_results(evidence),
    )
    text = render(
        "correction.md.j2",
        front_matter=Markdown(data.to_yaml()),
        model=evidence.model,
        model_literal=Markdown(repr(evidence.model)),
        n_trained=evidence.size("trained")[0],
        n_held_out=evidence.size("held_out")[0],
        revision=evidence.run.revision,
        settings=asdict(config.train),
        bias=bias_section(evidence),
    )
    return f"{text}\n"
