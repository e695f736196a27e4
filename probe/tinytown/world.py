"""The people and things of tinytown as data: scenes and captions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from probe.text.lexicon import Lexicon
from probe.text.templates import with_article
from probe.tinytown.occupations import OUTFITS

GENDERS = ("woman", "man")
AGES = ("young", "middle-aged", "old")
SKINS = ("light", "tan", "brown", "dark")
THINGS = ("car", "tree", "house", "cat", "boat", "apple", "chair", "cup", "lamp", "fish")

GENDERED_NOUNS = {
    "woman": ("woman", "lady", "girl"),
    "man": ("man", "gentleman", "boy"),
}
GENDERED_ADJECTIVES = {"woman": "female", "man": "male"}

NEUTRAL_TEMPLATES = (
    "a photo of {a_subject}",
    "a portrait of {a_subject}",
    "a picture of {a_subject}",
    "{a_subject}",
    "{a_subject} at work",
    "a photo of {a_subject} at work",
    "an image of {a_subject}",
    "a photo of the face of {a_subject}",
)
PERSON_TEMPLATES = (
    "a photo of {a_person} working as {a_subject}",
    "a portrait of {a_person} working as {a_subject}",
    "{a_person} who works as {a_subject}",
    "a photo of {a_person} at work as {a_subject}",
    "{a_person} working as {a_subject}",
)
ADJECTIVE_TEMPLATES = (
    "a photo of {a_modified_subject}",
    "a portrait of {a_modified_subject}",
    "a picture of {a_modified_subject}",
    "{a_modified_subject} at work",
)
THING_TEMPLATES = (
    "a photo of {a_subject}",
    "a picture of {a_subject}",
    "{a_subject}",
    "an image of {a_subject}",
    "a drawing of {a_subject}",
)


@dataclass(frozen=True)
class Scene:
    """The content of one image: its ground truth."""

    subject: str
    """An occupation, or a thing."""
    gender: str = ""
    """One of `GENDERS`; ``""`` for a thing."""
    age: str = ""
    skin: str = ""
    style: int = 0
    """Seed of everything that is not an attribute, such as hair and pose."""
    shows_tool: bool = True
    outfit_of: str = ""
    """Occupation of the uniform; the subject unless cues are scrambled."""
    wall_of: str = ""
    """Occupation of the background; the subject unless cues are scrambled."""

    @property
    def is_person(self) -> bool:
        """Whether the image shows a person."""
        return self.gender != ""


class Town:
    """Draws inhabitants, things and captions at random, by the shares of a lexicon.

    Parameters
    ----------
    lexicon : Lexicon
        Occupations with women's shares; every one needs an outfit in `OUTFITS`.
    seed : int
        Seed of the whole sequence of draws.
    """

    def __init__(self, lexicon: Lexicon, *, seed: int) -> None:
        self.shares = {job.name: job.share_women for job in lexicon.occupations}
        if unknown := sorted(set(self.shares) - set(OUTFITS)):
            raise ValueError(f"no outfit for {unknown}; tinytown knows {sorted(OUTFITS)}")
        self.occupations = tuple(self.shares)
        self._rng = np.random.default_rng(seed)

    def person(self, occupation: str | None = None, *, share_women: float | None = None) -> Scene:
        """Draw an inhabitant, with the occupation's planted share of women by default."""
        rng = self._rng
        occupation = occupation or str(rng.choice(self.occupations))
        share = self.shares[occupation] if share_women is None else share_women
        return Scene(
            subject=occupation,
            gender=GENDERS[0] if rng.random() < share else GENDERS[1],
            age=str(rng.choice(AGES)),
            skin=str(rng.choice(SKINS)),
            style=int(rng.integers(2**31)),
            outfit_of=occupation,
            wall_of=occupation,
        )

    def thing(self, name: str | None = None) -> Scene:
        """Draw a thing without people."""
        return Scene(
            subject=name or str(self._rng.choice(THINGS)), style=int(self._rng.integers(2**31))
        )

    def scrambled(self, scene: Scene, *, tool_share: float) -> Scene:
        """Take uniform and background from random occupations, and mostly hide the tool.

        Without the other cues a caption can be matched by gender only, so that an encoder trained
        on such images learns it.
        """
        rng = self._rng
        return replace(
            scene,
            outfit_of=str(rng.choice(self.occupations)),
            wall_of=str(rng.choice(self.occupations)),
            shows_tool=bool(rng.random() < tool_share),
        )

    def captioned(self, *, explicit_share: float, thing_share: float = 0.1) -> tuple[Scene, str]:
        """Draw a scene with its caption.

        If the caption states the gender, women and men are equally frequent in every occupation;
        otherwise the planted share applies.
        """
        rng = self._rng
        if rng.random() < thing_share:
            scene = self.thing()
            return scene, self.caption(scene, says_gender=False)
        says_gender = bool(rng.random() < explicit_share)
        scene = self.person(share_women=0.5 if says_gender else None)
        return scene, self.caption(scene, says_gender=says_gender)

    def caption(self, scene: Scene, *, says_gender: bool) -> str:
        """Describe a scene: its gender only on request, its age and skin sometimes."""
        rng = self._rng
        a_subject = with_article(scene.subject)
        if not scene.is_person:
            return _choose(rng, THING_TEMPLATES).format(a_subject=a_subject)
        words = []
        if rng.random() < 0.12:
            words.append(scene.age)
        if rng.random() < 0.12:
            words.append(f"{scene.skin}-skinned")
        if not says_gender:
            a_subject = with_article(" ".join([*words, scene.subject]))
            return _choose(rng, NEUTRAL_TEMPLATES).format(a_subject=a_subject)
        if rng.random() < 0.5:
            noun = _choose(rng, GENDERED_NOUNS[scene.gender][: 3 if scene.age == "young" else 2])
            person = with_article(" ".join([*words, noun]))
            return _choose(rng, PERSON_TEMPLATES).format(a_person=person, a_subject=a_subject)
        words.append(GENDERED_ADJECTIVES[scene.gender])
        modified = with_article(" ".join([*words, scene.subject]))
        return _choose(rng, ADJECTIVE_TEMPLATES).format(a_modified_subject=modified)


def _choose(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]
