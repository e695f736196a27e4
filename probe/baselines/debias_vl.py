"""DebiasVL: the calibrated projection of every state of the prompt."""

from __future__ import annotations

from probe.baselines import BASELINES
from probe.baselines.method import Material, Method
from probe.baselines.states import EditedStates
from probe.latent.erasure import CalibratedProjection


@BASELINES.register("debias-vl")
def build(material: Material, *, strength: float = 500.0) -> Method:
    """Fit ``P = (I + lambda M)^-1`` on pairs, and replace every state x by ``P x``.

    References
    ----------
    Chuang et al., *Debiasing Vision-Language Models via Biased Prompts*, arXiv 2302.00070,
    section 5: fitted on the normalised end-of-text states of "a photo of a male / female
    {occupation}" with lambda = 500, applied to all positions of every prompt. The pairs are the
    lexicon's.
    """
    male, female = material.prompts.pairs()
    z = material.encoder.embed(material.prompts.prompts)
    projection = CalibratedProjection(strength=strength).fit(z[male], z[female])
    n_weights = int(projection.basis_.size + projection.shrinkage_.size)
    return Method(EditedStates(projection.transform, first=0), n_trainable=n_weights)
