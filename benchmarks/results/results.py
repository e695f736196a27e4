"""Every target of the correction on tinytown, over random splits and trainings: `make results`.

For each random split of the occupations and each training seed, this script trains both recipes
and fits every baseline of `compare methods`, generates the images of occupations that no training
has seen, and measures them. It writes docs/results.csv (one row a split, seed and method),
docs/results.md and the table of the README, which are made from the CSV alone (`results_page.py`).

Run the same command again to resume: a method that is done is not made again, and of the one that
was interrupted the finished images are kept. Several processes, started in several terminals with
the same command, share the work. Equal images are made once, whichever split and seed need them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from results_page import BASE, CSV, ORACLE, OTHERS, PAPER, RECOMMENDED, write_pages

from probe.audit.measures import noise_floor
from probe.errors import BusyError
from probe.images.plan import GenerationPlan
from probe.io.files import atomic
from probe.run import Experiment
from probe.run.compare.material import FOLDER, Bench
from probe.run.compare.methods import all_methods
from probe.run.compare.rows import Seen, make_row, read_row, stale_row
from probe.run.evaluation.evaluators import SUBJECT_SEEN
from probe.run.evaluation.side_effects import CAPTIONS, over_captions
from probe.run.files import MOESD
from probe.run.folder import Run, locked
from probe.stats.resampling import Resampling
from probe.text.lexicon import SPLITS

LEFT_OUT = ("moesd",)  # the run's own correction is the recommended one
WHOLE = (BASE, RECOMMENDED, PAPER)
"""Methods that have images of the training occupations too."""
SAME_FOR_ALL = (BASE, ORACLE, "prompt-intervention", "fair-diffusion")
"""Methods that learn nothing: their images are those of any other split and seed."""
OF_SEED = ("lora",)
"""Baselines that are trained with a seed; images of others may equal those of the first seed."""
PROMPT = "a photo of a man working as a nurse"  # at which the gate is closed


@dataclass(frozen=True, eq=False)
class PartBench(Bench):
    """A bench on which some occupations have images."""

    splits: Sequence[str] = SPLITS
    has_others: bool = True
    """Whether there are images of explicit prompts and objects too."""

    @cached_property
    def plan(self) -> GenerationPlan:
        """The images of the occupations of some splits, and of objects."""
        table = super().plan.table
        if not self.has_others:
            table = table[table["kind"] == "neutral"]
        is_object = table["kind"] == "object"
        is_wanted = table["subject"].map(self.run.lexicon.split_of).isin(self.splits)
        return GenerationPlan(table[is_wanted | is_object].reset_index(drop=True))


@click.command()
@click.option("--splits", default=5, show_default=True, help="Random splits of the occupations.")
@click.option("--seeds", default=3, show_default=True, help="Trainings of each split.")
@click.option("--n-images", default=100, show_default=True, help="Images of each occupation.")
@click.option("--only", multiple=True, help="Only this method, beside base; all if not given.")
@click.option("--folder", type=Path, default=Path("runs/results"), show_default=True)
@click.option("--docs", type=Path, default=CSV.parent, help="Where the results are written.")
@click.option("--model", default="tinytown", show_default=True)
@click.option("--lexicon", type=Path, help="The shipped one if not given.")
@click.option("--set", "settings", multiple=True, help="Setting, as train.latent_steps=2.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--done", is_flag=True, help="Make nothing: write what is done, and only that.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
def main(
    splits: int,
    seeds: int,
    n_images: int,
    only: tuple[str, ...],
    folder: Path,
    docs: Path,
    done: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train, generate and measure what is not there yet, then write CSV and pages."""
    names = [name for name, of in all_methods().items() if not of.through and name not in LEFT_OUT]
    names = [name for name in names if not only or name in (*only, BASE)]
    cells = [(split, seed) for split in range(1, splits + 1) for seed in range(seeds)]
    rows, n_busy = [], 0
    for number, (split, seed) in enumerate(cells, start=1):
        path = folder / f"split-{split}-seed-{seed}"
        if done and not (path / MOESD / "config.json").is_file():
            continue
        try:
            with locked(path / FOLDER):
                run = trained(path, split=split, seed=seed, n_images=n_images, **options)
                for row in methods(run, names, n_images, only_done=done):
                    rows.append({"split": split, "seed": seed, "n_images": n_images, **row})
                    click.echo(f"{number} of {len(cells)}, {path.name}: {row['method']}", err=True)
        except BusyError:
            n_busy += 1
    if n_busy and not done:
        click.echo(f"{n_busy} of {len(cells)} runs are made by another process; run it again")
        return
    if not rows:
        raise click.UsageError(f"nothing is done in {folder} yet; leave out --done")
    table = pd.DataFrame(rows)
    overhead = attached(folder / "overhead.json", options["model"])
    is_measured = table["method"] == RECOMMENDED
    table["overhead"] = np.where(is_measured, overhead, np.nan)
    with atomic(docs / CSV.name) as temporary:
        table.to_csv(temporary, index=False, float_format="%.5g")
    write_pages(docs / CSV.name)
    if as_json:
        click.echo(json.dumps(rows))


def trained(
    path: Path,
    *,
    split: int,
    seed: int,
    n_images: int,
    model: str,
    lexicon: Path | None,
    settings: Sequence[str],
    device: str,
) -> Run:
    """Start or resume the run of a split and seed; the noise of its images is that of all runs."""
    experiment = Experiment.create(
        path, model=model, seed=seed, lexicon=lexicon, split=split, device=device
    )
    experiment.set("generate", seed=0, n_images=n_images, scored_on="test")
    for text in settings:
        name, value = text.split("=")
        stage, name = name.split(".")
        kind = type(getattr(getattr(experiment.config, stage), name))
        experiment.set(stage, **{name: kind(value)})
    for stage in (experiment.choose_encoder, experiment.embed, experiment.fit, experiment.train):
        stage()
    return Run(path, experiment.config, device=device)


