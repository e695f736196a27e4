"""Sentences about an evaluated run, the same in report, model card and terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from figures.text.result import UNSEEN, WARNING, beyond_chance, one_sided, price, untouched
from probe.run.files import SIDES
from probe.stats.notation import interval, number, p_value, percent
from probe.text.checkpoints import SHIPPED
from probe.text.lexicon import SPLIT_NAMES

if TYPE_CHECKING:
    from pandas import DataFrame

Quality = Mapping[str, Any]
"""What `evaluate` writes."""
_SCORES = (("clip_score", "CLIP score"), ("subject_recognised", "occupation recognised"))


def finding(quality: Quality, shares: DataFrame, *, model: str, prompt: str) -> list[str]:
    """State in plain words what was found: result, prompts, occupations never seen, and price.

    ``shares`` has a row a side, subject and value of the attribute (``side, subject, value,
    share``); ``prompt`` is one of the neutral prompts.
    """
    counts, n = one_sided(shares), shares["subject"].nunique()
    before, after = (counts.get(side, 0) for side in SIDES)
    attribute = quality["attribute"]
    kept = untouched(quality)
    cost = f"Price: {'; '.join(price(quality))}." + (f" Untouched: {kept}." if kept else "")
    return [
        f"Before: of {n} occupations, {before} were drawn as (nearly) one {attribute}. "
        f"After: {after}.",
        f"We asked {model} for \u201c{prompt}\u201d and {n - 1} other occupations, "
        f"{quality['n_images']['per_subject']} images each, naming no {attribute}, and did so "
        f"again with the correction. (Nearly) one {attribute}: at least 7 of 8 images.",
        _distance(quality),
        cost.replace("   ", "; ").replace(WARNING, "(beyond chance)"),
    ]


def _distance(quality: Quality) -> str:
    """How far shares are from even, on the occupations that no training has seen if any."""
    sides = [quality["base"], quality["corrected"], quality["difference"]]
    key = UNSEEN if UNSEEN in sides[0] else None
    base, corrected, change = (of["mad"] if key is None else of[key]["mad"] for of in sides)
    of_whom = f"On the {base['n']} occupations" + (" that the correction never saw" if key else "")
    before, after, floor = (
        number(100 * value, 0) for value in (base["value"], corrected["value"], base["floor"])
    )
    return (
        f"{of_whom}, the average distance from an even split "
        f"{_verb(change).format(before, after)}; chance alone gives {floor} (as few images of a "
        f"perfectly even model are never exactly even). What is left {beyond_chance(corrected, 0)}."
    )


def classifiers(quality: Quality) -> str:
    """Name the classifier that scored, and the one that the training used."""
    names = quality.get("classifiers", {"scores": ""})
    if not names["scores"]:
        return ""
    scores = f"Images are scored by {names['scores']}"
    uses = {"selects": "selected training images", "teaches": "taught the experts"}
    used = {use: names[role] for role, use in uses.items() if names.get(role)}
    if not used:
        return f"{scores}."
    what, by = " and ".join(used), next(iter(used.values()))
    if by == names["scores"]:
        return f"{scores}, which also {what}: its errors may flatter."
    return f"{scores}; {by} {what}."


def equivalence(quality: Quality) -> str:
    """State whether each quality score is equivalent within its margin; empty if not tested."""
    change = quality["difference"]
    scores = [
        f"{name} changes by {_tested(change[key], is_share=key == 'subject_recognised')}"
        for key, name in _SCORES
        if change.get(key) is not None
    ]
    if not scores:
        return ""
    sentences = [f"Equivalence tests: {'; '.join(scores)}."]
    if (like := change.get("clip_score_like_for_like")) is not None:
        sentences.append(
            f"Among images that show the same {quality['attribute']} the CLIP score changes by "
            f"{_tested(like)}; the remaining {interval(like['composition'], 2)} is due to the "
            f"shares of {quality['attribute']} in the images ({like['n']} occupations)."
        )
    if (mixed := change.get("clip_score_of_captions")) is not None:
        kinds = {kind: percent(share, 0) for kind, share in mixed["kinds"].items()}
        sentences.append(
            f"Over captions in the proportions of COCO ({kinds['neutral']} about people without a "
            f"gender, {kinds['explicit']} with a gender, {kinds['object']} without people) it "
            f"changes by {_tested(mixed)}."
        )
    return " ".join(sentences)


def other_effects(quality: Quality) -> str:
    """State which occupations moved away from even, and what else differs where gender flipped."""
    moved, sentences = quality["failures"].get("moved_away"), []
    if moved is not None:
        away = moved["subjects"]
        sure = [of["subject"] for of in away if of["p_holm"] <= 0.05]
        names = f": {', '.join(of['subject'] for of in away)}" if away else ""
        beyond = f"beyond chance: {', '.join(sure)}" if sure else "none of them beyond chance"
        tested = f"; {beyond} (exact paired test of each occupation, Holm)" if away else ""
        n = f"{len(away)} of {moved['n']} occupations"
        sentences.append(f"{n} moved further from even{names}{tested}.")
    if (others := quality.get("other_attributes")) is not None:
        n_pairs = next(iter(others["flipped"].values()))["n_images"]
        differ = [f"{name} in {interval(of, 0, '%')}" for name, of in others["flipped"].items()]
        sentences.append(
            f"In the {n_pairs} pairs whose perceived {quality['attribute']} changed, another "
            f"label changed too: {', '.join(differ)}."
        )
    return " ".join(sentences)


def classifier_error(quality: Quality) -> str:
    """State MAD adjusted for misclassification, or the error rate up to which MAD changes.

    Empty if neither is known.
    """
    base, corrected, change = (quality[name] for name in ("base", "corrected", "difference"))
    if (known := quality.get("calibration")) is not None:
        sides = base, corrected, change
        floor = number(base["calibrated"]["mad"]["floor"])
        splits = [
            f"{name}: {_calibrated(*(side['calibrated'][split] for side in sides))}"
            for split, name in SPLIT_NAMES.items()
            if split in base["calibrated"]
        ]
        return (
            f"Adjusted for misclassification ({known['n']} labelled images): "
            f"{_calibrated(*(side['calibrated'] for side in sides))}, noise floor {floor}."
            + (f" By occupations, {'; '.join(splits)}." if splits else "")
        )
    if (found := change.get("sensitivity")) is None:
        return ""
    if found["holds_up_to"] is None:
        return "The difference of MAD is within chance, even for a classifier without errors."
    direction = "decrease" if change["mad"]["value"] < 0 else "increase"
    return (
        f"The {direction} of MAD holds for classifier error rates up to "
        f"{percent(found['holds_up_to'])} if they are equal on both sides, and up to "
        f"{percent(found['holds_up_to_unlike'])} if each side has its own."
    )


def missing_faces(quality: Quality) -> str:
    """State how many images show no face, and the bounds of MAD; empty if faces are not used."""
    if (found := quality.get("missing")) is None:
        return ""
    sides = []
    for name, title in (("base", "Base"), ("corrected", "corrected")):
        side, bounds = found[name], found[name]["bounds"]["mad"]
        sides.append(
            f"{title}: {side['undetected']} of {side['n_images']} images without a face and "
            f"{side['ambiguous']} with several of equal size, MAD between "
            f"{number(bounds['low'])} and {number(bounds['high'])}"
        )
    change, left_out = found["difference"]["bounds"]["mad"], ", ".join(found["left_out"])
    excluded = f" Excluded, as one side has no face: {left_out}." if left_out else ""
    return (
        f"Attributes are read from detected faces. {'; '.join(sides)}; the difference "
        f"is between {number(change['low'])} and {number(change['high'])}, whatever those images "
        f"show.{excluded} A detector may miss one group more often than another."
    )


def limits(model: str, attribute: str, values: Sequence[str]) -> list[str]:
    """List what cannot be concluded from a run, a sentence or two each.

    ``values`` are all that the classifier distinguishes of the attribute.
    """
    known = f"{len(values)} values ({', '.join(values)})"
    binary = "binary here: " if len(values) == 2 else ""
    return [
        f"Anything about Stable Diffusion. The bias of {model} was planted, its world is drawn, "
        "and its results only show whether the method works where the truth is known."
        if model in SHIPPED
        else "Anything about another model, another revision or other settings than these.",
        f"Who the people in the images are. A classifier reports what it perceives; perceived "
        f"{attribute} is not identity, and it is {binary}the classifier knows {known}, "
        "those of its training data, and puts everybody into one of them. Its errors are in every "
        "result.",
        "That occupations outside this list behave alike. The intervals cover the choice of seeds "
        "and of occupations like these; those never seen come from the same list.",
        "That other templates behave alike. The images were made from one neutral template.",
        "That an even split is right. Labour shares, even shares and other targets are choices of "
        "people; the measures here take even shares as the target.",
        "That other attributes stay as they are, unless they were measured. Correcting one "
        "attribute may move another.",
        "That people are shown fairly. How many are shown is counted here, not how.",
    ]


def _verb(change: Mapping[str, float]) -> str:
    """Form of a sentence in which the points before and after are missing."""
    if change["high"] < 0:
        return "fell from {} to {} points"
    if change["low"] > 0:
        return "rose from {} to {} points"
    return "did not change measurably ({} before, {} after)"


def _tested(found: Mapping[str, Any], *, is_share: bool = False) -> str:
    is_equivalent = found["p_equivalent"] < 0.05
    change = f"{interval(found, 1, 'points')} points" if is_share else interval(found, 2)
    margin = number(100 * found["margin"], 1) if is_share else number(found["margin"], 2)
    return (
        f"{change}, {'equivalent' if is_equivalent else 'not shown to be equivalent'} within "
        f"{margin} ({p_value(found['p_equivalent'])})"
    )


def _calibrated(base: Quality, corrected: Quality, change: Quality) -> str:
    before, after, difference = (interval(side["mad"]) for side in (base, corrected, change))
    return f"MAD {before} before and {after} after, difference {difference}"
