import base64
import json
import re
import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from html import escape, unescape
from html.parser import HTMLParser
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from markupsafe import Markup
from PIL import Image

from figures.registry import all_figures
from figures.report import render_report
from figures.report.content import page_data, safe_json, share_change, subject_shares
from figures.report.encoder import gate_summary, score_rows
from figures.report.opening import BIN, HEIGHT, dots
from figures.report.page import content_policy
from figures.report.pictures import drawn_figure
from figures.sources import SOURCES, RunFiles
from figures.text.sentences import finding
from figures.text.tables import attribute_rows
from figures.text.tables import split_blocks as splits
from figures.text.terms import DRIFT
from probe.errors import ArtifactError, StageError
from probe.io.artifacts import read_json, read_table, write_json, write_table
from probe.run.config import Config
from probe.stats.notation import bracketed, interval, number
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
            if name == "moesd":
                data["router"] = {"kind": "stratified"}
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
    assert "<script>alert" not in page
    assert r"a photo of \u003cscript\u003ealert('x')\u003c/script\u003e" in page


def test_only_the_scripts_of_the_package_are_on_the_page_and_the_policy_names_them(page, outline):
    data, script = outline.scripts
    assert json.loads(data)["n_prompts"] > 0
    assert [of.get("type") for of in outline.all("script")] == ["application/json", None]
    (policy,) = [tag["content"] for tag in outline.all("meta") if "http-equiv" in tag]
    assert policy == content_policy(script)
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy


def test_the_page_needs_no_other_file_and_no_network(page, outline):
    for image in outline.all("img"):
        assert image["src"].startswith(("data:image/webp;base64,", "data:image/svg+xml,"))
    assert outline.all("link") == []
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)
    assert "url(" not in page
    assert "@import" not in page
    addresses = set(re.findall(r"\w+://[^\s\"<]*", page))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, which nobody asks for


def test_every_figure_is_on_the_page_once_with_its_caption_and_an_alternative_text(page, outline):
    shown = [entry for entry in all_figures().values() if entry.section]
    images = [image["alt"] for image in outline.all("img")]
    assert all(images)
    for entry in shown:
        assert images.count(entry.alt) == [other.alt for other in shown].count(entry.alt)
        assert str(Markup("<figcaption>{}</figcaption>").format(entry.caption)) in page


def test_a_figure_is_a_vector_unless_it_is_of_older_results_or_too_large(
    sketched_run, tmp_path, monkeypatch
):
    run = Path(shutil.copytree(sketched_run, tmp_path / "run"))
    files, path = RunFiles(run), run / "figures" / "shares.svg"
    made = files.provenance("figure", *all_figures()["shares"].reads).made_from
    photograph = base64.b64encode((run / "figures" / "shares.png").read_bytes()).decode()
    image = f'<image xlink:href="data:image/png;base64,{photograph}"/>'
    shape = '<path fill="#ff0000" d="M1.23456 0.015625"/>'
    path.write_text(f'<svg><!-- {made} " --><metadata>x</metadata>\n {shape}{image}</svg>')
    source = drawn_figure(files, "shares")["source"]
    assert not {'"', "#"} & set(source)
    kind, _, svg = unquote(unescape(source)).partition(",")
    assert kind == "data:image/svg+xml"
    assert svg.startswith("<svg> <path fill='#ff0000' d='M1.23 0.015625'/><image xlink:href='data:")
    assert "metadata" not in svg
    assert "image/webp" in svg
    monkeypatch.setattr("figures.report.pictures.LARGEST_VECTOR", 10)
    assert drawn_figure(files, "shares")["source"].startswith("data:image/webp")
    monkeypatch.undo()
    bomb = BytesIO()
    Image.new("1", (14_000, 14_000)).save(bomb, "PNG")
    bomb_in_base64 = base64.b64encode(bomb.getvalue()).decode()
    path.write_text(f'<svg><!-- {made} " -->{image.replace(photograph, bomb_in_base64)}</svg>')
    with pytest.raises(ArtifactError, match=r"shares.png is not an image of ours"):
        drawn_figure(files, "shares")
    path.write_text("<svg><!-- older --></svg>")
    assert drawn_figure(files, "shares")["source"].startswith("data:image/webp")


def test_tables_have_captions_and_can_be_scrolled_and_headings_do_not_skip_a_level(outline):
    assert len(outline.all("caption")) == len(outline.all("table")) > 3
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    regions = [of for of in outline.all("div") if "scroll" in (of.get("class") or "").split()]
    assert len(regions) > 7
    assert {(of["role"], of["tabindex"]) for of in regions} == {("region", "0")}
    assert len({of["aria-label"] for of in regions}) == len(regions)


