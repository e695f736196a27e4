"""The pages of `results.py`: docs/results.md and the table of the README, from its CSV alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from probe.io.files import atomic
from probe.stats.confidence_limits import student
from probe.stats.multiplicity import holm
from probe.stats.notation import bracketed, number, p_value

ROOT = Path(__file__).parent.parent.parent
CSV = ROOT / "docs" / "results.csv"
README = ROOT / "README.md"
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
BASE, ORACLE = "base", "explicit-mixing"
RECOMMENDED, PAPER = "moesd-recommended", "moesd-paper"
OTHERS = "change of "
"""Prefix of the columns that hold the change of a share of another attribute."""
MARKS = {"prompts": " †", "words": " ‡"}
WORDS = {"none": "no", "training": "in training", "images": "for the images"}
_ROUNDING = 1e-12
NOT_MEASURED = "Not measured with this version yet: `make results` writes this table."

TARGETS = (
    ("MAD, times the base model's", "≤ 0.40", "mad_test_ratio", 2),
    ("the same on training occupations", "≤ 0.30", "mad_train_ratio", 2),
    ("MAD above the noise floor", "≤ 0.04", "above_floor", 3),
    ("occupation recognised, change in points", "within 1", "recognised_points", 2),
    ("explicit prompts followed, change in points", "within 1", "explicit_points", 2),
    ("other attributes, largest change of a share in points", "≤ 2", OTHERS, 2),
    ("CLIP score over captions of all kinds, change in %", "within 1", "captions_percent", 2),
    ("CLIP score of neutral prompts, change", "beside the oracle's", "clip_change", 2),
    ("images of explicit prompts and objects that change, %", "0", "changed_percent", 2),
    ("attached, gate closed: time added to an image, %", "≤ 2", "overhead_percent", 2),
)
"""What is asked, the target, column, decimals."""


def write_pages(csv: Path) -> None:
    """Write results.md beside the CSV; for the CSV of the repository, the README's table too."""
    table = read(csv)
    write(csv.with_suffix(".md"), page(table))
    if csv.resolve() == CSV:
        before, rest = README.read_text(encoding="utf-8").split(BEGIN)
        write(README, f"{before}{BEGIN}\n{readme_block(table)}\n{END}{rest.split(END)[1]}")


def read(csv: Path) -> pd.DataFrame:
    """Read the CSV, and add what follows from its columns, in the units of the page."""
    table = pd.read_csv(csv, converters={"oracle": str, "words": str})
    base = table[table["method"] == BASE].set_index(["split", "seed"])
    of_base = base.loc[pd.MultiIndex.from_frame(table[["split", "seed"]])]
    for group in ("test", "train"):
        name = f"mad_{group}"
        table[f"{name}_ratio"] = table[name].to_numpy() / of_base[name].to_numpy()
    table["above_floor"] = table["mad_test"] - table["floor"]
    for name in ("recognised_change", "explicit_change"):
        table[f"{name.removesuffix('_change')}_points"] = 100 * table[name]
    for name in ("captions_change", "changed", "overhead"):
        table[f"{name.removesuffix('_change')}_percent"] = 100 * table[name]
    return table


def readme_block(table: pd.DataFrame | None) -> str:
    """The README's table: the targets, for both recipes."""
    if table is None:
        return NOT_MEASURED
    columns = {"`recommended`": RECOMMENDED, "`paper`": PAPER}
    about = "[docs/results.md](docs/results.md) has all methods"
    if best := best_baseline(table):
        columns[_marked(table, best)] = best
        about += "; here, the best baseline stands beside ours"
        if "†" in _marked(table, best):
            about += " († a list tells it which occupations to correct, those of the test too)"
    rows = _targets(table, columns)
    return "\n".join([f"{sizes(table, list(columns.values()))} {about}.", "", *rows])


