"""Corrections of more than gender on tinytown, over random splits of the occupations.

For each correction and each split this script trains `recommended` and makes the neutral images of
the occupations that no training has seen, with and without the correction, from the same noise. Of
gender alone it also makes images of prompts that state an age or a skin tone, a quarter as many of
each value. docs/attributes.md has the table. Run the same command again to resume: finished rows
are kept, and of an interrupted one the finished images.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import pandas as pd

from probe.images.intervention import Intervention
from probe.images.plan import GenerationPlan, planned_rows
from probe.run import Experiment
from probe.run.evaluation.corrected import Seen
from probe.run.evaluation.evaluators import SUBJECT, load_whole_classifier
from probe.run.folder import Run
from probe.run.images import make_images
from probe.run.intervention import intervention
from probe.stats.confidence_limits import student
from probe.stats.notation import bracketed, number
from probe.text.attributes import Attribute
from probe.text.concepts import load_attributes
from probe.text.templates import fill

KEEPING = " keeping "
CORRECTIONS = ("gender,skin_tone", "skin_tone", "age", "gender", f"gender{KEEPING}age,skin_tone")
ALL = load_attributes("gender,age,skin_tone")
ROWS = "rows.jsonl"


@click.command()
@click.option("--splits", default=5, show_default=True, help="Random splits of the occupations.")
@click.option("--n-images", default=100, show_default=True, help="Images of each occupation.")
@click.option("--only", multiple=True, type=click.Choice(CORRECTIONS), help="All if not given.")
@click.option("--folder", type=Path, default=Path("runs/attributes"), show_default=True)
@click.option("--reuse", type=Path, multiple=True, help="Folders with images of the base model.")
@click.option("--model", default="tinytown", show_default=True)
@click.option("--lexicon", type=Path, help="The shipped one if not given.")
@click.option("--done", is_flag=True, help="Make nothing; print what is done.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
def main(
    splits: int,
    n_images: int,
    only: tuple[str, ...],
    folder: Path,
    reuse: tuple[Path, ...],
    model: str,
    lexicon: Path | None,
    done: bool,
    as_json: bool,
) -> None:
    """Make the rows that are not there yet, then print their means over splits."""
    rows = read_rows(folder)
    for attributes in only or CORRECTIONS:
        for split in range(1, splits + 1):
            of = {"split": split, "corrected": attributes, "n_images": n_images}
            if done or any(of.items() <= row.items() for row in rows):
                continue
            run = trained(folder / f"split-{split}", attributes, split, model, lexicon)
            rows.append({**of, **measure(run, folder / f"split-{split}", n_images, reuse)})
            with (folder / ROWS).open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
            click.echo(f"split {split}, {attributes}: done", err=True)
    rows = [row for row in rows if row["n_images"] == n_images and row["split"] <= splits]
    click.echo(json.dumps(rows) if as_json else "\n".join(page(pd.DataFrame(rows))))


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """Read the rows that are done."""
    path = folder / ROWS
    return [*map(json.loads, path.read_text().splitlines())] if path.is_file() else []


def trained(path: Path, attributes: str, split: int, model: str, lexicon: Path | None) -> Run:
    """Start or resume the run of a split and a correction; the noise is that of all runs."""
    path = path / attributes.replace(",", "-").replace(" ", "-")
    attributes, _, keep = attributes.partition(KEEPING)
    experiment = Experiment.create(path, model=model, seed=0, lexicon=lexicon, split=split)
    experiment.set("generate", seed=0)
    experiment.set("train", attributes=attributes, keep=keep)
    for stage in (experiment.embed, experiment.fit, experiment.train):
        stage()
    return Run(path, experiment.config, device="cpu")


def measure(run: Run, shared: Path, n_images: int, reuse: Sequence[Path]) -> dict[str, float]:
    """Make and measure the images of one correction, beside those of the base model."""
    pipeline, classifier = run.load_pipeline(), load_whole_classifier(run)
    correction = run.load_correction()
    seen = _seen(run, classifier.attributes)

    def both(plan: GenerationPlan, name: str) -> Iterator[pd.DataFrame]:
        method = intervention(run, correction, pipeline, plan.table["prompt"])
        base = shared / f"base-{name}"
        for folder, of, made in ((base, None, reuse), (run.folder / name, method, [base])):
            yield _labelled(run, pipeline, classifier, plan, folder, of, made)

    tables = [*both(_neutral(run, n_images), "neutral")]
    row = {}
    for side, table in zip(("before", "after"), tables, strict=True):
        for name, of in seen.items():
            row[f"{name}_mad_{side}"] = _mad(table, of)
            for value, label in of.labels.items():
                row[f"{name}_{value}_{side}"] = float((table[of.name] == label).mean())
        row[f"recognised_{side}"] = float((table[SUBJECT] == table["job"]).mean())
        row[f"least_cell_{side}"] = _least_cell(table, seen["gender"], seen["skin_tone"])
    if run.config.train.attributes == "gender":
        for stated in ALL[1:]:
            tables = [*both(_stated(run, stated, n_images // 4 or 1), f"states-{stated.name}")]
            for side, table in zip(("before", "after"), tables, strict=True):
                is_kept = table[seen[stated.name].name] == table["asked"].map(
                    seen[stated.name].labels
                )
                row[f"{stated.name}_kept_{side}"] = float(is_kept.mean())
                row[f"{stated.name}_stated_mad_{side}"] = _mad(table, seen["gender"])
    return row


def _seen(run: Run, known: Any) -> dict[str, Seen]:
    """Find what the classifier calls the attributes, corrected or not."""
    config = run.config.evaluate
    gender = Seen(config.attribute, {"female": config.female, "male": config.male})
    return {of.name: gender if of.name == "gender" else Seen(*of.seen_by(known)) for of in ALL}


def _neutral(run: Run, n_images: int) -> GenerationPlan:
    lexicon, seed = run.lexicon, run.config.generate.seed
    table = GenerationPlan.build(lexicon, n_images=n_images, seed=seed, split="test").table
    is_test = table["subject"].map(lexicon.split_of) == "test"
    return GenerationPlan(table[is_test & (table["kind"] == "neutral")].reset_index(drop=True))


def _stated(run: Run, attribute: Attribute, n_images: int) -> GenerationPlan:
    neutral, rows = run.lexicon.templates["test"].neutral[0], []
    for job in run.lexicon.occupations_of("test"):
        for value, word in zip(attribute.values, attribute.words, strict=True):
            said = [fill(neutral, subject=f"{word} {job}")]
            of = planned_rows(value, job, said, n_images, run.config.generate.seed)
            rows += [{**row, "asked": value} for row in of]
    return GenerationPlan(pd.DataFrame(rows))


def _labelled(
    run: Run,
    pipeline: Any,
    classifier: Any,
    plan: GenerationPlan,
    folder: Path,
    method: Intervention | None,
    reuse: Sequence[Path],
) -> pd.DataFrame:
    images = make_images(run, pipeline, plan, folder, intervention=method, reuse=reuse or None)
    table = classifier.label([folder / file for file in images["file_name"]]).reset_index(drop=True)
    asked = images["asked"].to_numpy() if "asked" in images else ""
    return table.assign(job=images["subject"].to_numpy(), asked=asked)


def _mad(table: pd.DataFrame, seen: Seen) -> float:
    labels = [*seen.labels.values()]
    shares = pd.crosstab(table["job"], table[seen.name], normalize="index")
    shares = shares.reindex(columns=labels, fill_value=0.0)
    return float((shares - 1 / len(labels)).abs().to_numpy().mean())


def _least_cell(table: pd.DataFrame, first: Seen, second: Seen) -> float:
    cells = pd.crosstab(table[first.name], table[second.name], normalize=True)
    cells = cells.reindex([*first.labels.values()], columns=[*second.labels.values()], fill_value=0)
    return float(cells.to_numpy().min())


def page(table: pd.DataFrame) -> Iterator[str]:
    """Write the means over splits, with Student's 95 % intervals."""
    ratios = {f"MAD of {of.name}": f"{of.name}_mad" for of in ALL} | {"least cell": "least_cell"}
    for name in ("age", "skin_tone"):
        ratios[f"{name} kept where stated"] = f"{name}_kept"
        ratios[f"MAD of gender with {name} stated"] = f"{name}_stated_mad"
    for corrected, rows in table.groupby("corrected", sort=False):
        found = {
            f"{text}, ratio": rows[f"{name}_after"] / rows[f"{name}_before"]
            for text, name in ratios.items()
            if f"{name}_after" in rows
        }
        changes = {"recognised": "recognised"}
        for of in ALL:
            if of.name not in str(corrected).partition(KEEPING)[0]:
                changes |= {f"share of {value}": f"{of.name}_{value}" for value in of.values}
        for text, name in changes.items():
            found[f"{text}, change"] = rows[f"{name}_after"] - rows[f"{name}_before"]
        for text, values in found.items():
            if (values := values.dropna()).empty:
                continue
            mean, n = float(values.mean()), len(values)
            written = number(mean)
            if n > 1:
                half = float(values.sem() * student(n - 1))
                written = bracketed(mean, mean - half, mean + half, digits=3)
            yield f"{corrected} (n = {n}): {text} {written}"


if __name__ == "__main__":
    main()
