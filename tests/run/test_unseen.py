"""Training reads no occupation, object or template of another split than its own."""

import re
import shutil
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from probe.images.plan import read_metadata
from probe.moesd import training
from probe.run import Experiment
from probe.run.config import Config
from probe.run.evaluation.evaluators import evaluator_folder
from probe.run.folder import Run
from probe.run.images import EXAMPLES
from probe.run.stages.train import train_correction
from probe.text.challenge_prompts import LESSONS, PromptTemplates, subjects_by_split
from probe.text.lexicon import Lexicon
from probe.text.prompts import PromptSet
from probe.text.templates import english, fill

OTHERS = ("validation", "test")


def leaks(lexicon: Lexicon, texts: set[str], others: tuple[str, ...] = OTHERS) -> list[str]:
    """Texts with a word for a noun, or the wording of a template, of other splits."""
    nouns = [name for name, split in lexicon.split_of.items() if split in others]
    forms = {form for noun in nouns for form in (noun, english().plural(noun))}
    is_named = re.compile(rf"(?i)\b(?:{'|'.join(map(re.escape, forms))})\b")
    words = {"person": lexicon.pairs, "adjective": lexicon.adjectives}
    worded = set()
    for template in (text for of in others for text in lexicon.templates[of].neutral):
        worded |= {fill(template, subject=noun) for noun in lexicon.split_of}
    for template in (text for of in others for text in lexicon.templates[of].explicit):
        slot = "person" if "{person}" in template else "adjective"
        for word in (word for pair in words[slot] for word in (pair.male, pair.female)):
            worded |= {fill(template, subject=noun, **{slot: word}) for noun in lexicon.nouns}
    return sorted(text for text in texts if text in worded or is_named.search(text))


def test_training_reads_no_word_of_another_split(finished_run, model_folder, tmp_path, monkeypatch):
    """Every text that a tokenizer gets, every caption, and every list of the correction.

    The gate alone may read prompts for validation, whose choices are made by then.
    """
    folder = Path(shutil.copytree(finished_run, tmp_path / "run"))
    shutil.rmtree(folder / EXAMPLES)
    experiment = Experiment.create(folder, model=str(model_folder), split=1)
    experiment.embed()
    experiment.fit()
    run, read, of_gate = Run(folder, Config.read(folder)), set(), set()
    assert run.lexicon != Lexicon.load(folder / "lexicon.toml")
    call, fit_gate = PreTrainedTokenizerBase.__call__, training.fit_gate
    records = [read]

    def recorded(self, text=None, *args, **options):
        records[-1].update([text] if isinstance(text, str) else text)
        return call(self, text, *args, **options)

    def fitted(*args, **options):
        records.append(of_gate)
        gate = fit_gate(*args, **options)
        records.pop()
        return gate

    monkeypatch.setattr(training, "fit_gate", fitted)
    monkeypatch.setattr(PreTrainedTokenizerBase, "__call__", recorded)
    moesd = train_correction(run)
    table = read_metadata(folder / EXAMPLES)
    prompts = run.prompts.take(run.prompts.is_training)
    assert {*table["prompt"], *table["source_prompt"]} <= read  # all that is read is recorded
    assert len(read | of_gate) > len(prompts) / 2
    assert leaks(run.lexicon, read) == []
    assert leaks(run.lexicon, of_gate) != []
    assert leaks(run.lexicon, of_gate, ("test",)) == []
    assert leaks(run.lexicon, {*table["prompt"], *table["subject"], *moesd.token.subjects}) == []
    people = moesd.gate.lists.captions.known.keys() | moesd.gate.lists.names.keys()
    assert leaks(run.lexicon, set(people)) == []
    tested = run.lexicon.occupations_of("test")[0]
    assert leaks(run.lexicon, read | {f"two {english().plural(tested)}"}) != []


@pytest.mark.parametrize("index", range(6))
def test_no_lesson_of_the_gate_and_no_training_prompt_is_of_another_split(index):
    lexicon = Lexicon.load().random_split(index)
    prompts = PromptSet.build(lexicon)
    training = prompts.take(prompts.is_training)
    assert leaks(lexicon, set(training.prompts)) == []
    lessons = PromptTemplates.load(LESSONS).prompts(subjects_by_split(training), split="train")
    assert leaks(lexicon, set(lessons["prompt"])) == []
    assert set(training.nouns) <= set(lessons["subject"])
    others = prompts.take(~prompts.is_training)
    assert leaks(lexicon, set(others.prompts)) == sorted(set(others.prompts))


def test_the_first_classifier_selects_and_the_second_scores(run, model_folder, tmp_path):
    model = Path(shutil.copytree(model_folder, tmp_path / "model"))
    shutil.copytree(model / "classifier", model / "second_classifier")
    other = Path(shutil.copytree(model / "classifier", tmp_path / "other"))
    opened = Run(run, Config(str(model)))
    assert evaluator_folder(opened, "classifier") == model / "second_classifier"
    assert evaluator_folder(opened, "selector") == model / "classifier"
    chosen = Run(run, opened.config.with_settings("evaluate", {"classifier": str(other)}))
    assert evaluator_folder(chosen, "classifier") == other
    assert evaluator_folder(chosen, "selector") == model / "classifier"
    shutil.rmtree(model / "classifier")
    shutil.rmtree(model / "second_classifier")
    assert evaluator_folder(chosen, "selector") == other  # a model without: one does both
