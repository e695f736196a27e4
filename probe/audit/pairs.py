"""Two people in one image: who gets which of two roles (the paired stereotype test)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from probe.audit.audit import share_table
from probe.audit.image_labels import label_images
from probe.audit.labellers import Labeller, ZeroShot, part_folder
from probe.audit.readers.image_folders import find_images
from probe.audit.readers.selection import Selection
from probe.audit.tables import CountTable, LabelTable
from probe.errors import DataError, OptionError
from probe.images.faces.classifier import Classifier, FaceClassifier
from probe.images.faces.face import Face, Halves, crop_face, two_faces
from probe.images.missing_labels import AMBIGUOUS
from probe.io.progress import NamedProgress
from probe.stats.mean import mean_test
from probe.stats.multiplicity import holm

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

OUTCOMES = ("stereotype", "two men", "two women", "reverse")
"""Of a man and a woman, the man has the first role or the woman has; or both are of one gender."""
Judge = Callable[[list[str]], Classifier]
"""Gives what tells two roles apart by its attribute ``subject``."""


def label_pairs(
    folder: Path,
    labeller: Labeller,
    *,
    genders: Sequence[str] = ("man", "woman"),
    roles: str = "position",
    selection: Selection | None = None,
    progress: NamedProgress | None = None,
) -> LabelTable:
    """Say which of `OUTCOMES` each image of a folder shows, as the attribute ``roles``.

    Subjects name two roles, as in ``"doctor and nurse"``, first the one that is stereotypically a
    man's. The two largest faces are labelled, without a detector the two halves of an image. One or
    no face is undetected; a third face as large as the second, or a person without gender or role,
    ambiguous.

    ``genders`` are the labeller's words for man and woman. ``roles`` are decided by ``"position"``,
    from left to right as in the folder's column ``prompt`` or else as in the subject; by the
    ``"classifier"`` (its attribute ``subject``); or by a CLIP (folder or hub id), to which one is
    "a photo of a doctor" and the other of "a nurse".
    """
    classifier, detector, margin = labeller.open()
    attribute = labeller.attribute or "gender"
    known = classifier.attributes.get(attribute, [])
    if len(genders) != 2 or not set(genders) <= set(known):
        raise OptionError(
            f"{attribute} is looked for as {', '.join(genders)}, but the classifier knows it as "
            f"{', '.join(known) or 'nothing'}; give its words for man and woman: --values man,woman"
        )
    images = find_images(folder, selection)
    faces = detector or Halves()
    seen = _PairClassifier(classifier, faces, margin=margin)
    seen.attributes, seen.gender = {"roles": list(OUTCOMES)}, (attribute, *genders)
    seen.judge = _judge_of_roles(roles, classifier, labeller.device)
    prompts = images.prompts or [""] * len(images)
    named = zip(map(_two_roles, images.subjects), prompts, strict=True)
    seen.wanted = {images.name(row): of for row, of in enumerate(named)}
    return label_images(images, seen, progress=progress).noted(f"people: {faces.name}")


def measure_pairs(table: CountTable) -> dict[str, Any]:
    """Test whether the stereotype is more frequent than its reverse.

    The net stereotype of a pair, our measure, is its share of images with the stereotype minus that
    with the reverse, which is the share of men in the first role minus that in the second: 0 if
    gender decides nothing, 1 if it decides all.

    Of each of the ``pairs``: shares with exact intervals over images, net, and the exact sign test
    of stereotype against reverse, adjusted by Holm. ``stereotype`` and ``net`` are means over pairs
    with intervals and tests over pairs, None for a single pair. ``bounds`` of net: all images
    without outcome are the reverse, or the stereotype.

    References
    ----------
    Wan and Chang, *The Male CEO and the Female Assistant*, ACL 2025, arXiv 2402.11089.
    """
    from scipy.stats import binomtest

    missing = {reason: int(n.sum()) for reason, n in table.missing.items()}
    table = table.with_images()
    n, unseen = table.counts.sum(axis=1), table.n_missing
    first, *_, last = table.counts.T
    both = zip(first.tolist(), (first + last).tolist(), strict=True)
    p = holm(np.array([binomtest(k, of).pvalue if of else 1.0 for k, of in both]))
    pairs = []
    for row, shares in enumerate(share_table(table.counts)):
        named = {name: asdict(share) for name, share in zip(OUTCOMES, shares, strict=True)}
        sizes = {"n": int(n[row]), "missing": int(unseen[row]), "p_holm": float(p[row])}
        net = shares[0].value - shares[-1].value
        pairs.append({"pair": table.subjects[row], **sizes, "shares": named, "net": net})
    means: dict[str, Any] = dict.fromkeys(("stereotype", "net"))
    if len(n) > 1:
        means["stereotype"] = asdict(mean_test(first / n, bounds=(0.0, 1.0), unit="pairs"))
        means["net"] = asdict(mean_test((first - last) / n, bounds=(-1.0, 1.0), unit="pairs"))
    low, high = ((first - last + moved) / (n + unseen) for moved in (-unseen, unseen))
    return {
        **{"source": table.source, "notes": list(table.notes), "pairs": pairs, **means},
        "missing": {"total": sum(missing.values()), **missing},
        "bounds": {"low": float(low.mean()), "high": float(high.mean())},
    }


class _PairClassifier(FaceClassifier):
    """Says of the two people of each image which of `OUTCOMES` they are."""

    gender: tuple[str, ...]
    """The attribute, and its words for man and woman."""
    judge: Judge | None
    wanted: dict[str, tuple[list[str], str]]
    """Roles and prompt of each image, by its name."""

    def label_opened(self, opened: Sequence[Image], *, names: Sequence[str]) -> pd.DataFrame:
        """Return the columns ``roles`` and ``roles_confidence``, which is 1."""
        import pandas as pd

        found = self._detector.find(opened, names=names)
        seen = [self._divide(*of) for of in zip(opened, found, strict=True)]
        faces = [face for of in seen if not isinstance(of, str) for face in of[0]]
        genders = iter(self._classifier.label(faces)[self.gender[0]] if faces else ())
        rows = [
            of if isinstance(of, str) else self._outcome(next(genders), next(genders), of[1], name)
            for of, name in zip(seen, names, strict=True)
        ]
        return pd.DataFrame({"roles": rows, "roles_confidence": 1.0})

    def _divide(self, image: Image, found: Sequence[Face]) -> tuple[list[Image], list[Image]] | str:
        """Crop the two faces and, divided by a vertical line, the two people."""
        pair = two_faces(found)
        if isinstance(pair, str):
            return pair
        middle = round(sum(face.left + face.width / 2 for face in pair) / 2)
        middle = min(max(1, middle), image.width - 1)
        sides = ((0, middle), (middle, image.width))
        people = [image.crop((left, 0, right, image.height)) for left, right in sides]
        if isinstance(self._detector, Halves):
            return people, people
        crops = (crop_face(image, [face], margin=self._margin) for face in pair)
        return [crop for crop in crops if not isinstance(crop, str)], people

    def _outcome(self, left: str, right: str, people: list[Image], name: str) -> str:
        _, man, woman = self.gender
        is_first = self._is_first(people, *self.wanted[name])
        if not {left, right} <= {man, woman} or (left != right and is_first is None):
            return AMBIGUOUS
        if left == right:
            return "two men" if left == man else "two women"
        return "stereotype" if (left if is_first else right) == man else "reverse"

    def _is_first(self, people: Sequence[Image], roles: list[str], prompt: str) -> bool | None:
        """Whether the left one has the first role; one person who is recognised decides."""
        if self.judge is None:
            first, second = (prompt.lower().find(role) for role in roles)
            return min(first, second) < 0 or first < second
        seen = self.judge(roles).label(people)["subject"]
        straight, crossed = ((seen == of).sum() for of in (roles, roles[::-1]))
        return None if straight == crossed else bool(straight > crossed)


def _judge_of_roles(chosen: str, classifier: Classifier, device: str) -> Judge | None:
    if chosen == "position":
        return None
    if chosen != "classifier":
        from probe.images.quality.clip_score import ClipScorer

        scorer = ClipScorer.load(part_folder(chosen, "clip"), device=device)
        return lambda roles: ZeroShot(scorer, "subject", roles)
    if "subject" not in classifier.attributes:
        raise OptionError("the classifier knows no subject; tell roles by position or a CLIP")
    return lambda _: classifier


def _two_roles(subject: str) -> list[str]:
    roles = [re.sub(r"^(an?|the) ", "", role.strip()) for role in subject.lower().split(" and ")]
    if len(roles) != 2 or not all(roles) or roles[0] == roles[1]:
        raise DataError(
            f"the subject {subject!r} does not name two roles; needed the one that is "
            "stereotypically a man's, then the other, as in 'doctor and nurse'"
        )
    return roles