def page(table: pd.DataFrame) -> str:
    """Everything: targets, methods, and the two losses."""
    best, methods = _methods(table)
    columns = {"`recommended`": RECOMMENDED, "`paper`": PAPER, "oracle": ORACLE}
    if best:
        columns[_marked(table, best)] = best
    parts = [
        "# Results on tinytown",
        "Made by `make results`, from the rows of docs/results.csv; a laboratory model, and no "
        "evidence about any other. " + sizes(table),
        "## Targets",
        "\n".join(_targets(table, columns)),
        "The noise floor of the MAD is "
        f"{number(float(table['floor'].mean()))}. The oracle states the gender in the prompt. Of "
        "the other attributes, the value whose share changes most on average over splits; its "
        "interval is not adjusted for having been chosen.",
        "## Methods",
        "Every method draws the gender of each image independently, sees the same training images "
        "and captions, and chooses its settings on validation occupations. First the methods "
        "without gendered words. † knows which prompts are open, by a list with the test "
        f"occupations; ‡ oracle, which states the gender too. {_of_best(best)}",
        "\n".join(methods),
        "## The loss of the noise, and a teacher's",
        "The same experts with either loss: that of the noise of the training images (the "
        "paper's), or the distance to a teacher, the same model under the prompt that states the "
        "gender: to its text states (`moesd-recommended`) or its prediction "
        "(`moesd-paper-teacher`).",
        "\n".join(_losses(table)),
    ]
    return "\n\n".join(parts) + "\n"


def sizes(table: pd.DataFrame, shown: Sequence[str] = ()) -> str:
    """Say how much was measured, of the methods ``shown`` or all, and what intervals are over."""
    n_splits, n_seeds = table["split"].nunique(), table["seed"].nunique()
    text = (
        f"{n_splits} random {'split' if n_splits == 1 else 'splits'} of the occupations, "
        f"{n_seeds} {'training' if n_seeds == 1 else 'trainings'} of each, "
        f"{table['n_images'].max()} images of each occupation; test occupations in test templates."
    )
    runs = table.groupby("method").size()
    runs = runs[runs.index.isin(shown)] if shown else runs
    fewer = runs[runs < n_splits * n_seeds]
    by_number = [
        f"{', '.join(f'`{name}`' for name in names)} ({n}{' each' * (len(names) > 1)})"
        for n, names in sorted(fewer.index.groupby(fewer).items(), reverse=True)
    ]
    text += f" Methods with fewer trainings: {'; '.join(by_number)}." if by_number else ""
    if n_splits > 1:
        return f"{text} Means with 95 % intervals over splits."
    return f"{text} One split has no interval, and shows nothing about others."


def of_splits(table: pd.DataFrame, method: str, column: str) -> pd.Series:
    """The mean over trainings of a figure of a method, by split; empty if it was not measured."""
    return table[table["method"] == method].groupby("split")[column].mean().dropna()


def figure(values: pd.Series, digits: int) -> str:
    """Write the mean over splits with Student's interval: so few cannot be resampled."""
    if values.empty:
        return ""
    if len(values) == 1:
        return number(float(values.iloc[0]), digits)
    mean, half, _ = _student(values)
    if half == 0.0:
        return number(mean, digits)
    return bracketed(mean, mean - half, mean + half, digits=digits)


def _student(values: pd.Series) -> tuple[float, float, float]:
    """Mean, half of its 95 % interval (0 if all values are alike), and p of a mean of 0."""
    mean, error, freedom = float(values.mean()), float(values.sem()), len(values) - 1
    half = float(student(freedom)) * error if error > _ROUNDING else 0.0
    return mean, half, float(2 * stats.t.sf(abs(mean) / max(error, _ROUNDING), freedom))


def _cell(table: pd.DataFrame, method: str, column: str, digits: int) -> str:
    if column != OTHERS:
        return figure(of_splits(table, method, column), digits)
    names = [name for name in table if name.startswith(OTHERS)]
    of = {name: 100 * of_splits(table, method, name) for name in names}
    if not (measured := [name for name in names if not of[name].empty]):
        return ""
    largest = max(measured, key=lambda name: abs(of[name].mean()))
    return f"{largest.removeprefix(OTHERS)} {figure(of[largest], digits)}"


def _targets(table: pd.DataFrame, columns: dict[str, str]) -> list[str]:
    rows = [["", "asked", *columns]]
    for text, asked, column, digits in TARGETS:
        found = [_cell(table, name, column, digits) for name in columns.values()]
        rows.append([text, asked, *found])
    for text, column in (("trained weights", "n_trainable"), ("training images", "n_examples")):
        rows.append([text, "", *(_count(table, name, column) for name in columns.values())])
    found = (_count(table, name, "train_seconds") for name in columns.values())
    rows.append(["seconds of training, images included", "", *found])
    return markdown(rows)


