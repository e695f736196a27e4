"""What the documentation shows is what the program does."""

import re
import shlex
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cli.main import main
from cli.reference import PAGE, reference
from probe.run.registry import settings_tables

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted(path for path in (ROOT / "docs").glob("*.md") if path != PAGE),
]


def blocks(path, *languages):
    """The code blocks of a page that are marked as one of some languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", path.read_text("utf-8"), re.S | re.M)
    return [code for language, code in found if language in languages]


def commands_in(path):
    """Every call of the program in the code blocks of a page, as its arguments."""
    for code in blocks(path, "sh", "bash", "console"):
        for line in code.replace("\\\n", " ").splitlines():
            if match := re.match(r"(?:\$ )?moesd-probe (.*)", line.strip()):
                yield shlex.split(match[1], comments=True)


def mentions_in(path):
    """Every command with options in the text or the code of a page: words, as they stand."""
    names = "|".join(main.commands)
    text = re.sub(r"\\\n|\n\s*", " ", path.read_text("utf-8").replace("```", "\n`\n"))
    for code in re.findall(r"`([^`]+)`", text):
        for command, rest in re.findall(rf"(?:^|moesd-probe )({names})\b((?: [^`#;]*)?)", code):
            yield command, rest.split("moesd-probe")[0].split()


def options_of(command):
    """Every option of a command and of the commands below it, by each of its names."""
    below = command.commands.values() if isinstance(command, click.Group) else ()
    parameters = command.get_params(click.Context(command))
    own = {name: each for each in parameters for name in (*each.opts, *each.secondary_opts)}
    return own | {name: each for part in below for name, each in options_of(part).items()}


def test_the_reference_page_is_what_help_says():
    assert PAGE.read_text(encoding="utf-8") == reference(), "run `make docs`"


def test_the_table_of_the_readme_names_every_command():
    named = re.findall(r"^\| `(\w+)", README.read_text("utf-8"), re.M)
    assert set(named) == set(main.commands)


@pytest.mark.parametrize("path", PAGES, ids=[path.name for path in PAGES])
def test_every_option_and_value_that_a_page_names_is_one(path):
    for name, words in mentions_in(path):
        options = options_of(main.commands[name])
        for word, value in pairwise([*words, ""]):
            if not word.startswith("--"):
                continue
            assert word in options, f"{name} {word}"
            option = options[word]
            is_literal = value and value == value.lower() and not value.startswith("--")
            if is_literal and not option.is_flag and not isinstance(option.type, click.Path):
                for each in value.replace("\\", "").split("|"):
                    option.type.convert(each, option, None)  # raises for a wrong value


@pytest.mark.parametrize("path", PAGES, ids=[path.name for path in PAGES])
def test_every_setting_that_a_page_names_is_one(path):
    tables = settings_tables()
    for table, name in re.findall(r"\b(\w+)\.(\w+)=", path.read_text("utf-8")):
        assert name in {item.name for item in fields(tables[table])}, f"{table}.{name}"


@pytest.mark.parametrize("path", PAGES, ids=[path.name for path in PAGES])
def test_every_file_that_a_page_names_is_there(path):
    text = path.read_text("utf-8")
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    missing = [target for target in targets if not (path.parent / target).exists()]
    inline = re.findall(r"`((?:probe|figures|cli|tests|docs|benchmarks)/[\w./-]+)`", text)
    missing += [name for name in inline if "NAME" not in name and not (ROOT / name).exists()]
    modules = re.findall(r"`((?:probe|figures|cli)(?:\.\w+)+)`", text)
    assert missing + [name for name in modules if not is_there(name)] == []


def is_there(name):
    """Whether a dotted name is a module, or a name that a module defines."""
    module = ROOT.joinpath(*name.split("."))
    if module.is_dir() or module.with_suffix(".py").is_file():
        return True
    home, last = module.parent, module.name
    sources = [home.with_suffix(".py"), home / "__init__.py", home / "__init__.pyi"]
    return any(
        re.search(rf"\b{last}\b", source.read_text("utf-8"))
        for source in sources
        if source.is_file()
    )


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


@pytest.mark.parametrize(
    ("path", "code"),
    [
        pytest.param(path, code, id=f"{path.name}-{number}")
        for path in PAGES
        for number, code in enumerate(blocks(path, "python"))
    ],
)
def test_the_python_of_a_page_runs(path, code, model_folder, finished_run, small_lexicon):
    code = code.replace('"tinytown"', repr(str(model_folder)))
    code = code.replace('"runs/demo', f'"{finished_run}')
    code = code.replace("Lexicon.load()", f"Lexicon.load({str(small_lexicon)!r})")
    exec(compile(code, str(path), "exec"), {})
