import itertools
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from figures.drawing import FORMATS, build, draw, drawable, write_image
from figures.registry import all_figures
from figures.sources import RunFiles
from figures.style import COLUMN
from probe.errors import ArtifactError, StageError
from probe.io.artifacts import Provenance, hash_file

ROOT = Path(__file__).parents[2]
FIGURES = all_figures()
QUICK = ("bias_score", "gate_confusion")


@pytest.fixture
def drawn(drawn_run: Path, tmp_path: Path) -> Path:
    """A copy of the drawn run, to be changed."""
    return Path(shutil.copytree(drawn_run, tmp_path / "run"))


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_full_disk_is_one_line_in_every_format(tmp_path, suffix):
    figure, made = Figure(), Provenance("figure", "m", "r", None, "h")
    figure.subplots().set_title("a letter is embedded")
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, unlimited[1]))
    try:
        with pytest.raises(ArtifactError, match="free some space and run the same command again"):
            write_image(tmp_path / f"a.{suffix}", figure, made)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_there_with_its_data_its_origin_its_fonts_and_a_standard_width(
    drawn_run, name
):
    folder = drawn_run / "figures"
    assert len(pd.read_csv(folder / f"{name}.csv")) > 0
    with Image.open(folder / f"{name}.png") as image:
        assert min(image.size) >= 240  # a single row of failures
        origin = json.loads(image.info["Description"])
    expected = RunFiles(drawn_run).provenance("figure", *FIGURES[name].reads)
    assert origin["made_from"] == expected.made_from
    assert (origin["model"], origin["seed"]) == ("tinytown", 7)
    title, caption = (folder / f"{name}.txt").read_text().replace("\n", " ").split(". ", 1)
    assert len(title) > 10
    assert caption.startswith(FIGURES[name].caption)
    assert "Model: tinytown" in caption
    page = (folder / f"{name}.pdf").read_bytes()
    assert page.startswith(b"%PDF")
    assert b"CreationDate" not in page
    assert str(drawn_run).encode() not in page
    assert b"/FontFile2" in page
    assert b"/Type3" not in page
    left, _, right, _ = map(float, re.search(rb"/MediaBox \[([^\]]+)\]", page)[1].split())
    assert (right - left) / 72 == pytest.approx(COLUMN[0], abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_fits_a_column_and_its_letters_are_large_enough_and_apart(
    drawn_run, name, monkeypatch
):
    figure, _ = build(RunFiles(drawn_run), name)
    assert figure.get_figwidth() == COLUMN[0]
    renderer, drawn = FigureCanvasAgg(figure).get_renderer(), []
    monkeypatch.setattr(Text, "draw", lambda text, _: drawn.append(text))
    figure.draw(renderer)
    texts = [text for text in dict.fromkeys(drawn) if text.get_visible() and text.get_text()]
    assert min(text.get_fontsize() for text in texts) >= 6.5
    boxes = {text: text.get_window_extent(renderer) for text in texts}
    for text, box in boxes.items():
        assert figure.bbox.padded(2).count_contains(box.corners()) == 4, text
    upright = [text for text in boxes if text.get_rotation() in (0, 90)]
    for one, other in itertools.combinations(upright, 2):
        assert not boxes[one].padded(-2).overlaps(boxes[other].padded(-2)), (one, other)


@pytest.mark.slow
def test_another_process_gives_the_same_bytes(drawn):
    before = {path.name: hash_file(path) for path in (drawn / "figures").iterdir()}
    code = "import sys, figures.drawing as f; [f.draw(sys.argv[1], n) for n in sys.argv[2:]]"
    subprocess.run(
        [sys.executable, "-c", code, str(drawn), *QUICK],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "12345"},
        check=True,
    )
    after = {path.name: hash_file(path) for path in (drawn / "figures").iterdir()}
    assert after == before


def test_an_unknown_figure_or_format_is_answered_with_the_known_ones(run):
    with pytest.raises(ValueError, match="no figure is named 'chart'; choose from map, "):
        draw(run, "chart")
    with pytest.raises(ValueError, match="choose from pdf, png, svg"):
        draw(run, "bias_score", formats=["gif"])
    with pytest.raises(ValueError, match="no style is named 'loud'; choose from paper, talk"):
        draw(run, "bias_score", style="loud")


def test_an_svg_is_the_same_every_time_and_says_what_it_was_made_from(run):
    path, *_ = draw(run, "bias_score", formats=["svg"])
    first = path.read_text(encoding="utf-8")
    draw(run, "bias_score", formats=["svg"])
    assert path.read_text(encoding="utf-8") == first
    assert RunFiles(run).provenance("figure", *FIGURES["bias_score"].reads).made_from in first
    assert "<dc:date>" not in first


def test_an_svg_has_no_plate_and_each_of_its_greys_has_a_colour_for_dark_pages(run):
    path, *_ = draw(run, "bias_score", formats=["svg"])
    style, drawn = re.search(
        r"(<style>@media.*?</style>)(.*)", path.read_text("utf-8"), re.S
    ).groups()
    plate, *_ = re.findall(r'<g id="patch_1">.*?</g>', drawn, re.S)
    assert "fill: none" in plate
    for part, grey in set(re.findall(r"(fill|stroke): #((?:[0-9a-f]{2}))\2\2\b", drawn)):
        assert f'[style*="{part}: #{3 * grey}"]{{{part}:#' in style


def test_nothing_is_drawn_unless_every_stage_before_has_run(run):
    RunFiles(run).path("quality").unlink()
    with pytest.raises(StageError, match="moesd-probe evaluate"):
        draw(run)
    assert not (run / "figures").exists()


@pytest.mark.slow
def test_a_missing_image_is_named(drawn):
    for path in (drawn / "images" / "moesd").rglob("*.png"):
        path.unlink()
    with pytest.raises(ArtifactError, match=r"there is no image .*png.*moesd-probe generate"):
        draw(drawn, "images")


@pytest.mark.slow
def test_the_grid_shows_pairs_of_one_seed_from_trained_and_unseen_subjects(drawn_run):
    data = pd.read_csv(drawn_run / "figures" / "images.csv")
    base, corrected = (data[data["side"] == side] for side in ("base", "moesd"))
    assert base["seed"].tolist() == corrected["seed"].tolist()
    assert base["subject"].tolist() == corrected["subject"].tolist()
    splits = data.drop_duplicates("subject")["split"].value_counts()
    assert splits.to_dict() == {"train": 4, "test": 2}


def test_a_run_without_studies_has_all_figures_but_theirs(run, tables):
    files = RunFiles(run)
    assert set(drawable(files)) == set(FIGURES)
    files.path("trace").unlink()
    assert set(FIGURES) - set(drawable(files)) == {"trace"}
