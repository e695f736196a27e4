"""Stage 4: pictures by the plain and by the corrected model, from the same noise."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from probe.images.plan import METADATA, GenerationPlan, read_metadata
from probe.io.artifacts import hash_parts, write_json
from probe.run.config import settings_line
from probe.run.folder import Run, stale_files
from probe.run.image_batches import draw_pictures
from probe.run.routing import intervention, target_line
from probe.run.stages.train import FOLDER as MOESD
from probe.run.stages.train import parts
from probe.text.lexicon import Lexicon

if TYPE_CHECKING:
    import torch

SIDES = ("base", "moesd")


@dataclass(frozen=True)
class GenerateResult:
    """How many pictures there are, and how many the correction leaves as they were."""

    n_images: int
    """Pictures of each side."""
    n_unchanged: int
    """Pictures that both sides share, bit for bit."""

    def summary(self) -> str:
        """One line."""
        return (
            f"{self.n_images} pictures of each model; the correction leaves {self.n_unchanged} as "
            "they were"
        )

    def to_json(self) -> dict[str, Any]:
        """Both counts."""
        return asdict(self)


class Generate:
    """Make every picture of the plan twice, from the same noise."""

    name = "generate"

    def stale(self, run: Run) -> str | None:
        """Look at the mark of each side, and whether each of its pictures is there."""
        made_from = self.made_from(run)
        if why := stale_files(run, made_from, *(_mark(side) for side in SIDES)):
            return why
        for side in SIDES:
            folder = run.folder / "images" / side
            if not (folder / METADATA).is_file():
                return f"images/{side}/{METADATA} does not exist yet"
            for name in read_metadata(folder)["file_name"]:
                if not (folder / name).is_file():
                    return f"images/{side}/{name} is missing"
        return None

    def make(self, run: Run) -> None:
        """Write the pictures of both sides; what is there already is not made again."""
        from probe.moesd.model import MoESD

        config, made_from = run.config.generate, self.made_from(run)
        pipeline = run.load_pipeline()
        moesd = MoESD.load(run.folder / MOESD, run.load_encoder())
        plan = GenerationPlan.build(run.lexicon, n_images=config.n_images, seed=config.seed)
        known: dict[str, torch.Tensor] = {}
        for side in SIDES:
            folder = run.folder / "images" / side
            (run.folder / _mark(side)).unlink(missing_ok=True)
            table = draw_pictures(
                run,
                pipeline,
                plan,
                folder,
                intervention=intervention(run, moesd, pipeline) if side == "moesd" else None,
                reuse=run.folder / "images" / "base" if side == "moesd" else None,
                known=known,
                told=f"{side} pictures",
            )
            provenance = run.provenance("images", made_from, seed=config.seed)
            write_json(run.folder / _mark(side), {"n_images": len(table)}, provenance)

    def result(self, run: Run) -> GenerateResult:
        """Compare the keys of both sides."""
        base, corrected = (
            read_metadata(run.folder / "images" / side).set_index("file_name")["key"]
            for side in SIDES
        )
        return GenerateResult(len(base), int((base == corrected.reindex(base.index)).sum()))

    def made_from(self, run: Run) -> str:
        """Hash of the settings and inputs."""
        return hash_parts(
            "generate",
            settings_line(run.config.generate),
            lexicon_line(run.lexicon),
            run.revision,
            run.hashes(*parts(run)),
            target_line(run),
        )


def lexicon_line(lexicon: Lexicon) -> str:
    """All words of a lexicon, to be hashed with what is made of them."""
    return repr(lexicon)


def _mark(side: str) -> str:
    return f"images/{side}/provenance.json"