def methods(
    run: Run, names: Sequence[str], n_images: int, *, only_done: bool = False
) -> Iterator[dict[str, Any]]:
    """Make and measure one method after the other, the base first."""
    whole, part = PartBench(run, n_images), PartBench(run, n_images, splits=SPLITS[1:])
    for name in (BASE, *(name for name in names if name != BASE)):
        bench = whole if name in WHOLE else part
        is_stale = stale_row(bench, name) is not None
        if is_stale and only_done:
            if name == BASE:
                return
            continue
        if is_stale:
            link_images(run.folder, name)
            make_row(bench, name)
        seen, base = read_row(bench, name), read_row(whole, BASE)
        yield {"method": name, **costs(seen), **measure(run, base.labels, seen.labels)}


def link_images(folder: Path, name: str) -> None:
    """Link images of other runs that may be the same; those of another key are made anew."""
    others = "split-*" if name in SAME_FOR_ALL else f"{folder.name.split('-seed-')[0]}-seed-0"
    if name.startswith("moesd-") or name in OF_SEED:
        return
    for source in sorted(folder.parent.glob(f"{others}/{FOLDER}/{name}")):
        for image in source.rglob("*.png"):
            target = folder / FOLDER / name / image.relative_to(source)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                os.link(image, target)


def costs(seen: Seen) -> dict[str, Any]:
    """What a method learned from, knows and takes."""
    kept = ("words", "oracle", "n_trainable", "n_examples", "train_seconds")
    return {
        **{name: seen.row[name] for name in kept},
        "seconds_per_image": seen.row["seconds_per_image"]["value"],
    }


def measure(run: Run, base: pd.DataFrame, labels: pd.DataFrame) -> dict[str, float]:
    """Measure a method against the base model, from images of equal noise.

    All but ``mad_train`` and ``mad_validation`` are of test occupations and objects.
    """
    config = run.config.evaluate
    asked = {"female": config.female, "male": config.male}
    found = {f"mad_{split}": _mad(labels, split, config) for split in SPLITS}
    test = labels[labels["split"] == "test"]
    before = base[base["file_name"].isin(test["file_name"])]
    means = [
        {
            "recognised": _mean(of, "neutral", of[SUBJECT_SEEN] == of["subject"]),
            "explicit": _mean(of, *asked, is_hit=of[config.attribute] == of["kind"].map(asked)),
            "clip": _mean(of, "neutral", of["clip_score"]),
        }
        for of in (before, test)
    ]
    found |= {f"{name}_change": means[1][name] - means[0][name] for name in means[0]}
    keys = before.set_index("file_name")["key"].reindex(test["file_name"])
    is_changed = pd.Series(keys.to_numpy() != test["key"].to_numpy(), index=test.index)
    found["changed"] = _mean(test, *asked, "object", is_hit=is_changed)
    found |= _others(before, test, config.attribute)
    change = over_captions(before, test, explicit=list(asked), resampling=Resampling(2))
    kinds = before["kind"].replace(dict.fromkeys(asked, "explicit"))
    by_kind = before.groupby([kinds, "subject"])["clip_score"].mean().groupby("kind").mean()
    scores = by_kind.reindex(list(CAPTIONS))
    mixture = float(np.average(scores, weights=list(CAPTIONS.values())))
    found["captions_change"] = change["value"] / mixture if change else np.nan
    n = max(1, int(test[test["kind"] == "neutral"].groupby("subject").size().median()))
    return found | {"clip": means[1]["clip"], "floor": noise_floor(n)["mad"]}


def _mad(labels: pd.DataFrame, split: str, config: Any) -> float:
    neutral = labels[(labels["kind"] == "neutral") & (labels["split"] == split)]
    is_female = neutral[config.attribute] == config.female
    return float((is_female.groupby(neutral["subject"]).mean() - 0.5).abs().mean())


def _mean(labels: pd.DataFrame, *kinds: Any, is_hit: Any = None) -> float:
    """Mean over subjects, of the images of some kinds."""
    if is_hit is None:
        *kinds, is_hit = kinds
    wanted = labels["kind"].isin(kinds)
    return float(is_hit[wanted].astype(float).groupby(labels["subject"][wanted]).mean().mean())


def _others(before: pd.DataFrame, after: pd.DataFrame, attribute: str) -> dict[str, float]:
    """Change of the share of each value of the other attributes, in neutral images."""
    confidences = {name for name in before if name.endswith("_confidence")}
    names = {name.removesuffix("_confidence") for name in confidences}
    neutral = [of[of["kind"] == "neutral"] for of in (before, after)]
    changes = {}
    for name in sorted(names - {attribute, SUBJECT_SEEN}):
        base, other = (of[name].value_counts(normalize=True) for of in neutral)
        change = other.sub(base, fill_value=0.0)
        changes |= {f"{OTHERS}{value} ({name})": float(change[value]) for value in change.index}
    return changes


def attached(path: Path, model: str) -> float:
    """Return what an attached correction with a closed gate adds to the time of an image."""
    if not path.is_file():
        script = Path(__file__).parent.parent / "attach.py"
        command = [sys.executable, str(script), "--model", model, "--prompt", PROMPT, "--json"]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        with atomic(path) as temporary:
            temporary.write_text(found)
    return float(json.loads(path.read_text())["cpu_correction_share"])


if __name__ == "__main__":
    main()
