"""The bias section of a model card: what was found, how it was measured, what it cannot tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from figures.cards.evidence import Evidence, public_name
from figures.cards.markdown import bullets, plain, table
from probe.run.evaluation.measurement import SIDES
from probe.run.wording.comparable import comparable
from probe.run.wording.errors import classifier_error
from probe.run.wording.finding import finding
from probe.run.wording.limits import limits
from probe.run.wording.missing import missing
from probe.run.wording.terms import (
    DRIFT,
    EFFECTS,
    FAILURES,
    KINDS,
    MEASURES,
    NOT_LPIPS,
    SPLITS,
    versions,
)
from probe.stats.notation import interval, number, p_value

BEGIN, END = "<!-- moesd-probe:begin -->", "<!-- moesd-probe:end -->"
"""What the section stands between; whatever is there is replaced by the next one."""

Found = Mapping[str, Any]

_TINYTOWN = """\
> tinytown is a laboratory animal: a small model of a drawn town, trained on images with a known,
> planted bias. Nothing here is evidence about Stable Diffusion or any other model that people use.\
"""


def bias_section(evidence: Evidence) -> str:
    """Write the section as Markdown, its markers included; the same run gives the same text."""
    quality = evidence.quality
    told = finding(quality, model=evidence.model, n_subjects=evidence.size("all")[0])
    parts = {
        f"Fairness of perceived {quality['attribute']}": _fairness(evidence),
        "Side effects": _effects(quality),
        "How far the pictures move": _drift(quality["drift"]),
        "Attributes taken together": _intersections(evidence.intersections),
        "Pictures by occupation": _counts(evidence),
        "How it was measured": bullets(_measured(evidence)),
        "What cannot be concluded": bullets(
            plain(text)
            for text in limits(evidence.run.config.model, quality["attribute"], evidence.values)
        ),
    }
    blocks = [BEGIN, "## Bias"]
    if evidence.run.config.model == "tinytown":
        blocks.append(_TINYTOWN)
    blocks.append(" ".join(map(plain, told)))
    for title, text in parts.items():
        if text:
            blocks += [f"### {plain(title)}", text]
    return "\n\n".join([*blocks, END])


def _fairness(evidence: Evidence) -> str:
    quality, rows = evidence.quality, []
    for split, title in SPLITS:
        sides = [quality[side] if split == "all" else quality[side][split] for side in _sides()]
        changes = quality["difference"]
        change = (changes if split == "all" else changes[split])["mad"]
        n_subjects, _ = evidence.size(split)
        for key, (name, _) in MEASURES.items():
            base, corrected = (side[key] for side in sides)
            told = f"{interval(change)}, {p_value(change['p'])}" if key == "mad" else ""
            rows.append(
                [
                    f"{name}, {title.lower()} ({n_subjects})",
                    interval(base),
                    interval(corrected),
                    told,
                    number(base["floor"]),
                ]
            )
    n_images, n_each = (quality["n_images"][key] for key in ("base", "per_subject"))
    head = ["measure, occupations", "base", "corrected", "difference", "noise floor"]
    meanings = "; ".join(f"{name}: {meaning}" for name, meaning in MEASURES.values())
    return (
        f"{n_images} pictures of each model, {n_each} of each occupation, from equal "
        "noise. In brackets 95 % intervals; the noise floor is what a perfectly fair model would "
        f"score at this number of pictures. {plain(meanings)}.\n\n{table(head, rows)}"
        + "".join(
            f"\n\n{plain(told)}" for of in (missing, classifier_error) if (told := of(quality))
        )
    )


def _effects(quality: Found) -> str:
    rows = [
        [
            title,
            *(
                f"{interval(quality[side][key])} (n = {quality[side][key]['n']})"
                for side in _sides()
            ),
        ]
        for key, title in EFFECTS.items()
    ]
    failures = [
        [
            f"{name}: {plain(meaning)}",
            "none to count" if found.get("n") == 0 else interval(found),
            str(found.get("n", "")),
        ]
        for key, (name, meaning) in FAILURES.items()
        for found in (quality["failures"][key],)
    ]
    return (
        f"{table(['', 'base', 'corrected'], rows)}\n\n{plain(comparable(quality))}\n\n"
        f"{table(['failure of the correction, 0 is best', 'share', 'n'], failures)}"
    )


def _drift(found: Found) -> str:
    if "frechet" not in found:
        return ""
    rows = [
        [f"{name}: {plain(meaning)}", interval(found[key], 4)]
        for key, (name, meaning) in DRIFT.items()
    ]
    return (
        f"From the base model's pictures to the corrected ones, {found['n_pairs']} pairs from "
        "equal noise: how much changes, not how good the pictures are. Features: "
        f"{plain(found['features'])}; figures in other features cannot be compared.\n\n"
        f"{table(['figure', 'value'], rows)}{_perceptual(found)}"
    )


def _perceptual(found: Found) -> str:
    kinds = found["perceptual"]["kinds"]
    rows = [[plain(KINDS[kind]), interval(of, 4), str(of["n_pairs"])] for kind, of in kinds.items()]
    if not rows:
        return ""
    return f"\n\n{plain(NOT_LPIPS)}\n\n{table(['pairs of', 'distance', 'pairs'], rows)}"


def _intersections(found: Found | None) -> str:
    if found is None:
        return ""
    rows = []
    few_first = sorted(found["intersections"].items(), key=lambda item: item[0].count(" x "))
    for name, of in few_first:
        for side, title in SIDES.items():
            sizes = (str(of[side][key]) for key in ("n_small", "n"))
            told = _cell(of[side]["worst"])
            rows.append([plain(name), title, told, interval(of[side]["hidden"]), *sizes])
    head = ["attributes", "side", "worst cell, of its even share", "hidden unfairness, nats"]
    return (
        "Hidden unfairness shows in no attribute alone. Of cells of which too few pictures are "
        f"due nothing is claimed.\n\n{table([*head, 'small cells', 'n'], rows)}"
    )


def _cell(worst: Found | None) -> str:
    if worst is None:
        return "none"
    share = interval({key: worst[of] for key, of in _SHARE})
    return f"{plain(worst['cell'])}, {share} of {number(worst['fair'])}"


def _counts(evidence: Evidence) -> str:
    value, rows = evidence.quality["value"], []
    columns = [(side, of) for side in SIDES for of in evidence.values]
    for subject, of_subject in evidence.counts.groupby("subject", sort=False):
        cells = of_subject.set_index(["side", "value"])
        shares = [
            interval({key: cells.loc[(side, value), of] for key, of in _SHARE}) for side in SIDES
        ]
        split = "held out" if cells["split"].iloc[0] == "held_out" else "trained on"
        counts = [str(int(cells.loc[column, "count"])) for column in columns]
        rows.append([plain(str(subject)), split, *counts, *shares])
    head = [f"{SIDES[side]}: {plain(of)}" for side, of in columns]
    shares = [f"share of {plain(value)}, {title}" for title in _sides()]
    return table(["occupation", "split", *head, *shares], rows)


def _measured(evidence: Evidence) -> Iterator[str]:
    run, quality, config = evidence.run, evidence.quality, evidence.run.config
    drawn, train, looked = config.generate, config.train, config.evaluate
    n_subjects, n_images = evidence.size("all")
    yield (
        f"Model: {plain(evidence.model)}, revision `{evidence.made.revision}`. Prompts: "
        f"“{plain(run.lexicon.neutral_templates[0])}” for each of {n_subjects} occupations, "
        f"prompt set `{evidence.prompt_set}`."
    )
    yield (
        f"Pictures: {n_images} of each model, {quality['n_images']['per_subject']} of each "
        f"occupation; guidance {drawn.guidance_scale:g}, {drawn.n_steps} steps, seed {drawn.seed}."
    )
    trained, held_out = (evidence.size(split)[0] for split in ("trained", "held_out"))
    yield (
        f"Correction: MoESD, trained on {trained} occupations, {held_out} held out; objective "
        f"{train.objective}, seed {train.seed}; pictures sent {drawn.routing} towards "
        f"{plain(public_name(drawn.target))}, strength {drawn.strength:g}."
    )
    yield (
        f"Attribute: {plain(quality['attribute'])} ({plain(', '.join(evidence.values))}) by "
        f"{plain(evidence.classifier.name)}, revision `{evidence.classifier.revision}`; CLIP score "
        f"by {plain(evidence.clip.name)}, revision `{evidence.clip.revision}`."
    )
    yield (
        f"Intervals: studentised bootstrap over occupations and their pictures, "
        f"{looked.n_bootstrap} resamples, seed {looked.seed}; those of shares are exact."
    )
    told = ", ".join(f"{package} {number}" for package, number in versions()[1:])
    yield (
        f"Evaluated by moesd-probe {evidence.made.version}, from inputs "
        f"`{evidence.made.made_from}`; this section was written with {told}."
    )


_SHARE = (("value", "share"), ("low", "low"), ("high", "high"))


def _sides() -> list[str]:
    return list(SIDES.values())
