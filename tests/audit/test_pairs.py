"""Two people in one picture: who gets which role, and what cannot be told is counted."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from cli.main import main
from probe.audit.pairs import OUTCOMES, label_pairs, measure_pairs
from probe.audit.tables import CountTable
from probe.images.faces.face import Face
from probe.text.lexicon import Lexicon
from probe.tinytown.renderer import render, render_pair
from probe.tinytown.world import Town

GENDERS = ["man", "woman", "child"]
JOBS = ["doctor", "nurse", "cook"]
FACES = [Face(20, 20, 40, 40), Face(140, 20, 40, 40)]
MAN_AND_WOMAN = (("man", "doctor"), ("woman", "nurse"))


class Painted:
    """Reads gender and occupation from the colour in the middle of what it is shown."""

    attributes = {"gender": GENDERS, "subject": JOBS}  # noqa: RUF012

    def label(self, images, /):
        seen = [image.getpixel((image.width // 2, image.height // 2)) for image in images]
        names = [(GENDERS[red // 80], JOBS[green // 80]) for red, green, _ in seen]
        return pd.DataFrame(names, columns=["gender", "subject"]).assign(gender_confidence=1.0)


def paint(path, people):
    picture = Image.new("RGB", (200, 100))
    for place, (gender, job) in enumerate(people):
        color = (80 * GENDERS.index(gender), 80 * JOBS.index(job), 0)
        picture.paste(color, (100 * place, 0, 100 * place + 100, 100))
    path.mkdir(exist_ok=True)
    picture.save(path / "0.png")


def read(folder, people=MAN_AND_WOMAN, *, prompt="", faces=FACES, roles="position"):
    paint(folder, people)
    row = {"file_name": "0.png", "subject": "doctor and nurse", "prompt": prompt}
    (folder / "metadata.jsonl").write_text(json.dumps(row) + "\n")
    found = SimpleNamespace(name="given faces", find=lambda images, names: [faces for _ in images])
    opened = Painted(), None if faces is None else found, 0.25
    labeller = SimpleNamespace(open=lambda: opened, attribute=None, device="cpu")
    [code] = label_pairs(folder, labeller, roles=roles).codes["roles"]
    return [*OUTCOMES, "unreadable", "ambiguous", "undetected"][code]


@pytest.mark.parametrize(
    ("people", "options", "outcome"),
    [
        (MAN_AND_WOMAN, {}, "stereotype"),
        (MAN_AND_WOMAN, {"faces": None}, "stereotype"),  # each half is a person
        (MAN_AND_WOMAN, {"prompt": "A Doctor with a nurse"}, "stereotype"),
        (MAN_AND_WOMAN, {"prompt": "a nurse and a doctor"}, "reverse"),  # as position says
        (MAN_AND_WOMAN, {"prompt": "a nurse and a doctor", "roles": "classifier"}, "stereotype"),
        (MAN_AND_WOMAN[::-1], {}, "reverse"),
        (MAN_AND_WOMAN[::-1], {"roles": "classifier"}, "stereotype"),
        ((("woman", "doctor"), ("man", "cook")), {"roles": "classifier"}, "reverse"),
        ((("man", "nurse"), ("woman", "nurse")), {"roles": "classifier"}, "ambiguous"),
        ((("man", "nurse"), ("man", "nurse")), {"roles": "classifier"}, "two men"),
        ((("woman", "cook"), ("woman", "cook")), {}, "two women"),
        ((("man", "doctor"), ("child", "nurse")), {}, "ambiguous"),
        (MAN_AND_WOMAN, {"faces": []}, "undetected"),
        (MAN_AND_WOMAN, {"faces": FACES[:1]}, "undetected"),
        (MAN_AND_WOMAN, {"faces": [*FACES, Face(80, 0, 40, 20)]}, "ambiguous"),
        (MAN_AND_WOMAN, {"faces": [Face(80, 0, 9, 20), *FACES[::-1]]}, "stereotype"),
    ],
)
def test_the_role_of_each_person_is_told_or_said_to_be_unknown(tmp_path, people, options, outcome):
    assert read(tmp_path / "pictures", people, **options) == outcome


def test_the_net_stereotype_is_that_of_the_counts_with_bounds_for_what_nobody_saw():
    counts, unseen = np.array([[8, 1, 1, 0], [3, 1, 3, 3]]), {"undetected": np.array([2, 0])}
    pairs = ["doctor and nurse", "pilot and clerk"]
    table = CountTable("pictures", "roles", pairs, list(OUTCOMES), counts, unseen)
    found = measure_pairs(table)
    assert [of["net"] for of in found["pairs"]] == pytest.approx([0.8, 0.0])
    assert [of["p_holm"] for of in found["pairs"]] == pytest.approx([2 * 2 / 2**8, 1.0])
    assert found["net"]["value"] == pytest.approx(0.4)
    assert found["net"]["unit"] == "pairs"
    assert found["stereotype"]["value"] == pytest.approx(0.55)
    assert found["bounds"] == pytest.approx({"low": (6 / 12) / 2, "high": (10 / 12) / 2})
    assert measure_pairs(table.rows(np.array([0])))["net"] is None


def test_what_does_not_name_two_roles_or_does_not_go_together_is_refused(tmp_path):
    paint(tmp_path / "nurse", MAN_AND_WOMAN)
    command = ["audit", "--images", str(tmp_path), "--classifier", "skin-tone", "--pairs"]
    words = "knows it as nothing; give its words for man and woman"
    for more, said in (([], words), (["--target", "parity"], "does not go with --target")):
        result = CliRunner().invoke(main, [*command, *more])
        assert result.exit_code == 2
        assert said in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("roles", "least", "most"), [("classifier", 0.8, 1), ("position", 0, 0.8)])
def test_of_pairs_that_tinytown_draws_the_roles_are_found(tmp_path, roles, least, most):
    town, truth = Town(Lexicon.load(), seed=2), []
    folder = tmp_path / "mechanic and nurse"
    folder.mkdir()
    while len(truth) < 40:
        left, right = town.pair(("mechanic", "nurse"))
        if {left.gender, right.gender} == {"man", "woman"} and not left.unclear + right.unclear:
            picture = render_pair(left, right)
            np.testing.assert_array_equal(np.asarray(picture)[:, :64], np.asarray(render(left)))
            picture.save(folder / f"{len(truth):02}.png")
            truth.append((left if left.subject == "mechanic" else right).gender == "man")
    figure = tmp_path / "roles.svg"
    command = ["audit", "--images", str(tmp_path), "--classifier", "tinytown", "--pairs", roles]
    result = CliRunner().invoke(main, [*command, "--figure", str(figure), "--json"])
    [pair] = json.loads(result.stdout)["pairs"]
    assert least <= pair["shares"]["stereotype"]["value"] / np.mean(truth) <= most
    assert "mechanic and nurse (40)" in figure.read_text()
    text = CliRunner().invoke(main, command).stdout
    assert f"roles by {roles}" in text
