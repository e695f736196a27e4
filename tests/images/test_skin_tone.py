"""Skin tone from pixels: the colours are those of the standards, and no tone is refused."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageEnhance

from cli.main import main
from probe.images.attributes import load_classifier
from probe.images.skin_tone import GROUPS, ITA, MONK, SkinTone, lab, typology_angle
from probe.text.concepts import load_attributes
from probe.text.lexicon import Lexicon
from probe.tinytown.renderer import render
from probe.tinytown.world import SKINS, Town

ITA_OF_TONES = [ITA[place] for place in (5, 5, 5, 5, 4, 2, 1, 0, 0, 0)]


def plain(color, *, around=(30, 90, 200)):
    """A picture of one colour in its middle, with something else around it."""
    picture = Image.new("RGB", (100, 100), around)
    picture.paste(color, (25, 25, 75, 75))
    return picture


def town(n, *, seed=5):
    people = Town(Lexicon.load(), seed=seed)
    scenes = [scene for scene in (people.person() for _ in range(n)) if "skin" not in scene.unclear]
    return scenes, [render(scene) for scene in scenes]


@pytest.mark.parametrize(
    ("color", "expected"),
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.241, 80.092, 67.203)),  # brucelindbloom.com, sRGB, D65
        ((0, 255, 0), (87.735, -86.183, 83.179)),
        ((0, 0, 255), (32.297, 79.188, -107.860)),
        ((119, 119, 119), (50.034, 0, 0)),
    ],
)
def test_cielab_is_that_of_published_colours(color, expected):
    np.testing.assert_allclose(lab(np.array(color)), expected, atol=0.02)


def test_every_tone_of_the_scale_is_skin_and_is_seen_as_itself():
    pictures = [plain(tone) for tone in MONK]
    expected = {
        "skin-tone-monk": [str(tone) for tone in range(1, 11)],
        "skin-tone": list(GROUPS),
        "skin-tone-ita": ITA_OF_TONES,
    }
    assert (np.diff(typology_angle(lab(np.array(MONK)))) < 0).all()
    for name, values in expected.items():
        seen = load_classifier(name).label(pictures)
        assert seen["skin_tone"].tolist() == values
        assert (seen["skin_tone_confidence"] == 1).all()


def test_where_no_skin_is_in_the_middle_no_tone_is_seen():
    grey, small = plain((128, 128, 128)), plain((128, 128, 128))
    small.paste(MONK[5], (50, 50, 53, 53))
    beside = Image.new("RGB", (100, 100), MONK[5])
    beside.paste((20, 200, 40), (20, 20, 80, 80))
    seen = SkinTone("skin-tone").label([grey, small, beside])
    assert seen["skin_tone"].tolist() == ["undetected"] * 3
    assert seen["skin_tone_confidence"].isna().all()


def test_the_confidence_is_the_share_of_skin_that_has_the_tone():
    picture = plain(MONK[5])
    picture.paste(MONK[8], (25, 25, 75, 45))
    [(tone, share)] = SkinTone("skin-tone").label([picture]).to_numpy()
    assert tone == "brown"
    assert share == pytest.approx(0.657, abs=0.01)  # of a circle, cut at a quarter of its radius


def test_tinytown_is_seen_as_it_is_drawn_and_more_light_makes_skin_lighter():
    scenes, pictures = town(90)
    classifier = SkinTone("skin-tone")
    seen = classifier.label(pictures)["skin_tone"]
    order = {value: place for place, value in enumerate(classifier.attributes["skin_tone"])}
    off = np.array(
        [order[of] - SKINS.index(scene.skin) for of, scene in zip(seen, scenes, strict=True)]
    )
    assert (off == 0).mean() > 0.7
    assert (abs(off) <= 1).mean() > 0.9
    for factor, sign in ((0.6, 1), (1.4, -1)):  # the scale goes from light to dark
        moved = classifier.label([ImageEnhance.Brightness(of).enhance(factor) for of in pictures])
        is_seen = ~moved["skin_tone"].eq("undetected")
        shift = moved["skin_tone"][is_seen].map(order) - seen[is_seen].map(order)
        assert sign * shift.mean() > 0.1


def test_an_audit_and_a_correction_of_skin_tone_know_the_classifier(tmp_path):
    for subject, tones in {"nurse": (0, 3, 5, 9), "cook": (7, 8, 9, 9)}.items():
        (tmp_path / subject).mkdir()
        for number, tone in enumerate(tones):
            plain(MONK[tone], around=(number, 0, 255)).save(tmp_path / subject / f"{number}.png")
    command = ["audit", "--images", str(tmp_path), "--classifier", "skin-tone"]
    result = CliRunner().invoke(main, [*command, "--n-bootstrap", "20", "--json"])
    found = json.loads(result.stdout)
    assert found["attribute"] == "skin_tone"
    shares = {
        row["subject"]: [share["value"] for share in row["shares"].values()]
        for row in found["subjects"]
    }
    assert shares == {"cook": [0, 0, 0, 1], "nurse": [0.5, 0, 0.25, 0.25]}
    [skin] = load_attributes("skin_tone")
    name, labels = skin.seen_by(SkinTone("skin-tone").attributes)
    assert (name, list(labels)) == ("skin_tone", ["light", "tan", "brown", "dark"])
