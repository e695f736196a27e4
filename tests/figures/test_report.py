from __future__ import annotations

import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from figures.paper import FIGURES, draw
from figures.report import finding, interval, number, p_value, percent, write_report
from figures.sources import SOURCES, RunFiles
from probe.artifacts import read_json, read_table, write_json, write_table
from probe.errors import StageError

VOID = {"meta", "img", "br", "link", "hr"}


class Outline(HTMLParser):
    """Elements of a page, seen to be closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def page(drawn_run: Path) -> str:
    return write_report(drawn_run).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def outline(page: str) -> Outline:
    parser = Outline()
    parser.feed(page)
    assert parser.open == []
    return parser


@pytest.fixture(scope="module")
def other_page(drawn_run: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of another model, with a lexicon that holds nothing out."""
    run = Path(shutil.copytree(drawn_run, tmp_path_factory.mktemp("other") / "run"))
    for name, source in SOURCES.items():
        path = run / source.path
        if path.suffix == ".json":
            data, made = read_json(path, kind=source.kind)
            if name == "quality":
                for part in (data["base"], data["corrected"], data["difference"]):
                    del part["trained"], part["held_out"]
                del data["failures"]["overfit"]
            write_json(path, data, replace(made, model="some/model"))
        else:
            table, made = read_table(path, kind=source.kind)
            if name == "fairness":
                table = table[table["split"] == "all"]
            elif "split" in table:
                table["split"] = table["split"].replace("held_out", "trained")
            write_table(path, table, replace(made, model="some/model"))
    draw(run, formats=["png"])
    return write_report(run).read_text(encoding="utf-8")


def test_a_prompt_with_html_in_it_is_text_on_the_page(page, outline):
    assert outline.all("script") == []
    assert "a photo of &lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in page


def test_the_page_needs_no_other_file_and_no_network(page, outline):
    for image in outline.all("img"):
        assert image["src"].startswith("data:image/png;base64,")
    assert outline.all("link") == []
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)
    assert "url(" not in page
    assert "@import" not in page


def test_every_figure_is_on_the_page_with_a_caption_and_an_alternative_text(outline):
    images = outline.all("img")
    assert len(images) == len(FIGURES) == len(outline.all("figcaption"))
    assert {image["alt"] for image in images} == {entry.alt for entry in FIGURES.values()}


def test_tables_have_captions_and_headings_do_not_skip_a_level(outline):
    assert len(outline.all("caption")) == len(outline.all("table")) > 3
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_every_link_of_the_page_leads_to_a_heading(outline):
    ids = {attributes.get("id") for _, attributes in outline.elements}
    for link in outline.all("a"):
        assert link["href"].removeprefix("#") in ids


def test_light_and_dark_are_both_designed(page):
    assert "prefers-color-scheme: dark" in page
    assert '<meta name="color-scheme" content="light dark">' in page


def test_tinytown_is_called_a_laboratory_animal(page):
    assert "laboratory animal" in page
    assert "Nothing on this page is evidence about Stable Diffusion" in page


def test_another_model_is_not_called_a_laboratory_animal(other_page):
    assert "some/model" in other_page
    assert "laboratory animal" not in other_page
    assert "tinytown" not in other_page


def test_a_run_that_holds_nothing_out_has_a_page_too(other_page, quality):
    assert "held-out ones" not in other_page
    assert interval(quality["difference"]["mad"]) in other_page


def test_the_figures_on_the_page_are_those_of_the_run(page, quality):
    for side in ("base", "corrected"):
        for split in ("trained", "held_out"):
            for measure in ("mad", "fd", "delta", "gap", "kl"):
                assert interval(quality[side][split][measure]) in page
        assert percent(quality[side]["explicit_honoured"]["value"]) in page
    assert interval(quality["difference"]["held_out"]["mad"]) in page


def test_the_same_run_gives_the_same_bytes(drawn_run, page):
    assert write_report(drawn_run).read_text(encoding="utf-8") == page


def test_the_report_wants_the_figures_first(run):
    with pytest.raises(StageError, match="moesd-probe visualize"):
        write_report(run)
    assert not (run / "report.html").exists()


def test_figures_of_older_results_are_refused(drawn_run, tmp_path):
    run = Path(shutil.copytree(drawn_run, tmp_path / "run"))
    path = RunFiles(run).path("quality")
    data, made = read_json(path, kind="quality")
    write_json(path, data | {"n_images": {"base": 1, "corrected": 1}}, made)
    with pytest.raises(StageError, match=r"other results.*moesd-probe visualize"):
        write_report(run)


@pytest.mark.parametrize(
    ("low", "high", "verb"),
    [(-0.2, -0.1, "falls to"), (0.1, 0.2, "rises to"), (-0.1, 0.1, "does not change measurably")],
)
def test_the_finding_says_what_the_interval_says(quality, low, high, verb):
    change = quality["difference"]["mad"] | {"low": low, "high": high}
    told = quality | {"difference": quality["difference"] | {"mad": change}}
    before, after = finding(told, model="some-model", n_subjects=40)
    assert "some-model" in before
    assert verb in after


def test_numbers_are_written_as_papers_write_them():
    assert number(-0.1234) == "\N{MINUS SIGN}0.123"
    assert number(-0.0001) == "0.000"
    assert p_value(0.0002) == "p < 0.001"
    assert p_value(0.04) == "p = 0.040"
    assert percent(0.985) == "98.5\N{NO-BREAK SPACE}%"
