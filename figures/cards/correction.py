"""The model card of a correction that is given away."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from figures.cards.evidence import Evidence, hub_id
from figures.cards.markdown import plain, table
from figures.cards.results import eval_results
from figures.cards.section import bias_section

_USE = """\
```python
from diffusers import StableDiffusionPipeline
from probe import MoESD

pipeline = StableDiffusionPipeline.from_pretrained({model!r})
with MoESD.from_pretrained(FOLDER).attach(pipeline):
    image = pipeline("a photo of a nurse").images[0]
```
"""
_LIMITS = """\
- It corrects towards equal shares of two perceived genders; it knows no others.
- It was trained and measured on prompts about occupations; other prompts may pass uncorrected or be
  corrected where they should not be.
- It fits this text encoder, vocabulary and image model alone; any other is refused.
"""


def correction_card(run: Path) -> str:
    """Compose the model card of a run's correction: use, training, bias and limits."""
    from huggingface_hub import ModelCardData

    evidence = Evidence.gather(run)
    opened, model = evidence.run, evidence.model
    trained, held_out = (evidence.size(split)[0] for split in ("trained", "held_out"))
    data = ModelCardData(
        library_name="diffusers",
        base_model=hub_id(opened.config.model),
        tags=["text-to-image", "fairness", "moesd"],
        model_name=f"MoESD for {model}",
        eval_results=eval_results(evidence),
    )
    settings = [[name, plain(str(value))] for name, value in asdict(opened.config.train).items()]
    return (
        f"---\n{data.to_yaml()}\n---\n\n"
        f"# A MoESD correction for {plain(model)}\n\n"
        "A gate, a special token and expert adapters that change the prompts which lean to one "
        "gender, and leave all others alone. The base model's weights stay as they are.\n\n"
        f"{_USE.format(model=model)}\n"
        "## Trained on\n\n"
        f"Prompts about {trained} occupations; the other {held_out} of the lexicon taught nothing. "
        f"Base model revision `{opened.revision}`.\n\n"
        f"{table(['setting', 'value'], settings)}\n\n"
        f"{bias_section(evidence)}\n\n"
        f"## Limits of the correction\n\n{_LIMITS}"
    )
