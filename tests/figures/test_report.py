from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from figures.registry import all_figures
from figures.report import render_report
from figures.report.content import page_data, safe_json, share_change, subject_shares
from figures.report.page import content_policy
from figures.sources import SOURCES, RunFiles
from figures.text.sentences import finding
from figures.text.tables import attribute_rows
from figures.text.tables import split_blocks as splits
from figures.text.terms import DRIFT
from probe.errors import StageError
from probe.io.artifacts import read_json, read_table, write_json, write_table
from probe.run.config import Config
from probe.stats.notation import interval, percent
from probe.text.lexicon import SPLITS

VOID = {"meta", "img", "br", "link", "hr", "input"}


class Outline(HTMLParser):
    """Elements of a page, seen to be closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def page(sketched_run: Path) -> str:
    return render_report(sketched_run)


@pytest.fixture(scope="module")
def outline(page: str) -> Outline:
    parser = Outline()
    parser.feed(page)
    assert parser.open == []
    return parser


@pytest.fixture(scope="module")
def other_page(
    sketched_run: Path, sketch: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The page of another model without studies, with a lexicon that holds nothing out."""
    run = Path(shutil.copytree(sketched_run, tmp_path_factory.mktemp("other") / "run"))
    for name, source in SOURCES.items():
        path = run / source.path
        if source.is_optional:
            path.unlink()
        elif path.suffix == ".json":
            data, made = read_json(path, kind=source.kind)
            if name == "quality":
                for part in (data["base"], data["corrected"], data["difference"]):
                    for split in SPLITS:
                        del part[split]
                del data["failures"]["overfit"]
                data["failures"]["gate_missed"] = {"value": 0.0, "low": 0.0, "high": 1.0, "n": 0}
                data["drift"] = {"features": "CLIPModel (a/b)", "n_pairs": 5}
            write_json(path, data, replace(made, model="some/model"))
        else:
            table, made = read_table(path, kind=source.kind)
            if name == "fairness":
                table = table[table["split"] == "all"]
            elif "split" in table:
                table["split"] = table["split"].replace(["validation", "test"], "train")
            write_table(path, table, replace(made, model="some/model"))
    sketch(run)
    return render_report(run)


def text_of(page: str, section: str) -> str:
    """One section of a page, as it is written."""
    (found,) = re.findall(rf'<section aria-labelledby="{section}">.*?</section>', page, re.S)
    return str(found)


def test_a_prompt_with_html_in_it_is_text_on_the_page(page):
    assert "a photo of &lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    assert r"a photo of \u003cscript\u003ealert('x')\u003c/script\u003e" in page


def test_only_the_scripts_of_the_package_are_on_the_page_and_the_policy_names_them(page, outline):
    data, *scripts = outline.scripts
    assert json.loads(data)["n_prompts"] > 0
    assert [script.get("type") for script in outline.all("script")] == [
        "application/json",
        None,
        None,
    ]
    assert "plotly.js" in scripts[0][:200]
    (policy,) = [tag["content"] for tag in outline.all("meta") if "http-equiv" in tag]
    assert policy == content_policy(scripts)
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy


def test_the_page_needs_no_other_file_and_no_network(page, outline):
    for image in outline.all("img"):
        assert image["src"].startswith("data:image/webp;base64,")
    assert outline.all("link") == []
    own = page.replace(outline.scripts[1], "")  # plotly.js, whose own addresses it never asks for
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", own)
    assert "url(" not in own
    assert "@import" not in own


def test_every_figure_is_on_the_page_with_a_caption_and_an_alternative_text(outline):
    images = outline.all("img")
    assert len(images) == len(all_figures()) == len(outline.all("figcaption"))
    assert {image["alt"] for image in images} == {entry.alt for entry in all_figures().values()}


def test_tables_have_captions_and_can_be_scrolled_and_headings_do_not_skip_a_level(outline):
    assert len(outline.all("caption")) == len(outline.all("table")) > 3
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    regions = [of for of in outline.all("div") if "scroll" in (of.get("class") or "").split()]
    assert len(regions) > 7
    assert {(of["role"], of["tabindex"]) for of in regions} == {("region", "0")}
    assert len({of["aria-label"] for of in regions}) == len(regions)


