"""The router of a correction: which expert corrects which image. It is saved with the experts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from probe.arrays import Double
from probe.errors import ArtifactError, OptionError, ProbeError
from probe.io.files import hash_parts
from probe.moesd.targets import Target
from probe.stats.notation import counted
from probe.stats.share_shift import ShareShift

CALIBRATED = "calibrated"
MINIMAL = "minimal"
ROUTERS = ("top1", CALIBRATED, "bernoulli", "stratified", MINIMAL)
_PRODUCERS = ("bernoulli", "stratified", MINIMAL, CALIBRATED)
_BALANCERS = ("top1", CALIBRATED)
SERVED: Mapping[str, tuple[str, ...]] = {
    "latent": _BALANCERS,
    "diffusion": _BALANCERS,
    "both": _BALANCERS,
    "noise": _BALANCERS,
    "counterfactual": _PRODUCERS,
}
"""Objective -> the routers that its experts can serve, its default one first. An expert that
produces one value turns a prompt's bias round if it gets all images of the prompt (``top1``); one
that shifts shares does not produce its value in each image that is drawn for it."""
MIN_EXPLAINED = 0.3
"""Default of `Router.min_explained`; docs/mixture.md has the measurement."""
_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 times the golden ratio's fraction, odd


@dataclass(frozen=True, eq=False)
class Router:
    """Decide which expert corrects each image of a prompt that opens the gate.

    ``top1``: the prompt's expert, by its bias score (the paper's). ``calibrated``: the experts of
    the values that a prompt lacks, as strong as the denoiser says is needed for the target.
    ``bernoulli``: each image's seed draws its expert with the target's shares, independently.
    ``stratified``: likewise, but the draws of consecutive seeds are spread evenly. ``minimal``: as
    ``stratified``, but only as many images as the base model is short of; all images of a prompt
    that is not `counted`. The route of an image depends on its prompt and its own seed, and on no
    other image.
    """

    kind: str = "top1"
    target: Target = field(default_factory=lambda: Target.parity(2))
    """Shares to reach, of the values of the first attribute or of the cells of all; with ``top1``
    always parity."""
    strength: float = 1.0
    """Share of the correction that is applied, from 0 (the base model) to 1."""
    guidance: ShareShift | None = None
    """How guidance shifts the predicted shares, as measured; None: `guidance_law`."""
    min_explained: float = MIN_EXPLAINED
    """What explicit prompts must explain of the denoiser's neutral predictions (median R^2) for
    ``calibrated``, which refuses a model otherwise; 0: nothing."""
    counted: Mapping[str, Double] = field(default_factory=dict)
    """Images of the base model that show each cell, by prompt, for ``minimal``."""

    def __post_init__(self) -> None:
        if self.kind not in ROUTERS:
            raise OptionError(f"routing is {self.kind!r}; needed one of {', '.join(ROUTERS)}")
        if not 0.0 <= self.strength <= 1.0:
            raise OptionError(f"strength is {self.strength}; needed a number from 0 to 1")
        asked = (self.target.default, *self.target.by_subject.values())
        if self.kind == "top1" and any((shares != shares[0]).any() for shares in asked):
            raise OptionError(
                "the routing is top1, which can only meet the target parity; choose another "
                f"routing for this target: {', '.join(ROUTERS[1:])}"
            )

    def check(self, objective: str, *, has_unet: bool) -> None:
        """Refuse experts that cannot serve this router by an `OptionError`."""
        if self.kind not in (served := SERVED[objective]):
            raise OptionError(
                f"the routing is {self.kind!r} but experts of the objective {objective!r} serve "
                f"only {', '.join(served)}; choose one of these, or train with another objective"
            )
        if has_unet and not (self.strength == 0 or (self.kind == "top1" and self.strength == 1)):
            raise OptionError(
                "the correction has experts in the U-Net, which only routing top1 at strength 1 "
                "uses; train with --side text for another routing or strength"
            )

    def check_attributes(self, n_values: Sequence[int]) -> None:
        """Refuse attributes, of so many values each, that this router cannot serve."""
        n_cells = math.prod(n_values)
        if self.kind == "top1" and list(n_values) != [2]:
            needed = "one attribute of two values"
        elif self.guidance and len(self.guidance.intercepts) not in (0, n_cells):
            found = counted(len(self.guidance.intercepts) - 1, "numbers")
            raise OptionError(
                f"guidance_intercept has {found}; needed {n_cells - 1}, as the study mixture of "
                "this run prints them"
            )
        elif any(of.size != n_cells for of in self.counted.values()):
            raise OptionError(f"images are not counted of {n_cells} values; needed one of each")
        elif (n := self.target.default.size) not in (n_values[0], n_cells):
            raise OptionError(
                f"the target has {n} shares and the corrected attribute {n_values[0]} values; "
                "needed one share per value"
            )
        else:
            return
        raise OptionError(
            f"the routing is {self.kind!r} and the correction is of {len(n_values)} attributes "
            f"with {', '.join(map(str, n_values))} values; needed {needed}: choose bernoulli or "
            "stratified"
        )

    def check_explained(self, explained: Double, objective: str) -> None:
        """Refuse a denoiser whose predictions explicit prompts do not explain (R^2 of prompts)."""
        if (median := float(np.median(explained))) >= self.min_explained:
            return
        others = [kind for kind in SERVED[objective] if kind != CALIBRATED]
        instead = f"choose another routing (generate --routing {'|'.join(others)})"
        if not others:
            instead = "train with another objective"
        raise OptionError(
            f"the routing {self.kind!r} asks the denoiser for shares, but explicit prompts explain "
            f"{median:.2f} of its neutral predictions (median of {len(explained)} prompts); needed "
            f"{self.min_explained:g}: {instead}, or lower generate.min_explained"
        )

    def shift(self, guidance_scale: float, *, n_values: int) -> ShareShift:
        """Return how guidance shifts the shares of so many values that the denoiser predicts.

        Of a prompt that is open in some attributes only, what was measured of all has the slope.
        """
        if self.guidance is None:
            return guidance_law(guidance_scale)
        if len(self.guidance.intercepts) in (0, n_values):
            return self.guidance
        return ShareShift(self.guidance.slope)

    def draw(self, prompt: str, seed: int, shares: Double) -> int:
        """Draw the stratum of an image, k with probability ``shares[k]``.

        A number u from [0, 1) is drawn, and the stratum is the part of [0, 1) that contains it.
        ``bernoulli``: u is a hash of prompt and seed. Otherwise ``u = frac(h + seed * phi)``, with
        h a hash of the prompt and phi the golden ratio, so that the counts of any n consecutive
        seeds are off by O(log n) images rather than by ``sqrt(n w (1 - w))``. Seeds that are
        random numbers, as those of a `GenerationPlan`, give independent draws.

        References
        ----------
        Niederreiter, *Random Number Generation and Quasi-Monte Carlo Methods*, SIAM 1992, chapter
        3; Knuth, *The Art of Computer Programming*, volume 3, section 6.4 (multiplicative hashing).
        """
        if self.kind == "bernoulli":
            number = _hashed(prompt, str(int(seed)))
        else:
            number = (_hashed(prompt) + int(seed) * _GOLDEN) % 2**64
        place = (number >> 11) / 2**53  # below 1, however it is rounded
        stratum = int(np.searchsorted(np.cumsum(shares), place, side="right"))
        # Rounding may leave the last edge just below the number.
        return min(stratum, int(np.flatnonzero(shares)[-1]))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Router:
        """Read the router that ``config.json`` of a correction holds, and check that it serves."""
        if "router" not in config:
            raise ArtifactError(
                "the correction was saved by an earlier version, without a router; train it again"
            )
        try:
            found = config["router"]
            default, by_subject = (found["target"][name] for name in ("default", "by_subject"))
            target = Target(
                np.array(default, float),
                {name: np.array(shares, float) for name, shares in by_subject.items()},
            )
            measured = found["guidance"] and ShareShift(
                found["guidance"]["slope"], tuple(found["guidance"]["intercepts"])
            )
            explained = found.get("min_explained", MIN_EXPLAINED)
            counted = {name: _counts(of) for name, of in found.get("counted", {}).items()}
            router = cls(found["kind"], target, found["strength"], measured, explained, counted)
            router.check(config["objective"], has_unet=config["unet"] is not None)
        except (KeyError, TypeError, AttributeError, ValueError, ProbeError) as error:
            raise ArtifactError(
                f"the router of the correction cannot be used ({error}); train it again"
            ) from error
        return router


def guidance_law(guidance_scale: float) -> ShareShift:
    """Return how guidance shifts shares if the empty prompt draws all values alike.

    Guidance samples from ``p(x | prompt)^w p(x)^(1 - w)``: with equal shares under ``p(x)`` a share
    q_k becomes ``q_k^w / sum_j q_j^w``. Neither tinytown nor any model
    whose counts are public obeys it (docs/mixture.md): measure a shift instead. A scale of 1 or
    less is no guidance.
    """
    return ShareShift(slope=max(1.0, guidance_scale))


def _counts(numbers: Sequence[float]) -> Double:
    counts = np.array(numbers, float)
    if counts.ndim != 1 or not ((counts >= 0) & np.isfinite(counts)).all() or not counts.any():
        raise ArtifactError(f"counted images are {numbers}; needed numbers from 0, not all 0")
    return counts


def _hashed(*parts: str) -> int:
    """Hash text to 64 bits, alike on every machine."""
    return int(hash_parts("route", *parts)[:16], 16)
