"""LEACE on the prompt embedding: no linear probe of a state can predict the gender."""

from __future__ import annotations

from probe.baselines import BASELINES
from probe.baselines.method import Material, Method
from probe.baselines.states import EditedStates, explicit_states, only_open
from probe.latent.erasure.leace import LeaceEraser


@BASELINES.register("leace")
def build(material: Material) -> Method:
    """Fit LEACE on the states of explicit prompts, and edit those of every prompt.

    References
    ----------
    Belrose et al., *LEACE: Perfect linear concept erasure in closed form*, NeurIPS 2023, theorem
    4.3. Fitting it on the states of all positions together, and applying it to all but the start of
    text, is our choice.
    """
    eraser = LeaceEraser().fit(*explicit_states(material))
    n_weights = int(eraser.probes_.size + eraser.moves_.size + eraser.center_.size)
    return Method(EditedStates(eraser.transform), n_trainable=n_weights)


@BASELINES.register("leace-lookup")
def build_gated(material: Material) -> Method:
    """Edit open prompts only; the look-up in place of a gate is our addition."""
    method = build(material)
    return Method(only_open(method.intervention, material.lexicon), n_trainable=method.n_trainable)
