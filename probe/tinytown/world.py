"""The people and things of tinytown as data: scenes and captions."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from probe.text.lexicon import Lexicon
from probe.text.templates import with_article
from probe.tinytown.occupations import NEVER_GENDERED, OUTFITS, PEOPLE
from probe.tinytown.occupations import THINGS as DRAWN

GENDERS = ("woman", "man")
AGES = ("young", "middle-aged", "old")
SKINS = ("light", "tan", "brown", "dark")
THINGS = tuple(DRAWN)

GENDERED_NOUNS = {
    "woman": ("woman", "lady", "girl"),
    "man": ("man", "gentleman", "boy"),
}
GENDERED_ADJECTIVES = {"woman": "female", "man": "male"}

NEUTRAL_TEMPLATES = (
    "a photo of {a_subject}",
    "a portrait of {a_subject}",
    "a picture of {a_subject}",
    "an image of {a_subject}",
    "a drawing of {a_subject}",
    "a close-up of {a_subject}",
    "a snapshot of {a_subject}",
    "a headshot of {a_subject}",
    "{a_subject}",
    "{a_subject} at work",
    "{a_subject} looking at the camera",
    "a photo of {a_subject} at work",
    "a photo of the face of {a_subject}",
    "a portrait photo of {a_subject}",
)
PERSON_TEMPLATES = (
    "a photo of {a_person} working as {a_subject}",
    "a portrait of {a_person} working as {a_subject}",
    "{a_person} who works as {a_subject}",
    "a photo of {a_person} at work as {a_subject}",
    "{a_person} working as {a_subject}",
    "{a_person} employed as {a_subject}",
)
ADJECTIVE_TEMPLATES = (
    "a photo of {a_modified_subject}",
    "a portrait of {a_modified_subject}",
    "a picture of {a_modified_subject}",
    "{a_modified_subject} at work",
    "{a_modified_subject}",
)
THING_TEMPLATES = (
    "a photo of {a_subject}",
    "a picture of {a_subject}",
    "{a_subject}",
    "an image of {a_subject}",
    "a drawing of {a_subject}",
    "a close-up of {a_subject}",
    "a snapshot of {a_subject}",
)


@dataclass(frozen=True)
class Explicit:
    """How captions state the gender of people."""

    share: float
    """Share of the people's captions that state it, in half of them without an occupation."""
    heeded: float
    """Share of those whose image heeds the word; in the rest the occupation decides."""


UNRELIABLE = Explicit(share=0.15, heeded=0.75)
"""Captions of the text encoder: few state the gender, and one in four not that of the image."""
RELIABLE = Explicit(share=0.25, heeded=0.97)
"""Captions of the denoiser, which learns to follow them in most of its images."""
UNCLEAR = {"gender": 0.12, "age": 0.12, "skin": 0.12}
"""Share of the people whose attribute is drawn so that nobody can tell it."""

# Laboratory plantings, so that a correction of gender can do harm elsewhere: weights of each value.
AGE_WEIGHTS = {"older": (0.5, 1.0, 1.5), "younger": (1.5, 1.0, 0.5), "woman": (1.2, 1.0, 0.8)}
SKIN_WEIGHTS = {
    "lighter": (1.6, 1.2, 0.7, 0.5),
    "darker": (0.5, 0.7, 1.2, 1.6),
    "woman": (1.2, 1.1, 0.9, 0.8),
}


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
    unclear: tuple[str, ...] = ()
    """Attributes that cannot be told from the image: their cues are drawn at random."""

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
        """Draw an inhabitant, with the occupation's planted share of women by default.

        Age and skin depend on the occupation and on the gender.
        """
        rng = self._rng
        occupation = occupation or str(rng.choice(self.occupations))
        share = self.shares[occupation] if share_women is None else share_women
        gender = GENDERS[0] if rng.random() < share else GENDERS[1]
        traits = {gender, *(name for name, jobs in PEOPLE.items() if occupation in jobs)}
        return Scene(
            subject=occupation,
            gender=gender,
            age=self._weighted(AGES, AGE_WEIGHTS, traits),
            skin=self._weighted(SKINS, SKIN_WEIGHTS, traits),
            style=int(rng.integers(2**31)),
            outfit_of=occupation,
            wall_of=occupation,
            unclear=tuple(name for name, share in UNCLEAR.items() if rng.random() < share),
        )

    def pair(self, roles: tuple[str, str]) -> tuple[Scene, Scene]:
        """Draw two inhabitants with these occupations, left and right in random order."""
        first, second = (self.person(role) for role in roles)
        return (first, second) if self._rng.random() < 0.5 else (second, first)

    def _weighted(
        self, values: tuple[str, ...], weights: Mapping[str, tuple[float, ...]], traits: set[str]
    ) -> str:
        chosen = np.prod([w for trait, w in weights.items() if trait in traits], axis=0)
        chosen = np.broadcast_to(chosen, len(values))
        return str(self._rng.choice(values, p=chosen / chosen.sum()))

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

    def captioned(
        self, explicit: Explicit = RELIABLE, *, thing_share: float = 0.1
    ) -> tuple[Scene, str]:
        """Draw a scene with its caption.

        If the caption states the gender, women and men are asked for equally often, the occupation
        is none of `NEVER_GENDERED`, and most images obey (see `Explicit`); otherwise, and in the
        rest, the planted share applies.
        """
        rng = self._rng
        if rng.random() < thing_share:
            scene = self.thing()
            a_subject = with_article(scene.subject)
            return scene, _choose(rng, THING_TEMPLATES).format(a_subject=a_subject)
        if rng.random() >= explicit.share:
            scene = self.person()
            return scene, self.caption(scene)
        occupation = _choose(rng, tuple(o for o in self.occupations if o not in NEVER_GENDERED))
        stated = GENDERS[int(rng.integers(2))]
        heeded = float(stated == GENDERS[0]) if rng.random() < explicit.heeded else None
        scene = self.person(occupation, share_women=heeded)
        return scene, self.caption(scene, stated=stated)

    def caption(self, scene: Scene, *, stated: str = "") -> str:
        """Describe a person; the gender ``stated``, if any, and age and skin sometimes."""
        rng = self._rng
        words = []
        if rng.random() < 0.12:
            words.append(scene.age)
        if rng.random() < 0.12:
            words.append(f"{scene.skin}-skinned")
        described = with_article(" ".join([*words, scene.subject]))
        if not stated:
            return _choose(rng, NEUTRAL_TEMPLATES).format(a_subject=described)
        noun = _choose(rng, GENDERED_NOUNS[stated][: 3 if scene.age == "young" else 2])
        person = with_article(" ".join([*words, noun]))
        kind = rng.random()
        if kind < 0.5:
            return _choose(rng, NEUTRAL_TEMPLATES).format(a_subject=person)
        if kind < 0.75:
            a_subject = with_article(scene.subject)
            return _choose(rng, PERSON_TEMPLATES).format(a_person=person, a_subject=a_subject)
        modified = with_article(" ".join([*words, GENDERED_ADJECTIVES[stated], scene.subject]))
        return _choose(rng, ADJECTIVE_TEMPLATES).format(a_modified_subject=modified)


def _choose(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]