def test_only_tinytown_is_called_a_laboratory_model(page, other_page):
    assert "laboratory model" in page
    assert "Nothing on this page is evidence about Stable Diffusion" in page
    assert "some/model" in other_page
    assert "laboratory model" not in other_page
    assert "tinytown" not in other_page


def test_a_run_that_holds_nothing_out_has_a_page_too(other_page, quality):
    assert "occupations never seen" not in other_page
    assert interval(quality["difference"]["mad"]) in other_page
    assert "nothing to count" in other_page  # no failure is possible


def test_the_figures_on_the_page_are_those_of_the_run(page, quality):
    for side in ("base", "corrected"):
        for split in SPLITS:
            assert interval(quality[side][split]["mad"]) in page
        assert percent(quality[side]["explicit_adherence"]["value"]) in page
    assert interval(quality["difference"]["test"]["mad"]) in page
    assert "error rates up to 12.5\N{NO-BREAK SPACE}%" in text_of(page, "fairness")


def test_the_changes_of_other_attributes_are_on_the_page(page, quality):
    rows = attribute_rows(quality)
    assert len(rows) == 2 * 3  # overall, and within each gender
    for cells, _ in rows:
        assert f'<th scope="row">{escape(cells[0])}</th>' in page
        assert all(escape(cell) in page for cell in cells[1:])
    assert "moved further from even" in page


def test_drift_stands_beside_its_intervals_and_whose_features_it_is_in(page, quality):
    section = text_of(page, "drift")
    assert "Features: <code>Dinov2Model (mine/dino)</code>" in section
    assert "800 pairs" in section
    for key, (name, _) in DRIFT.items():
        assert f"{name} <small>" in section
        assert interval(quality["drift"][key], 4) in section


def test_cells_where_attributes_meet_are_shown_and_small_ones_named_but_not_shown(page):
    section = text_of(page, "intersections")
    assert "the worst cell is woman, young, 15.0\N{NO-BREAK SPACE}% [9.0, 22.5]" in section
    shown, small = section.split("gender \N{MULTIPLICATION SIGN} age \N{MULTIPLICATION SIGN} skin")
    assert shown.count("<tr>") == 1 + 4
    assert "<table" not in small.split("<figure")[0]
    assert "Cells that are too small: woman, young, light; woman, young, dark; " in small
    assert "every cell is too small" in small
    assert "<td>harmed</td>" in section
    assert "Out of date:" not in section


def test_cells_of_other_images_are_said_to_be_of_others(sketched_run, tmp_path):
    run = Path(shutil.copytree(sketched_run, tmp_path / "run"))
    Config.read(run).with_settings("study", {"seed": 99}).write(run)
    section = text_of(render_report(run), "intersections")
    assert "Out of date:" in section
    assert "moesd-probe study RUN intersections" in section


def test_methods_are_ranked_and_those_that_lose_explicit_prompts_come_last(page):
    section = text_of(page, "methods")
    assert "Perhaps out of date:" in section  # the correction has no weights here
    names = re.findall(r'<th scope="row">([\w-]+)', section)
    assert names == ["base", "explicit-mixing", "moesd", "leace"]
    marked = re.findall(r'<th scope="row">([\w-]+) ([*‡])</th>', section)
    assert marked == [("explicit-mixing", "‡"), ("leace", "*")]
    assert interval({"value": 0.25, "low": 0.21, "high": 0.29}) in section
    assert "Best baseline: leace" in section
    assert "fairer than it" in section.lower()


def test_figures_without_the_classifiers_errors_stand_beside_those_of_every_split(quality, tables):
    known = deepcopy(quality)
    wanted = {}
    for number_, name in enumerate(("base", "corrected", "difference")):
        parts = [
            {"mad": {"value": number_ + part / 10, "low": 0.0, "high": 9.0, "floor": 0.1}}
            for part in range(4)
        ]
        known[name]["calibrated"] = parts[0] | dict(zip(SPLITS, parts[1:], strict=True))
        wanted[name] = parts
    blocks = splits(known, tables["fairness"])
    assert [block["key"] for block in blocks] == ["all", *SPLITS]
    for part, block in enumerate(blocks):
        assert block["calibrated"] == [of[part]["mad"] for of in wanted.values()]
    assert all(block["calibrated"] is None for block in splits(quality, tables["fairness"]))


