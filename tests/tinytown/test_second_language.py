"""A second language for tinytown: each letter is the next one, and the tokens keep their ids.

What the pipeline computes from tokens must be as in English, to the last bit; what a rule reads
from an English word would not be.
"""

import json
import re
import shutil
import string
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
import torch

from probe.images.reading import open_image
from probe.moesd.model import MoESD
from probe.run import Experiment
from probe.text.encoder import TextEncoder
from probe.text.lexicon import Lexicon
from probe.text.prompts import PromptSet

LETTERS = string.ascii_lowercase
NEXT = str.maketrans(LETTERS, LETTERS[1:] + LETTERS[0])
JOBS = ("carpenter", "mechanic", "cook", "lawyer", "nurse", "secretary")
LANGUAGE = """
openings = ["a portrait of a", "an image of a", "a picture of a", "a photo of a"]
explicit = ["{adjective} {subject}", "{person} {description}", "{subject}"]
stated = { female = "female ", male = "male " }
people = { female = "woman", male = "man", neutral = "person" }
adjectives = { female = "female", male = "male" }
[templates]
train = ["a portrait of a {subject}", "an image of a {subject}"]
validation = ["a picture of a {subject}"]
test = ["a photo of a {subject}"]
[objects]
"""
THINGS = ("tree", "cup", "lamp", "boat", "chair", "car", "house")


def say(text):
    """Say a text in the second language; slots and special tokens stay."""
    return re.sub(r"({\w+}|</w>|<\|\w+\|>)|[a-z]+", lambda of: of[1] or of[0].translate(NEXT), text)


def language(name, say):
    """Return a file of a language of tinytown's words, whose generic masculine is the bare noun."""
    jobs = [f'{job} = ["{job}", "female {job}", "working as a {job}"]' for job in JOBS]
    text = LANGUAGE + "\n".join([*(f'{of} = "{of}"' for of in THINGS), "[occupations]", *jobs])
    said = re.sub('"[^"]+"', lambda of: say(of[0]), text)
    return f'name = "{name}"\ncolumns = ["masculine", "feminine", "description"]\n{said}'


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    """tinytown with tokenizers of the second language."""
    folder = tmp_path_factory.mktemp("models") / "second"
    shutil.copytree(str(files("probe.tinytown") / "weights" / "tinytown"), folder)
    for path in folder.glob("*/tokenizer.json"):
        data = json.loads(path.read_text(encoding="utf-8"))
        vocab, merges = data["model"]["vocab"], data["model"]["merges"]
        data["model"]["vocab"] = {say(token): index for token, index in vocab.items()}
        data["model"]["merges"] = [[say(of) for of in pair] for pair in merges]
        path.write_text(json.dumps(data), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def runs(second, small_lexicon, tmp_path_factory):
    """Whole runs in the second language and in the same words of English."""
    folder = tmp_path_factory.mktemp("runs")
    for name, model, of in (("second", second, say), ("english", "tinytown", str)):
        (path := folder / f"{name}.toml").write_text(language(name, of), encoding="utf-8")
        words = {"lexicon": small_lexicon, "language": str(path)}
        experiment = Experiment.create(folder / name, model=str(model), **words)
        experiment.set("train", latent_steps=10).set("evaluate", n_bootstrap=100)
        experiment.set("generate", n_images=2, n_steps=4, routing="calibrated")
        for stage in ("embed", "fit", "train", "generate", "evaluate"):
            getattr(experiment, stage)()
    return {name: folder / name for name in ("second", "english")}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_run_in_the_second_language_gives_the_figures_of_english(runs, second):
    for name in ("latent/subjects", "moesd/gate", "evaluation/shares", "evaluation/fairness"):
        found, known = (pd.read_parquet(of / f"{name}.parquet") for of in runs.values())
        if "prompt" in known:
            assert found["prompt"].tolist() == [say(prompt) for prompt in known["prompt"]]
            found["prompt"] = known["prompt"]
        pd.testing.assert_frame_equal(found, known, check_exact=True)
    images = [path.relative_to(runs["english"]) for path in runs["english"].rglob("images/*/*/*")]
    assert len(images) > 50
    for path in images:
        np.testing.assert_array_equal(*(np.asarray(open_image(of / path)) for of in runs.values()))
    moesd = MoESD.load(runs["second"] / "moesd", TextEncoder.load(second))
    assert (moesd.gate.has_list, moesd.gate.is_english) == (False, False)
    assert moesd.token.place(say("a photo of a nurse")) == len("a photo of a ")
    for prompt, route in (("nurse", "female-skewed"), ("female nurse", "explicit")):
        explained = moesd.explain(say(f"a photo of a {prompt}"))
        assert (explained["route"], explained["left_alone"]) == (route, "")


def test_the_states_of_english_prompts_are_those_of_their_translations(second):
    prompts = PromptSet.build(Lexicon.load()).prompts[::40]
    states = TextEncoder.load(second).states([say(prompt.lower()) for prompt in prompts])
    torch.testing.assert_close(states, TextEncoder.load("tinytown").states(prompts), rtol=0, atol=0)
