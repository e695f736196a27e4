"""Stage 3: the gate, the token and the experts, and what they do to every prompt of the run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.errors import OptionError
from probe.io import distributed
from probe.io.files import hash_file, hash_parts
from probe.io.settings import settings_line
from probe.moesd.config import TrainConfig
from probe.run.files import DIRECTION, EMBEDDED, GATE, MOESD, correction_files
from probe.run.folder import Run, is_kept_folder, locked, stale_files
from probe.run.registry import Answer, Stage, register
from probe.run.stages.fit import complete_map, read_direction, stale_map, vectors
from probe.stats.notation import percent
from probe.text.checkpoints import text_encoders
from probe.text.concepts import attribute_files
from probe.text.languages import language_of
from probe.text.lexicon import SPLIT_NAMES

if TYPE_CHECKING:
    from probe.moesd.gate import Gate
    from probe.moesd.model import MoESD
    from probe.text.attributes import Attribute
    from probe.text.encoder import TextEncoder

CHECKPOINT = f"{MOESD}/checkpoint.safetensors"


@register
class Train(Stage):
    """Train the correction, then run every prompt through it."""

    name = "train"
    about = "Train the gate, the token and the experts that correct RUN's model."
    requires = ("fit",)
    settings = TrainConfig

    def imported(self, run: Run, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Copy image-caption pairs into the run."""
        if not (given := settings.get("examples")) or is_kept_folder(run, given):
            return settings
        from probe.run.images import keep_examples

        with locked(run.folder, is_shared=True), distributed.first_before_others():
            return {**settings, "examples": keep_examples(run, Path(given))}

    def check(self, run: Run) -> None:
        """Refuse an objective on images for a model whose denoiser it cannot train, and others."""
        _check_denoiser(run)
        if run.config.train.precision == "fp16" and run.device == "cpu":
            raise OptionError("precision is fp16 on a CPU; choose bf16 or fp32, or --device cuda")
        if run.config.train.encoders == "all" and len(text_encoders(run.model_folder)) < 2:
            raise OptionError(
                f"encoders is 'all' and {run.model_folder} has one text encoder; set it to 'one'"
            )

    def stale(self, run: Run) -> str | None:
        """Look at every file, and whether the map shows the corrected prompts."""
        made_from = self.made_from(run)
        why = stale_files(run, made_from, *correction_files(run.config), GATE)
        return why or stale_map(run, completed=made_from)

    def make(self, run: Run) -> None:
        """Write the correction unless it is up to date, its gate's table and the completed map."""
        from probe.io.artifacts import write_table
        from probe.run.measured_experts import measure_experts

        made_from, seed = self.made_from(run), run.config.train.seed
        if stale_files(run, made_from, *correction_files(run.config)):
            moesd = train_correction(run, is_resumable=True)
            if distributed.is_first():
                moesd = measure_experts(run, moesd)
                moesd.save(run.folder / MOESD, run.provenance("moesd", made_from, seed=seed))
        else:
            moesd = run.load_correction()
        if distributed.is_first():
            _checkpoint(run).remove()
            corrected = moesd.embed(run.prompts.prompts)
            table = _gate_table(run, moesd, vectors(run), corrected)
            write_table(run.folder / GATE, table, run.provenance("gate", made_from, seed=seed))
            complete_map(run, corrected, made_from=made_from)
        distributed.barrier()

    def result(self, run: Run) -> Answer:
        """Read the gate's table.

        By split: the accuracy of both gates, the share of prompts for which the trained gate was
        not sure enough to open, and the RMS bias score of neutral prompts after, over before.
        """
        import numpy as np

        from probe.io.artifacts import read_json, read_table
        from probe.run.images import n_examples
        from probe.run.routing import attributes_of

        table, _ = read_table(run.folder / GATE, kind="gate")
        accuracy: dict[str, dict[str, float]] = {"closed": {}, "trained": {}}
        left, abstained, n = {}, {}, n_examples(run)
        chance = 1 / (3 if (table["route_truth"] == "open").any() else 4)  # classes
        lines = [f"trained on {n} images; chance is {percent(chance, 0)} for the gate"]
        if (language := language_of(run.lexicon)) is not None:
            lines.append(
                f"prompts in {language.name}: the gate's English word lists, lessons and rules are "
                "off; it decides by the encoder's states alone"
            )
        for split, name in SPLIT_NAMES.items():
            if split == "validation" and run.config.train.reads_validation:
                name += " (the gate knows them)"
            rows = table[(table["split"] == split) & (table["group"] != "object")]
            for gate, by_split in accuracy.items():
                by_split[split] = float((rows[f"route_{gate}"] == rows["route_truth"]).mean())
            abstained[split] = float(rows["is_abstained"].mean())
            neutral = rows[rows["group"] == "neutral"]
            before = np.sqrt((neutral["bias_score"] ** 2).mean())
            left[split] = float(np.sqrt((neutral["bias_score_corrected"] ** 2).mean()) / before)
            lines.append(
                f"occupations, {name}: gate right in "
                f"{percent(accuracy['trained'][split])} of prompts (by thresholds alone "
                f"{percent(accuracy['closed'][split])}; unsure and left alone "
                f"{percent(abstained[split])}), bias score left {percent(left[split])}"
            )
        saved, _ = read_json(run.folder / MOESD / "config.json", kind="moesd")
        if run.config.train.is_taught and not saved.get("taught"):
            lines.append(
                "the experts go as far as their words: the classifier that selects cannot teach "
                "them, since it knows no occupations or passes no gradients (docs/attributes.md)"
            )
        lines += _measured_lines(saved, attributes_of(run))
        found = {"gate_accuracy": accuracy, "bias_score_left": left, "n_examples": n}
        return Answer("\n".join(lines), found | {"abstained": abstained})

    def made_from(self, run: Run) -> str:
        """Hash of the settings and inputs."""
        # What the images were made with is in the hash of the images.
        settings = settings_line(run.config.train, without=("guidance_scale",))
        config = run.config.train
        named = filter(None, (config.attributes, config.keep))
        of = [hash_file(path) for names in named for path in attribute_files(names)]
        if (language := language_of(run.lexicon)) is not None:
            of.append(repr(language))
        return hash_parts("train, reads validation", settings, *_inputs(run), *_lessons(), *of)