@pytest.mark.slow
def test_only_tinytown_is_called_a_laboratory_model(page, other_page):
    assert "laboratory model" in page
    assert "Nothing on this page is evidence about Stable Diffusion" in page
    assert "some/model" in other_page
    assert "laboratory model" not in other_page
    assert "tinytown" not in other_page


def test_a_run_that_holds_nothing_out_has_a_page_too(other_page, quality):
    assert "that the correction never saw, the average" not in other_page
    assert in_points(quality["difference"]["mad"]) in other_page
    assert "nothing to count" in other_page  # no failure is possible
    assert "This run holds no occupation out" in text_of(other_page, "gate")


def test_the_drawing_of_the_method_is_of_the_routing_in_use(page, other_page):
    assert "leans to men: " in text_of(page, "finding")
    drawn = text_of(other_page, "finding")
    assert "towards women or towards men, by the seed" in drawn
    assert "leans to" not in drawn


def in_points(found: dict[str, float]) -> str:
    return bracketed(*(100 * found[key] for key in ("value", "low", "high")), digits=1)


def test_the_figures_on_the_page_are_those_of_the_run(page, quality):
    section = text_of(page, "fairness")
    for side in ("base", "corrected", "difference"):
        for of in (quality[side], *(quality[side][split] for split in SPLITS)):
            assert f'title="{in_points(of["mad"])}, 95 % interval over ' in section
    for side in ("base", "corrected"):
        assert interval(quality[side]["explicit_adherence"], scale="%") in text_of(page, "effects")
    assert interval(quality["failures"]["moved_away"], 1, "%") in text_of(page, "effects")
    assert "error rates up to 12.5\N{NO-BREAK SPACE}%" in section


def test_the_first_screen_counts_the_jobs_and_shows_every_job_before_and_after(page, tables):
    section = text_of(page, "finding")
    shares = tables["shares"]
    largest = shares.groupby(["side", "subject"])["share"].max()
    before, after = ((largest[side] >= 7 / 8).sum() for side in ("base", "moesd"))
    assert before > after
    found = f"of 40 occupations, {before} were drawn as (nearly) one gender. After: {after}."
    assert found in section
    assert section.count("<circle") == 2 * 40
    assert section.count('class="new"') == 2 * 12
    assert section.count("<img") == 2 * 4
    for word in ("gate", "expert", "special token", "text encoder"):
        assert f"<em>{word}</em>" in section
    assert "Anything about Stable Diffusion." in section


def test_dots_that_coincide_are_stacked_and_no_stack_is_higher_than_the_strip():
    def job(value: float, split: str = "train") -> dict[str, Any]:
        side = {"value": value, "low": 0.0, "high": 1.0, "n": 16}
        return {"subject": "x", "split": split, "base": side, "moesd": side}

    few = dots([job(0.0), job(0.0), job(1.0, "test")], target=0.5)["sides"]["base"]
    first, second, last = few["dots"]
    assert first["x"] == second["x"] < last["x"]
    assert second["y"] - first["y"] == pytest.approx(BIN)
    assert (first["new"], last["new"]) == (False, True)
    many = dots([job(0.5)] * 150, target=0.5)["sides"]["base"]
    assert many["height"] <= HEIGHT + BIN


def test_the_page_names_the_recipe_with_the_settings_that_are_not_its_own(page):
    assert "paper with n_experts = 2" in text_of(page, "made")


def test_the_changes_of_other_attributes_are_on_the_page(page, quality):
    section = text_of(page, "effects")
    assert section.count('<table class="other-attributes">') == 3  # overall, within each gender
    rows = attribute_rows(quality)
    assert len(rows) == 2 * 3
    for _, of in rows:
        assert f'<th scope="row">age: {escape(of["shown"])}' in section
        assert f'title="{interval(of, 1, scale="points")}, 95 % interval' in section
    assert "moved further from even" in section