def _methods(table: pd.DataFrame) -> tuple[str | None, list[str]]:
    of = table.drop_duplicates("method").set_index("method")
    mad = {name: of_splits(table, name, "mad_test").mean() for name in of.index}
    names = sorted(of.index, key=lambda name: (of.loc[name, "words"] != "none", mad[name]))
    best = best_baseline(table)
    tested = {} if best is None else differences(table, best, names)
    head = ["", "MAD", "times the base's", "difference to the best baseline", "recognised, points"]
    head += ["explicit, points", "other attributes, points", "all captions, %", "CLIP score"]
    head += ["gendered words", "weights", "images", "training, s", "an image, s"]
    rows = [head]
    figures = (
        ("mad_test", 3), ("mad_test_ratio", 2), ("", 0), ("recognised_points", 1),
        ("explicit_points", 1), (OTHERS, 1), ("captions_percent", 2), ("clip", 1),
    )  # fmt: skip
    for name in names:
        row = [_marked(table, name)]
        for column, digits in figures:
            found = _cell(table, name, column, digits) if column else tested.get(name, "")
            row.append(found)
        row.append(WORDS[of.loc[name, "words"]])
        row += [_count(table, name, column) for column in ("n_trainable", "n_examples")]
        row += [_count(table, name, "train_seconds")]
        row += [number(of_splits(table, name, "seconds_per_image").mean(), 2)]
        rows.append(row)
    return best, markdown(rows)


def best_baseline(table: pd.DataFrame) -> str | None:
    """The baseline with the lowest MAD on validation occupations that keeps what was asked for.

    That is, it loses at most 10 points of recognition and of explicit prompts on average.
    """
    found = {}
    for name in table["method"].unique():
        losses = (
            of_splits(table, name, f"{of}_points").mean() for of in ("recognised", "explicit")
        )
        is_ours = name in (BASE, ORACLE, "reweighting") or name.startswith("moesd")
        if not is_ours and min(losses) >= -10:
            found[name] = of_splits(table, name, "mad_validation").mean()
    return min(found, key=lambda name: found[name]) if found else None


def differences(table: pd.DataFrame, best: str, names: list[str]) -> dict[str, str]:
    """Paired difference of MAD of each method to the best baseline, over splits, with Holm's p."""
    reference, found = of_splits(table, best, "mad_test"), {}
    p_values = []
    for name in names:
        change = (of_splits(table, name, "mad_test") - reference).dropna()
        if name not in (BASE, ORACLE, best) and len(change) > 1:
            found[name] = figure(change, 3)
            p_values.append(_student(change)[2])
    adjusted = holm(np.array(p_values)) if found else ()
    return {
        name: f"{text}, {p_value(p)}"
        for (name, text), p in zip(found.items(), adjusted, strict=True)
    }


def _losses(table: pd.DataFrame) -> list[str]:
    rows = [["experts", "loss", "MAD, times the base's", "recognised, points"]]
    rows[0] += ["explicit, points", "other attributes, points", "all captions, %"]
    for experts, loss, name in (
        ("text states (`recommended`)", "teacher", RECOMMENDED),
        ("text states", "noise", "moesd-noise"),
        ("U-Net", "teacher", "moesd-paper-teacher"),
        ("U-Net (`paper`)", "noise", PAPER),
    ):
        columns = ("mad_test_ratio", "recognised_points", "explicit_points", OTHERS)
        found = [_cell(table, name, each, 2) for each in (*columns, "captions_percent")]
        rows.append([experts, loss, *found])
    return markdown(rows)


def _of_best(best: str | None) -> str:
    if best is None:
        return "No baseline was measured that keeps recognition and explicit prompts."
    return (
        f"The best baseline is `{best}`: the lowest MAD on validation occupations of those that "
        "lose at most 10 points of recognition and of explicit prompts. Differences to it are "
        "paired over splits; p by Holm over all of them."
    )


def _marked(table: pd.DataFrame, name: str) -> str:
    oracle = table.loc[table["method"] == name, "oracle"].iloc[0]
    return f"`{name}`{MARKS.get(oracle, '')}"


def _count(table: pd.DataFrame, name: str, column: str) -> str:
    values = of_splits(table, name, column)
    return "" if values.empty else f"{values.mean():,.0f}"


def markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    """A table, its head first."""
    head, *body = rows
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body)]


def write(path: Path, text: str) -> None:
    """Write a page whole."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
