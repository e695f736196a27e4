"""LEACE on the prompt embedding: no linear probe of a state tells the gender afterwards."""

from __future__ import annotations

from probe.baselines.lookup import Lookup
from probe.baselines.method import Material, Method
from probe.baselines.states import EditedStates, OnlyOpen, said_states
from probe.latent.erasure.leace import LeaceEraser


def build(material: Material) -> Method:
    """Fit LEACE on the states of explicit prompts, and edit those of every prompt.

    References
    ----------
    Belrose et al., *LEACE: Perfect linear concept erasure in closed form*, NeurIPS 2023, theorem
    4.3. That it is fitted on the states of all positions together, and applied to all but the
    start of text, is our choice.
    """
    eraser = LeaceEraser().fit(*said_states(material))
    n_weights = int(eraser.probes_.size + eraser.moves_.size + eraser.center_.size)
    return Method(EditedStates(eraser.transform), n_trainable=n_weights)


def build_gated(material: Material) -> Method:
    """Do the same to open prompts alone; the look-up in place of a gate is our addition."""
    method = build(material)
    gated = OnlyOpen(method.intervention, Lookup(material.lexicon).is_open)
    return Method(gated, n_trainable=method.n_trainable)
