"""What the documentation shows is what the program does."""

import io
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from cli.main import main
from cli.reference import PAGE, reference
from probe.audit.readers.counts import read_counts
from probe.run.registry import settings_tables

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted(path for path in (ROOT / "docs").glob("*.md") if path != PAGE),
]
TUTORIAL = ROOT / "docs" / "tutorial.md"
TEXTS = [
    *(*PAGES, PAGE),
    *sorted((ROOT / "figures").rglob("*.j2")),
    *sorted((ROOT / "analysis_notebooks").glob("0*.ipynb")),
]
ONE_WORD = {
    r"\bjobs?\b": "occupation",
    r"\bpictures?\b": "image",
    r"(?<=[ (\[|])-(?=\d)": "the minus sign",
    r"\d%": "a space before %",
}
"""What is written otherwise in all texts, and how."""

FENCE = re.compile(
    r"(?:^<!-- not run: (?P<reason>.+?) -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.S | re.M,
)
NAMED = re.compile(r"`([\w/-]+\.\w+)`:")
"""A file name and a colon, in the paragraph before a block: the block is this file."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    code: str
    name: str
    """File that the block shows; empty if it shows none."""
    reason: str
    """Why it is not run; empty if it is."""


def blocks_of(path: Path) -> Iterator[Block]:
    text, end = path.read_text("utf-8"), 0
    for found in FENCE.finditer(text):
        paragraph = text[end : found.start()].rstrip().rpartition("\n\n")[2]
        name = NAMED.findall(paragraph)[-1:]
        end = found.end()
        yield Block(found["language"], found["code"], "".join(name), found["reason"] or "")


def commands_of(block: Block) -> list[list[str]]:
    lines = block.code.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def label_of(line: str) -> str:
    """What a line of output says apart from its figures and names."""
    text = re.sub(r"[\u2212-]?\d[\d.,]*", "#", line.strip()).replace("\N{NO-BREAK SPACE}", " ")
    text = text.replace("tinytown", "whole").replace("occupations", "occupation")
    return re.split(r"  |: ", text)[0]


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


@pytest.fixture
def desk(tmp_path, finished_run, monkeypatch):
    """A folder with a finished run and the files of the reference, in which blocks run."""
    shutil.copytree(finished_run, tmp_path / "runs" / "demo")
    monkeypatch.chdir(tmp_path)
    for block in blocks_of(ROOT / "docs" / "files.md"):
        write(block)


def write(block: Block) -> None:
    """Write the file that a block shows, and the images that it names."""
    path = Path(block.name)
    if not block.name:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.code, encoding="utf-8")
    if path.parent != Path():  # a folder of images, described by this file
        for number, name in enumerate(re.findall(r'"file_name": "([^"]+)"', block.code)):
            pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path.parent / name)


def work_through(path: Path, replaced: dict[str, str], new_run: list[str]) -> None:
    """Write the files of a page, then run its commands and Python, in order."""
    found = [block for block in blocks_of(path) if not block.reason and block.language != "mermaid"]
    for block in found:
        write(block)
    output = ""
    for block in found:
        if block.language == "sh":
            output = ""
            for words in commands_of(block):
                if words[0] == "make":
                    assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.M)
                    words = ["moesd-probe", "info", "runs/demo"]  # what `make demo` ends with
                assert words[0] == "moesd-probe", "say why it is not run"
                arguments = [replaced.get(word, word) for word in words[1:]]
                arguments += new_run if "--model" in words and "--lexicon" not in words else []
                arguments += ["--diffusion-steps", "2"] if words[1] == "train" else []
                result = CliRunner().invoke(main, arguments)
                assert result.exit_code == 0, f"{shlex.join(words)}\n{result.output}"
                output += result.output
        elif block.language == "python":
            code = block.code
            for word, other in replaced.items():
                code = code.replace(f'"{word}"', repr(other))
            with redirect_stdout(io.StringIO()) as printed:
                exec(compile(code, str(path), "exec"), {})
            output = printed.getvalue()
        elif not block.name:
            assert block.language == "text", f"neither file nor output: {block.code}"
            shown = [label_of(line) for line in block.code.splitlines() if line != "..."]
            assert set(shown) <= {label_of(line) for line in output.splitlines()}


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(page, id=page.name, marks=[pytest.mark.slow] if page == README else [])
        for page in PAGES
        if page != TUTORIAL and any(block.language != "mermaid" for block in blocks_of(page))
    ],
)
def test_the_blocks_of_a_page_run(path, desk, model_folder, small_lexicon):
    replaced = {
        name: str(model_folder)
        for name in ("tinytown", "stable-diffusion-v1-5/stable-diffusion-v1-5")
    }
    replaced |= {"FOLDER_OR_ID": str(model_folder), "RUN": "runs/demo"}
    work_through(path, replaced, ["--lexicon", str(small_lexicon)])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_tutorial_runs_on_the_laboratory_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    work_through(TUTORIAL, {"16": "4"}, [])


def test_the_readme_shows_the_result_of_the_tutorial():
    results = [
        [block for block in blocks_of(page) if block.language == "text"]
        for page in (README, TUTORIAL)
    ]
    assert results[0][0].code == results[1][0].code


@pytest.mark.parametrize("path", TEXTS, ids=[path.name for path in TEXTS])
def test_a_text_has_one_word_for_one_thing(path):
    text = path.read_text("utf-8")
    if path.suffix == ".ipynb":
        text = "\n".join(
            "".join(c["source"]) for c in json.loads(text)["cells"] if c["cell_type"] == "markdown"
        )
    if path != PAGE:  # code, and the code of templates
        text = re.sub(
            r"(?s)```.*?```|`[^`]*`|\$[^$]+\$|\{[{%].*?[%}]\}|<[^>]*>|\]\([^)]*\)", "", text
        )
    for pattern, word in ONE_WORD.items():
        assert not re.findall(rf".*{pattern}.*", text), f"write {word}"


def test_blocks_that_are_not_run_are_few():
    marked = [page.name for page in PAGES for block in blocks_of(page) if block.reason]
    assert sorted(marked) == [
        "README.md",
        "faces.md",
        "first-checkpoint.md",
        "scale.md",
        "training.md",
    ]


def test_the_forms_of_counts_hold_the_same(desk):
    forms = ("long.csv", "wide.csv", "shares.csv", "counts.json", "counts.txt")
    tables = [read_counts(form, values=("woman", "man")) for form in forms]
    found = {(*table.subjects, *table.counts.ravel().tolist()) for table in tables}
    assert found == {("nurse", "mechanic", 45, 5, 4, 46)}


def test_the_page_of_files_names_every_file_and_column_of_a_run(finished_run):
    rows = re.findall(r"^\| `([\w./]+)` \|.*\|(.*)\|$", (ROOT / "docs/files.md").read_text(), re.M)
    named = {name: re.findall(r"`([^`]+)`", cell) for name, cell in rows}
    folders = tuple(name for name in named if name.endswith("/"))
    made = {file.relative_to(finished_run).as_posix() for file in finished_run.rglob("*.*")}
    others = {name for name in made if name.endswith((".png", ".lock")) or name.startswith(folders)}
    assert made - others <= set(named)
    for name, words in named.items():
        if name.endswith(".parquet"):
            found = pd.read_parquet(finished_run / name).columns
            assert set(words) == {column for column in found if "gender" not in column}, name
        elif name.endswith(".json"):
            assert set(words) <= set(json.loads((finished_run / name).read_text("utf-8"))), name
