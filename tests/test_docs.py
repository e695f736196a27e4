"""What is written about the program is what the program does."""

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cli.main import main
from cli.reference import PAGE, reference

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def blocks(path, *languages):
    """The code blocks of a page that are marked as one of some languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", path.read_text("utf-8"), re.S | re.M)
    return [code for language, code in found if language in languages]


def commands_in(path):
    """Every call of the program in the code of a page, as its arguments."""
    for code in blocks(path, "sh", "bash", "console"):
        for line in code.replace("\\\n", " ").splitlines():
            if match := re.match(r"(?:\$ )?moesd-probe (.*)", line.strip()):
                yield shlex.split(match[1], comments=True)


def test_the_reference_page_is_what_help_says():
    assert PAGE.read_text(encoding="utf-8") == reference(), "run `make docs`"


def test_the_reference_page_names_every_command():
    titles = re.findall(r"^## moesd-probe (\S+)$", PAGE.read_text("utf-8"), re.M)
    assert titles == list(main.commands)


def test_the_table_of_the_readme_names_every_command():
    named = re.findall(r"^\| `(\w+)(?: \w+)? (?:RUN|FILE|--model)", README.read_text("utf-8"), re.M)
    assert set(named) == set(main.commands)


def test_the_readme_shows_the_program_at_work():
    assert len(list(commands_in(README))) >= 3
    assert blocks(README, "python")


@pytest.mark.parametrize(
    "arguments", [pytest.param(a, id=" ".join(a)) for a in commands_in(README)]
)
def test_every_command_of_the_readme_is_one(arguments):
    name, *rest = arguments
    main.commands[name].make_context(name, rest, parent=click.Context(main))


@pytest.mark.slow
def test_the_commands_of_the_readme_run(model_folder, small_lexicon, tmp_path):
    for arguments in commands_in(README):
        named = [str(tmp_path / word) if word.startswith("runs/") else word for word in arguments]
        named = [str(model_folder) if "stable-diffusion" in word else word for word in named]
        if named[0] == "embed":
            named += ["--lexicon", str(small_lexicon)]
        result = CliRunner().invoke(main, named)
        assert result.exit_code == 0, result.output


@pytest.mark.parametrize("code", blocks(README, "python"))
def test_the_python_of_the_readme_runs(code, model_folder, finished_run, small_lexicon):
    code = code.replace('"tinytown"', repr(str(model_folder)))
    code = code.replace('"runs/demo', f'"{finished_run}')
    code = code.replace("Lexicon.load()", f"Lexicon.load({str(small_lexicon)!r})")
    exec(compile(code, str(README), "exec"), {})
