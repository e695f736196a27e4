"""The help, completion by a shell, and the new names of commands that have moved."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from click.shell_completion import BashComplete, get_completion_class
from click.testing import CliRunner

from cli.main import main
from probe.run.registry import settings_tables, studies

STUDIES = [study.name for study in studies()]


def help_of(*command):
    result = CliRunner().invoke(main, [*command, "--help"], prog_name="moesd-probe")
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_the_help_fits_one_screen_and_cuts_no_line():
    lines = help_of()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    assert not any(line.endswith("...") for line in lines[1:])
    for title in ("Pipeline", "Look closer", "Audit what others made", "Compare", "Ship"):
        assert f"{title}:" in lines
    assert all(any(line.startswith(f"  {name} ") for line in lines) for name in main.commands)


def test_the_help_of_evaluate_stands_in_groups_with_rare_options_last():
    lines = help_of("evaluate")
    assert len(lines) <= 60
    titles = [line for line in lines if line.endswith(":") and line[0] != " "]
    assert titles[0] == "Who looks at the images:"
    assert titles[-2:] == ["Options:", "Advanced:"]
    assert "RUN/config.toml, [evaluate], also sets clip_margin, recognition_margin." in lines


@pytest.mark.parametrize("name", ["fit", "train", "generate", "evaluate", "study"])
def test_every_setting_that_is_grouped_or_left_to_the_file_is_one(name):
    known = {field for kind in settings_tables().values() for field in vars(kind)}
    for _, only, titles, in_file in vars(main.commands[name].callback)["settings_of"]:
        assert {*only, *titles, *in_file} <= known


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("probe RUN --only gate", "study RUN NAME..."),
        ("evaluate --labels x.csv", "audit --labels"),
        ("evaluate --counts=x.csv", "audit --counts"),
        ("evaluate RUN --until-settled 0.4:0.6", "audit RUN --sequential LOW HIGH"),
        ("evaluate --power --difference 0.1", "power --difference NUMBER"),
        ("evaluate RUN --fail-above mad=0.1", "check RUN --fail-above"),
    ],
)
def test_an_old_name_ends_with_one_line_that_names_the_new_one(old, new):
    result = CliRunner().invoke(main, old.split())
    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    assert line.endswith(f"is now `moesd-probe {new}`")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_is_printed_and_parsed_by_it(shell):
    variables = os.environ | {"_MOESD_PROBE_COMPLETE": f"{shell}_source"}
    command = [sys.executable, "-c", "from cli.main import main; main(prog_name='moesd-probe')"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    assert "moesd-probe" in done.stdout
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=done.stdout, text=True, check=True)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("words", "incomplete", "offered"),
    [
        ([], "pub", ["publish"]),
        (["evaluate"], "--feat", ["--features"]),
        (["train", "RUN", "--side"], "u", ["unet"]),
        (["study", "RUN"], "", STUDIES),
        (["study", "RUN", "maps"], "tr", ["tracing"]),
        (["compare"], "", ["methods", "runs"]),
        (["audit", "--side"], "b", ["base"]),
    ],
)
def test_a_shell_completes_commands_options_values_and_studies(shell, words, incomplete, offered):
    of_shell = get_completion_class(shell) or BashComplete
    completion = of_shell(main, {}, "moesd-probe", "_MOESD_PROBE_COMPLETE")
    assert [item.value for item in completion.get_completions(words, incomplete)] == offered


def test_the_list_of_studies_says_what_each_needs_and_takes(finished_run):
    found = json.loads(
        CliRunner().invoke(main, ["study", str(finished_run), "--list", "--json"]).stdout
    )
    assert list(found) == STUDIES
    assert all(of["takes"] and of["about"] for of in found.values())
    assert found["gate"]["requires"] == ["train"]
    assert found["maps"]["state"] == "can be done"
    text = CliRunner().invoke(main, ["study", str(finished_run), "--list"]).stdout
    assert text.startswith("association    after fit ")