def train_correction(
    run: Run,
    *,
    encoder: TextEncoder | None = None,
    pipeline: Any = None,
    gate: Gate | None = None,
    others: Sequence[TextEncoder] = (),
    is_resumable: bool = False,
) -> MoESD:
    """Train what the settings of a run ask for, and write nothing but the training images.

    Models that are open and a gate that is fitted already can be given; ``others`` are the model's
    text encoders but that of the run, which are used if all are corrected. A resumable training
    keeps its state in the run.
    """
    from probe.moesd.training import train_moesd
    from probe.run.images import make_examples, training_prompts
    from probe.run.routing import attributes_of
    from probe.run.teaching import teacher_of

    _check_denoiser(run)
    config = run.config.train
    direction, projection = read_direction(run)
    encoder = run.load_encoder() if encoder is None else encoder
    others = (others or run.load_other_encoders()) if config.encoders == "all" else ()
    examples, teacher = None, teacher_of(run)
    if pipeline is None and (config.needs_pictures or teacher is not None):
        pipeline = run.load_pipeline(is_plain=True, encoders=[encoder, *others])
    if config.needs_pictures:
        with distributed.first_before_others():
            examples = make_examples(run, pipeline)
    return train_moesd(
        encoder,
        training_prompts(run),
        vectors(run),
        direction=direction,
        projection=projection,
        config=config,
        examples=examples,
        pipeline=pipeline,
        attributes=attributes_of(run),
        language=language_of(run.lexicon),
        gate=gate,
        others=others,
        teacher=teacher,
        checkpoint=_checkpoint(run) if is_resumable else None,
        progress=run.progress_on("training"),
    )


def _check_denoiser(run: Run) -> None:
    from probe.images.pipelines import check_family

    if run.config.train.needs_pictures:
        instead = "choose the objective counterfactual or latent, with side text"
        check_family(run.model_folder, f"the objective {run.config.train.objective}", instead)


def _lessons() -> list[str]:
    """Hashes of the files of the package that a gate learns from."""
    from probe.text.captions.vocabulary import FILES
    from probe.text.challenge_prompts import LESSONS

    return [hash_file(path) for path in (LESSONS, *FILES)]


def _inputs(run: Run) -> list[str]:
    from probe.run.images import examples_made_from
    from probe.run.measured_experts import measured_from
    from probe.run.teaching import taught_from

    examples = examples_made_from(run) if run.config.train.needs_pictures else ""
    later = filter(None, [measured_from(run), taught_from(run)])
    return [run.hashes(*EMBEDDED, DIRECTION), examples, *later]


def _measured_lines(saved: Mapping[str, Any], attributes: Sequence[Attribute]) -> list[str]:
    """Say what the draws of measured experts come to, as the classifier that selects sees it."""
    import numpy as np

    from probe.moesd.draws import read_measured
    from probe.text.attributes import cells_of

    lines, measured = [], read_measured(saved.get("measured", {}), attributes)
    if (of := measured.get(cells_of(attributes).name)) is None:
        return []
    n_values = [len(attribute.values) for attribute in attributes]
    reached = of.reached(np.full(n := math.prod(n_values), 1 / n)).reshape(n_values)
    for axis, attribute in enumerate(attributes):
        margin = np.moveaxis(reached, axis, 0).reshape(n_values[axis], -1).sum(axis=1)
        shares = ", ".join(map(" ".join, zip(attribute.values, map(percent, margin), strict=True)))
        lines.append(
            f"{attribute.name}: nearest to even that its experts come, of {len(of.shares)} "
            f"occupations: {shares}"
        )
    if len(attributes) > 1:
        lines.append(f"the least cell: {percent(reached.min())} ({percent(1 / n)} is even)")
    return lines


def _checkpoint(run: Run) -> Any:
    from probe.moesd.checkpoint import KIND, Checkpoint

    config = run.config.train
    made = run.provenance(KIND, hash_parts(*_inputs(run)), seed=config.seed)
    return Checkpoint(run.folder / CHECKPOINT, made, settings=asdict(config))


def _gate_table(run: Run, moesd: Any, z: Any, corrected: Any) -> Any:

    from probe.moesd.gate import CLASSES_OF_OTHERS, true_classes

    table = run.prompts.table[["prompt", "group", "subject", "split"]]
    answers = moesd.classify(run.prompts.prompts, z)
    truth = true_classes(
        run.prompts, answers["bias_score"].to_numpy(), neutral_below=moesd.gate.skewed_above
    )
    if not moesd.gate.is_about_gender:
        explicit, opened, neutral = CLASSES_OF_OTHERS
        of = {"object": neutral, "neutral": opened}
        # No prompt of a lexicon states another attribute than gender.
        stated = explicit if moesd.gate.attributes[0].is_gender else opened
        truth = table["group"].map(of).fillna(stated).to_numpy()
    return table.assign(
        **{name: answers[name].to_numpy() for name in answers.columns if name != "prompt"},
        route_truth=truth,
        bias_score_corrected=moesd.gate.bias_score(corrected),
    )
