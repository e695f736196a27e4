"""Stage 4: images by the base and by the corrected model, from the same noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from probe.errors import OptionError
from probe.io.artifacts import write_json
from probe.io.files import hash_parts
from probe.io.settings import DTYPES, OFFLOADS, Settings, seed_setting, setting, settings_line
from probe.moesd.router import MIN_EXPLAINED, ROUTERS
from probe.run.files import SIDES, correction_files
from probe.run.folder import Run, missing_file, stale_files
from probe.run.registry import Answer, Stage, register
from probe.run.routing import OWN, attributes_of, names_table, router_of, target_line
from probe.stats.share_shift import ShareShift

if TYPE_CHECKING:
    from probe.images.models.conditions import Conditions


@dataclass(frozen=True)
class GenerateConfig(Settings):
    """Which images are made, and how."""

    n_images: int = setting(
        50,
        "Images of each occupation; a quarter as many where the prompt says the gender.",
        minimum=1,
    )
    guidance_scale: float = setting(7.5, "Weight of the prompt; 1 is no guidance.", minimum=0)
    n_steps: int = setting(50, "Denoising steps of an image.", minimum=1)
    batch_size: int = setting(
        0, "Images denoised together; 0: by a GPU's free memory, on a CPU by size.", minimum=0
    )
    dtype: str = setting(
        "auto",
        "Precision of the weights: auto is that of the checkpoint on a GPU, and float32 on a CPU; "
        "float16 and bfloat16 take half the memory and are several times as fast on a GPU.",
        choices=DTYPES,
        is_later=True,
    )
    offload: str = setting(
        "none",
        "Weights that wait in the CPU's memory until a GPU needs them: none, model (one part of "
        "the pipeline computes at a time), or sequential (layer by layer: least memory, slowest).",
        choices=OFFLOADS,
        is_later=True,
    )
    compile: bool = setting(
        False, "Compile the denoiser: minutes once, then faster on a GPU.", is_later=True
    )
    routing: str = setting(
        OWN,
        "Routing of images to experts: default (that of the training objective), top1 (each "
        "prompt's expert), calibrated (likewise, as strong as the denoiser says is needed), "
        "bernoulli (the expert that each image's seed draws), stratified (likewise, spread evenly "
        "over consecutive seeds) or minimal (likewise, only as many as the base model is short "
        "of). Each objective serves some of them.",
        choices=(OWN, *ROUTERS),
    )
    base_images: int = setting(
        64,
        "Images by the base model of each prompt that is to be corrected, in which the classifier "
        "that selects counts what they show, for the routing minimal.",
        minimum=1,
        is_later=True,
    )
    strength: float = setting(
        1.0, "Share of the correction that is applied; 0 is the base.", minimum=0, maximum=1
    )
    target: str = setting(
        "parity",
        "Shares to reach, with any routing but top1: parity, labour (each occupation's share in "
        "the labour market), a share of women, or a table by subject (TOML), copied into RUN.",
        names_file=names_table,
    )
    guidance_slope: float = setting(
        0.0,
        "Slope of the log-odds under guidance, with which the routing calibrated predicts shares; "
        "the study mixture measures it. 0 takes the guidance scale.",
        minimum=0,
    )
    guidance_intercept: str = setting(
        "0",
        "What guidance adds to the log-odds of women, or of each value but the last, with commas; "
        "from the same study.",
    )
    min_explained: float = setting(
        MIN_EXPLAINED,
        "What explicit prompts must explain of the denoiser's neutral predictions (median R^2); "
        "the routing calibrated refuses a model of which they explain less.",
        minimum=0,
        maximum=1,
    )
    scored_on: str = setting(
        "test",
        "Split that is scored: test, or validation while settings are chosen. Then no occupation, "
        "object or template for testing is shown.",
        choices=("validation", "test"),
    )
    seed: int = seed_setting("Seed of the noise.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(self._intercepts) and not self.guidance_slope:
            raise OptionError(
                f"guidance_intercept is {self.guidance_intercept} without a guidance_slope; set "
                "both as the study mixture measured them"
            )

    def measured_guidance(self) -> ShareShift | None:
        """Return how guidance shifts shares, if it was measured."""
        slope, intercepts = self.guidance_slope, self._intercepts
        return ShareShift(slope, (*intercepts, 0.0) if any(intercepts) else ()) if slope else None

    @property
    def _intercepts(self) -> list[float]:
        try:
            found = [float(number) for number in self.guidance_intercept.split(",")]
        except ValueError:
            found = [math.nan]
        if not all(map(math.isfinite, found)):
            raise OptionError(
                f"guidance_intercept is {self.guidance_intercept!r}; needed numbers with commas, "
                "as the study mixture prints them"
            )
        return found


@register
class Generate(Stage):
    """Make every image of the plan twice, from the same noise."""

    name = "generate"
    about = "Make images with the base and the corrected model, from equal noise."
    requires = ("train",)
    settings = GenerateConfig

    def check(self, run: Run) -> None:
        """Read the target, and refuse a router that the experts cannot serve."""
        router_of(run)

    def stale(self, run: Run) -> str | None:
        """Look at the mark of each side, and whether each of its images is there."""
        from probe.images.plan import METADATA, read_metadata

        made_from = self.made_from(run)
        if why := stale_files(run, made_from, *(_mark(side) for side in SIDES)):
            return why
        for side in SIDES:
            folder = f"images/{side}"
            if why := missing_file(run, [f"{folder}/{METADATA}"]):
                return why
            names = read_metadata(run.folder / folder)["file_name"]
            if why := missing_file(run, (f"{folder}/{name}" for name in names)):
                return why
        return None

    def make(self, run: Run) -> None:
        """Write the images of both sides; what is there already is not made again."""
        from probe.images.plan import GenerationPlan
        from probe.run.images import make_images
        from probe.run.intervention import intervention

        config, made_from = run.config.generate, self.made_from(run)
        moesd = run.load_correction()
        pipeline = run.load_pipeline(encoders=moesd.encoders)
        plan = GenerationPlan.build(
            run.lexicon,
            n_images=config.n_images,
            seed=config.seed,
            split=config.scored_on,
            attributes=attributes_of(run),
        )
        # It is refused here if it cannot be had.
        corrected = intervention(run, moesd, pipeline, plan.table["prompt"])
        known: dict[str, Conditions] = {}
        for side in SIDES:
            (run.folder / _mark(side)).unlink(missing_ok=True)
            table = make_images(
                run,
                pipeline,
                plan,
                run.folder / "images" / side,
                intervention=corrected if side == "moesd" else None,
                reuse=run.folder / "images" / "base" if side == "moesd" else None,
                known=known,
                label=f"{side} images",
            )
            provenance = run.provenance("images", made_from, seed=config.seed)
            write_json(run.folder / _mark(side), {"n_images": len(table)}, provenance)

    def result(self, run: Run) -> Answer:
        """Compare the keys of both sides."""
        from probe.images.plan import read_metadata

        base, corrected = (
            read_metadata(run.folder / "images" / side).set_index("file_name")["key"]
            for side in SIDES
        )
        n_same = int((base == corrected.reindex(base.index)).sum())
        text = f"{len(base)} images of each model; the correction leaves {n_same} as they were"
        return Answer(text, {"n_images": len(base), "n_unchanged": n_same})

    def made_from(self, run: Run) -> str:
        """Hash of the settings and inputs."""
        from probe.run.intervention import counted_from

        return hash_parts(
            "generate",
            settings_line(run.config.generate, without=("offload", "compile")),
            repr(run.lexicon),
            run.revision,
            run.hashes(*correction_files(run.config)),
            target_line(run),
            *filter(None, [counted_from(run)]),
        )


def _mark(side: str) -> str:
    return f"images/{side}/provenance.json"