def test_the_gate_is_judged_on_prompts_that_it_was_not_trained_on_and_by_how_they_were_built(
    tables,
):
    gate = tables["gate"].assign(route_trained="explicit")
    gate.loc[gate["group"] == "neutral", "route_trained"] = "male-skewed"
    wrong = gate.index[(gate["group"] == "female") & (gate["split"] == "test")][0]
    gate.loc[wrong, "route_trained"] = "male-skewed"
    found = gate_summary(gate.assign(route_truth="unused"), "route_trained")
    n = {(row["kind"], row["group"]): (row["n"], row["corrected"]) for row in found["rows"]}
    is_new = gate["split"] == "test"
    n_explicit = int((is_new & gate["group"].isin(["male", "female"])).sum())
    assert n["explicit", "Never seen"] == (n_explicit, 1)
    n_neutral = int((is_new & (gate["group"] == "neutral")).sum())
    assert n["neutral", "Never seen"] == (n_neutral, n_neutral)
    assert found["n_seen"] == gate["split"].isin(["train", "validation"]).sum()
    assert [row["prompt"] for row in found["errors"]] == [gate.loc[wrong, "prompt"]]


def test_objects_stand_among_the_jobs_and_their_range_is_named(page, tables):
    found = score_rows(tables["gate"])
    assert {row["group"] for row in found["rows"]} == {"neutral", "object"}
    objects = tables["gate"].query("group == 'object'")["bias_score"]
    assert found["band"] == [objects.min(), objects.max()]
    low, high = (number(limit, 2) for limit in found["band"])
    assert f"bias scores, from {low} to {high}." in text_of(page, "bias")


def test_prompts_of_the_users_own_have_a_section_if_there_are_any(page, other_page, tables):
    section = text_of(page, "own")
    assert "3 prompts of yours" in section
    names = re.findall(r'<th scope="row" class="prompt">(.*?)</th>', section)
    assert names == ["a photo of a &lt;b&gt;welder&lt;/b&gt;", "a dancer on a stage", "a $5 cup"]
    assert "&lt;art&gt;" in section
    assert all_figures()["user_prompts"].alt in section
    assert 'id="own"' not in other_page


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


@pytest.mark.slow
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
    assert "0.250 <small>[0.210, 0.290]</small>" in section
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


def test_every_section_is_in_the_navigation_in_the_order_of_the_page(page, outline):
    sections = [of["aria-labelledby"] for of in outline.all("section")]
    (navigation,) = re.findall(r"<nav .*?</nav>", page, re.S)
    assert ["finding", *re.findall('href="#(.*?)"', navigation)] == sections
    assert sections.index("pictures") < sections.index("fairness") < sections.index("effects")
    assert sections.index("limits") < sections.index("bias") < sections.index("gate")
    assert sections[-1] == "files"


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


@pytest.mark.slow
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
    [(-0.2, -0.1, "fell from"), (0.1, 0.2, "rose from"), (-0.1, 0.1, "did not change measurably")],
)
def test_the_finding_says_what_the_interval_says(quality, tables, low, high, verb):
    change = quality["difference"]["test"]["mad"] | {"low": low, "high": high}
    told = deepcopy(quality)
    told["difference"]["test"]["mad"] = change
    lead, asked, distance, price = finding(told, tables["shares"], model="some-model", prompt="p")
    assert lead.startswith("Before: of 40 occupations, ")
    assert "asked some-model for \u201cp\u201d and 39 other occupations, 40 images each" in asked
    assert distance.startswith("On the 12 occupations that the correction never saw")
    assert verb in distance
    kept = quality["failures"]["explicit_changed"]["n_images"]
    assert f"explicit prompts {kept} of {kept}" in price


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


def test_the_scripts_read_every_prompt_with_its_scores_and_the_answer_of_the_gate_in_use(
    sketched_run, tables, monkeypatch
):
    files, gate = RunFiles(sketched_run), tables["gate"]
    scores = score_rows(gate)
    data = page_data(files, scores, pairs=[])
    prompts = data["prompts"]
    assert {len(column) for column in prompts.values()} == {data["n_prompts"]} == {len(gate)}
    assert prompts["prompt"][5:] == gate["prompt"].tolist()[5:]
    assert prompts["bias_score"] == pytest.approx(gate["bias_score"].tolist(), abs=1e-5)
    assert prompts["route"][5:] == gate["route_trained"].tolist()[5:]
    monkeypatch.setattr("figures.report.content.N_PROMPTS", 10)
    assert len(page_data(files, scores, pairs=[])["prompts"]["prompt"]) == 10


@pytest.mark.parametrize("text", ["</script>", "<!-- <script>", "a & b", "\u2028", "é"])
def test_json_on_the_page_reads_back_as_it_was_and_ends_no_script(text):
    written = safe_json({"prompt": text})
    assert json.loads(written) == {"prompt": text}
    assert not set(written) & set("<>&\u2028\u2029")