def test_what_a_run_lacks_is_named_with_the_commands_that_make_it(page, other_page):
    section = text_of(other_page, "missing")
    for told in (
        "images of fewer than 4 occupations are too few",
        "<code>moesd-probe embed RUN --lexicon FILE</code>, then <code>moesd-probe run RUN</code>",
        "the classifier knows no attribute of people beside gender",
        "<code>moesd-probe compare methods RUN</code>",
    ):
        assert told in section
    for key in ("drift", "intersections", "methods", "deeper"):
        assert f'id="{key}"' not in other_page
        assert f'href="#{key}"' not in other_page
        assert f'<a href="#{key}">' in page
    assert 'id="missing"' not in page


def test_every_section_is_in_the_navigation_in_the_order_of_the_page(outline):
    sections = [of["aria-labelledby"] for of in outline.all("section")]
    links = [of["href"].removeprefix("#") for of in outline.all("a")[1:]]
    assert ["finding", *links] == sections


def test_names_that_came_with_the_data_are_text_in_every_section(sketched_run, sketch, tmp_path):
    run = Path(shutil.copytree(sketched_run, tmp_path / "run"))
    hostile = "<img src=x onerror=alert(1)>"
    for name in ("methods_found", "intersections", "quality"):
        source = SOURCES[name]
        data, made = read_json(run / source.path, kind=source.kind)
        if name == "quality":
            data["drift"]["features"] = hostile
        text = json.dumps(data).replace("woman, young", hostile).replace("leace", hostile)
        write_json(run / source.path, json.loads(text), made)
    table, made = read_table(run / SOURCES["cells"].path, kind="cells")
    write_table(run / SOURCES["cells"].path, table.replace("woman, young", hostile), made)
    sketch(run)
    page = render_report(run)
    assert "<img src=x" not in page
    for key in ("drift", "intersections", "methods"):
        assert "&lt;img src=x onerror=alert(1)&gt;" in text_of(page, key)


def test_the_same_run_gives_the_same_bytes(sketched_run, page):
    assert render_report(sketched_run) == page


def test_the_report_wants_the_figures_first(run):
    with pytest.raises(StageError, match="moesd-probe visualize"):
        render_report(run)


def test_figures_of_older_results_are_refused(sketched_run, tmp_path):
    run = Path(shutil.copytree(sketched_run, tmp_path / "run"))
    path = RunFiles(run).path("quality")
    data, made = read_json(path, kind="quality")
    write_json(path, data | {"n_images": {"base": 1, "corrected": 1}}, made)
    with pytest.raises(StageError, match=r"other results.*moesd-probe visualize"):
        render_report(run)


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


def test_the_change_of_a_share_has_the_interval_of_newcombes_paper():
    # Newcombe (1998), table II, case (a), method 10: 56/70 against 48/80.
    found = share_change({"value": 0.6, "n": 80}, {"value": 0.8, "n": 70})
    assert found["value"] == pytest.approx(0.2)
    assert (found["low"], found["high"]) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_occupations_are_listed_once_by_labour_share(sketched_run, tables):
    rows = subject_shares(RunFiles(sketched_run))
    labour = [row["labour"] for row in rows]
    assert labour == sorted(labour)
    assert {row["subject"] for row in rows} == set(tables["subjects"]["subject"])
    assert len(rows) == len(tables["subjects"])


def test_the_scripts_read_every_prompt_with_its_place_and_answers(
    sketched_run, tables, monkeypatch
):
    data = page_data(RunFiles(sketched_run), pairs=[])
    prompts = data["prompts"]
    assert {len(column) for column in prompts.values()} == {data["n_prompts"]}
    assert data["n_prompts"] == len(tables["map"])
    assert prompts["prompt"][5:] == tables["map"]["prompt"].tolist()[5:]
    assert prompts["bias_score"] == pytest.approx(tables["gate"]["bias_score"].tolist(), abs=1e-5)
    monkeypatch.setattr("figures.report.content.N_PROMPTS", 10)
    assert len(page_data(RunFiles(sketched_run), pairs=[])["prompts"]["prompt"]) == 10


@pytest.mark.parametrize("text", ["</script>", "<!-- <script>", "a & b", "\u2028", "é"])
def test_json_on_the_page_reads_back_as_it_was_and_ends_no_script(text):
    written = safe_json({"prompt": text})
    assert json.loads(written) == {"prompt": text}
    assert not set(written) & set("<>&\u2028\u2029")
