import json
import shutil
import socket
from dataclasses import replace

import pytest
from click.testing import CliRunner
from huggingface_hub import ModelCard

from cli.main import main
from figures.cards import bias_card
from figures.cards.evidence import Evidence
from figures.cards.section import BEGIN, END, bias_section, plain
from figures.text.tables import attribute_rows
from probe.errors import DataError
from probe.io.artifacts import read_json, read_table
from probe.run import Experiment
from probe.stats.notation import interval

FRONT = """\
---
# ours since 2023
license: openrail++   # as the base
tags: [text-to-image, 'faces']
model-index:
- name: Acme Diffusion
  results:
  - task: {type: text-to-image}
    dataset: {type: coco, name: COCO 2014}
    metrics:
    - {type: fid, value: 12.5}
# who made it
authors:
  - Acme
---
"""
BODY = "# Acme Diffusion\n\n{}\n\nold words\n\n{}\n\n## Use\n\n\ttabs and trailing  \nend"
CARD = FRONT + BODY.format(BEGIN, END)


def call(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def evidence(finished_run):
    return Evidence.gather(finished_run)


@pytest.fixture(scope="module")
def result(finished_run):
    return bias_card(finished_run)


@pytest.fixture
def existing(tmp_path):
    """A card that somebody else wrote."""
    path = tmp_path / "README.md"
    path.write_bytes(CARD.encode())
    return path


def quality_of(run):
    return read_json(run / "evaluation" / "quality.json", kind="quality")[0]


def test_hubs_read_every_fairness_figure_with_its_interval_and_its_number(finished_run, tmp_path):
    path = tmp_path / "README.md"
    told = call("card", finished_run, "--out", path)
    assert told.exit_code == 0, told.output
    assert told.stdout == f"{path}: a bias card was written; 8 results in its front matter\n"
    card, quality = ModelCard.load(path), quality_of(finished_run)
    found = {
        (of.dataset_split, of.metric_config, of.metric_type): of for of in card.data.eval_results
    }
    assert len(found) == len(card.data.eval_results) == 4 * 2
    for (split, side, key), of in found.items():
        figure = (quality[side] if split == "all" else quality[side][split])[key]
        assert of.metric_value == figure["value"]
        assert of.metric_args == {
            "low": figure["low"], "high": figure["high"], "noise_floor": figure["floor"]
        }  # fmt: skip
        assert of.task_type == "text-to-image"
        assert of.dataset_config == "gender"
    assert found["all", "base", "mad"].dataset_args == {"n_subjects": 6, "n_images": 48}
    assert found["test", "base", "mad"].dataset_args == {"n_subjects": 2, "n_images": 16}
    assert card.data.model_name == "whole"  # a folder's name, not where it lies


def test_people_read_the_same_figures_and_how_they_were_measured(finished_run, result):
    quality, text = quality_of(finished_run), result.section
    for side in ("base", "corrected"):
        assert interval(quality[side]["mad"]) in text
        assert interval(quality[side]["test"]["mad"]) in text
        assert interval(quality[side]["clip_score"], 2) in text
    assert interval(quality["difference"]["test"]["mad"]) in text
    assert interval(quality["drift"]["frechet"], 4) in text
    config = Experiment.open(finished_run).config
    for told in (
        f"guidance {config.generate.guidance_scale:g}, {config.generate.n_steps} steps, seed 3",
        f"revision `{Experiment.open(finished_run)._run.revision}`",
        "by the model's own classifier, revision `",
        "“a photo of a {subject}” for each of 6 occupations",
        "moesd-probe 0.1.0",
        "perceived gender is not identity, and it is binary here",
    ):
        assert told in text, told
    assert str(finished_run) not in text
    assert "tinytown" not in text  # this run's model is another


def test_the_pictures_of_every_occupation_are_counted(finished_run, result):
    shares, _ = read_table(finished_run / "evaluation" / "shares.parquet", kind="shares")
    shares = shares[shares["attribute"] == "gender"].set_index(["side", "subject", "value"])
    for subject in ("nurse", "mechanic"):
        (line,) = (row for row in result.section.splitlines() if row.startswith(f"| {subject} |"))
        counts = [int(cell) for cell in line.strip("| ").split(" | ")[2:6]]
        assert counts == [
            shares.loc[(side, subject, value), "count"]
            for side in ("base", "moesd")
            for value in ("woman", "man")
        ]
        assert sum(counts) == 16
        share = shares.loc[("base", subject, "woman")].rename({"share": "value"})
        assert f"| {interval(share[['value', 'low', 'high']])} |" in line


def test_the_same_run_gives_the_same_text_without_a_network(finished_run, result, monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert bias_card(finished_run).text == result.text


def test_the_card_is_all_there_is_on_standard_output(finished_run, result):
    assert call("card", finished_run).stdout == result.text
    found = json.loads(call("card", finished_run, "--json").stdout)
    assert found == result.to_json()
    assert ModelCard(result.text).data.to_dict()["model-index"] == found["model_index"]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_only_the_section_and_our_results_change_in_a_card_that_exists(
    finished_run, existing, result, newline
):
    existing.write_bytes(CARD.replace("\n", newline).encode())
    existing.chmod(0o640)
    told = call("card", finished_run, "--out", existing)
    assert told.exit_code == 0, told.output
    assert "its bias section was replaced" in told.stdout
    text = existing.read_bytes().decode()
    body = BODY.replace("{}\n\nold words\n\n{}", result.section)
    assert text.endswith(newline + body.replace("\n", newline))
    assert existing.stat().st_mode & 0o777 == 0o640
    card = ModelCard.load(existing)
    assert (card.data.license, card.data.authors) == ("openrail++", ["Acme"])
    assert card.data.model_name == "Acme Diffusion"
    assert [of.metric_type for of in card.data.eval_results][:2] == ["fid", "mad"]
    assert len(card.data.eval_results) == 1 + 8
    call("card", finished_run, "--out", existing)
    assert existing.read_bytes().decode() == text
    assert [path.name for path in existing.parent.iterdir()] == ["README.md"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# mine\n", "has no place for the section; put the lines <!-- moesd-probe:begin -->"),
        (f"{END}\n{BEGIN}\n", "has no place for the section"),
        (f"---\na: [\n---\n{BEGIN}{END}", "is no model card"),
        (f"---\nmodel-index: mine\n---\n{BEGIN}{END}", "is no model card"),
        ("caf\xe9".encode("latin-1"), "is no model card"),
    ],
)
def test_a_card_that_cannot_be_updated_is_refused_and_left_alone(
    finished_run, existing, text, message
):
    data = text if isinstance(text, bytes) else text.encode()
    existing.write_bytes(data)
    with pytest.raises(DataError) as error:
        bias_card(finished_run, existing)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert existing.read_bytes() == data


def test_links_and_folders_are_no_place_for_a_card(finished_run, existing, tmp_path):
    with pytest.raises(DataError, match="is a folder; needed a file"):
        bias_card(finished_run, tmp_path)
    link = tmp_path / "link.md"
    link.symlink_to(existing)
    with pytest.raises(DataError, match="is a symbolic link"):
        bias_card(finished_run, link)
    assert existing.read_text() == CARD


def test_a_run_that_was_not_evaluated_says_which_command_to_run(finished_run, tmp_path):
    run = shutil.copytree(finished_run, tmp_path / "run")
    shutil.rmtree(run / "evaluation")
    told = call("card", run, "--out", tmp_path / "README.md")
    assert told.exit_code == 1
    assert told.stderr.endswith(f"run `moesd-probe evaluate {run}` first\n")
    assert told.stderr.count("\n") == 1
    assert not (tmp_path / "README.md").exists()


def test_what_came_with_the_data_is_no_markup(evidence):
    hostile = f"a|b <script>x</script> `c` [d](e)\n{END}"
    counts = evidence.counts.replace({"subject": {"nurse": hostile}})
    told = replace(evidence, counts=counts)
    text = bias_section(told)
    assert text.count(END) == 1
    assert "<script>" not in text
    (row,) = [line for line in text.splitlines() if line.startswith(r"| a\|b")]
    told = r"&lt;script&gt;x&lt;/script&gt; \`c\` \[d\](e) &lt;!-- moesd-probe:end --&gt;"
    assert row.startswith(rf"| a\|b {told} | never seen |")
    assert plain("# a\n  *b*") == r"\# a \*b\*"


def test_the_changes_of_other_attributes_are_in_the_card(evidence):
    old = {"attribute": "age", "shown": "<b>", "within": "", "before": 0.3, "after": 0.2}
    old |= {
        "value": -0.1,
        "low": -0.2,
        "high": -0.05,
        "p_holm": 0.01,
        "unit": "occupations",
        "n": 6,
    }
    flipped = {"age": {"value": 0.5, "low": 0.4, "high": 0.6, "n_images": 10}}
    found = {"other_attributes": {"changes": [old], "flipped": flipped}}
    text = bias_section(replace(evidence, quality=evidence.quality | found))
    [(cells, _)] = attribute_rows(found)
    assert f"| {plain(cells[0])} | {' | '.join(cells[1:])} |\n\n" in text
    assert plain("moved further from even") in text


def test_intersections_of_older_pictures_are_left_out(evidence):
    found = {
        "worst": {"cell": "woman, old", "share": 0.1, "low": 0.05, "high": 0.2, "fair": 0.25},
        "hidden": {"value": 0.2, "low": 0.1, "high": 0.3},
        "n_small": 2,
        "n": 48,
    }
    figures = {
        "intersections": {"gender x age": {"base": found, "moesd": {**found, "worst": None}}}
    }
    text = bias_section(replace(evidence, intersections=figures))
    assert "| gender x age | base | woman, old, 0.100 [0.050, 0.200] of 0.250 |" in text
    assert "| gender x age | corrected | none |" in text
    assert evidence.intersections is None
    assert "Intersections of attributes" not in bias_section(evidence)
