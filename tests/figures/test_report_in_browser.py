"""The page, opened from disk in a browser without a network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from figures.report import LARGEST_PAGE, render_report
from figures.sources import RunFiles
from probe.moesd.gate import CLASSES, classify_bias_score
from probe.stats.notation import interval
from probe.stats.proportion import binomial_interval

pytestmark = pytest.mark.slow

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--force-color-profile=srgb"),
)
DESK, PHONE = {"width": 1200, "height": 900}, {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright comes with the test extra")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"needs one of {BROWSERS} on the PATH, e.g. `apt-get install chromium`")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=list(FLAGS), chromium_sandbox=False
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(drawn_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, alone in a folder."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_report(drawn_run), encoding="utf-8")
    return path


class Reader:
    """A page that is open, and everything that it asked for or complained of."""

    def __init__(self, browser: Any, report: Path, **context: Any) -> None:
        self.address = report.as_uri()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page = browser.new_page(**({"viewport": DESK} | context))
        self.page.set_default_timeout(90_000)  # a busy machine is no failure
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.goto(self.address)

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def texts(self, selector: str) -> list[str]:
        return self.page.locator(selector).all_inner_texts()

    def close(self) -> None:
        """See that the page asked for nothing and complained of nothing."""
        self.page.close()
        left = [url for url in self.requests if not url.startswith(("data:", "blob:"))]
        assert left == [self.address]
        assert self.complaints == []


@pytest.fixture
def reader(browser: Any, report: Path) -> Iterator[Reader]:
    """The page in a window of a desk's size."""
    reader = Reader(browser, report)
    yield reader
    reader.close()


def test_without_scripts_the_page_shows_its_images(browser, report):
    reader = Reader(browser, report, java_script_enabled=False)
    assert reader.page.locator("details.still img").is_visible()
    assert not reader.page.locator("#explorer").is_visible()
    reader.close()


def test_the_page_opens_without_complaint_asks_for_nothing_and_is_small(reader, report):
    assert report.stat().st_size <= LARGEST_PAGE == 8_000_000
    assert reader.page.title() == "The bias of tinytown, and its correction"
    assert reader.page.locator("#map-plot .scatterlayer").count() == 1
    images = reader.page.locator("img").evaluate_all("all => all.map(i => [i.alt, i.complete])")
    assert all(alt for alt, _ in images)
    controls = "[...document.querySelectorAll('input, select')].map(e => e.labels.length)"
    assert set(reader.page.evaluate(controls)) == {1}
    named = "all => all.map(b => b.textContent.trim() || b.ariaLabel || b.title)"
    assert all(reader.page.locator("button").evaluate_all(named))


def test_the_search_finds_a_prompt_and_tells_what_is_known_of_it(reader, tables):
    expected = tables["map"]["prompt"].str.contains("nurse").sum()
    reader.page.get_by_label("Find a prompt").fill("nurse")
    assert reader.texts("#prompt-count")[0].startswith(f"{expected} of ")
    assert all("nurse" in text for text in reader.texts("#prompt-results button"))
    ringed = "document.getElementById('map-plot').data.find(t => t.name === 'found').x.length"
    assert reader.page.evaluate(ringed) == expected
    reader.page.keyboard.press("Enter")
    first = tables["map"][tables["map"]["prompt"].str.contains("nurse")].iloc[0]
    assert first["prompt"] in reader.texts("#prompt-detail dd")[0]
    assert reader.texts("#prompt-detail dd")[2].startswith(first["subject"])
    reader.page.get_by_label("Find a prompt").fill("zeppelin")
    assert reader.texts("#prompt-count")[0].startswith("0 of ")
    assert reader.texts("#prompt-results button") == []


def test_a_prompt_with_html_and_script_tags_is_shown_as_text(reader, drawn_run):
    prompts = RunFiles(drawn_run).table("gate")["prompt"]
    (hostile,) = prompts[prompts.str.contains("<script>")]
    reader.page.get_by_label("Find a prompt").fill("friends")
    assert reader.texts("#prompt-results button") == [hostile]
    reader.page.get_by_role("button", name="friends").click()
    assert reader.texts("#prompt-detail dd")[0] == hostile
    assert reader.texts("#prompt-detail dd")[-1] == "female-skewed (abstains: unsure)"
    box = "document.getElementById('map-plot')"
    chosen = f"{box}.data.findIndex(t => t.name === 'neutral')"
    at = f"{box}.data[{chosen}].customdata.indexOf({box}.data.at(-2).customdata[0])"
    reader.page.evaluate(f"Plotly.Fx.hover({box}, [{{curveNumber: {chosen}, pointNumber: {at}}}])")
    shown = reader.page.locator("#map-plot .hovertext").all_text_contents()
    assert "".join(shown) == hostile


def test_a_script_that_is_not_of_the_package_does_not_run(reader):
    reader.page.evaluate(
        "{ const s = document.createElement('script'); s.textContent = 'window.ran = true';"
        " document.body.append(s) }"
    )
    assert reader.page.evaluate("window.ran") is None
    assert "Content Security Policy" in reader.complaints.pop()


def test_a_heading_sorts_the_table_by_mouse_and_by_keyboard(reader):
    column = "#subject-shares tbody td:nth-child(4)"

    def shares() -> list[float]:
        return [float(text.split("\N{NO-BREAK SPACE}")[0]) for text in reader.texts(column)]

    before = reader.texts("#subject-shares tbody th")
    heading = reader.page.locator("#subject-shares thead button", has_text="Base")
    heading.click()
    assert shares() == sorted(shares())
    heading.focus()
    reader.page.keyboard.press("Enter")
    assert shares() == sorted(shares(), reverse=True)
    sorts = reader.page.locator("#subject-shares th[aria-sort]")
    assert sorts.evaluate_all("all => all.map(th => th.ariaSort)") == ["descending"]
    assert sorted(reader.texts("#subject-shares tbody th")) == sorted(before)


def test_the_gate_can_be_tried_at_other_thresholds(reader, drawn_run):
    table, config = RunFiles(drawn_run).table("gate"), RunFiles(drawn_run).json("moesd")

    def told() -> np.ndarray:
        cells = [int(text) for text in reader.texts("#gate-confusion tbody td")]
        return np.reshape(cells, (4, 4))

    def expected(neutral_below: float) -> np.ndarray:
        answers = classify_bias_score(
            table["bias_score"].round(5).to_numpy(),
            neutral_below=neutral_below,
            explicit_above=config["explicit_above"],
        )
        counts = pd.crosstab(table["route_truth"], pd.Series(answers, index=table.index))
        return counts.reindex(index=CLASSES, columns=CLASSES, fill_value=0).to_numpy()

    np.testing.assert_array_equal(told(), expected(config["neutral_below"]))
    right = binomial_interval(int(np.trace(told())), len(table))
    assert interval(asdict(right), scale="%") in reader.texts("#gate-right")[0]
    reader.page.get_by_label("Neutral below").fill("0.1")
    np.testing.assert_array_equal(told(), expected(0.1))
    reader.page.get_by_role("button", name="Reset", exact=True).click()
    np.testing.assert_array_equal(told(), expected(config["neutral_below"]))


def test_the_images_of_every_occupation_can_be_looked_at(reader):
    reader.page.get_by_label("Occupation", exact=True).select_option("secretary")
    images = reader.page.locator("#pairs-list img")
    assert images.count() == 8
    assert all(images.evaluate_all("all => all.map(i => i.alt.startsWith('secretary, '))"))
    reader.page.wait_for_function(
        "[...document.querySelectorAll('#pairs-list img')].every(i => i.naturalWidth > 0)"
    )
    reader.page.get_by_role("button", name="Next").click()
    assert not images.first.get_attribute("alt").startswith("secretary, ")


def test_a_prompt_can_be_found_and_looked_at_by_keyboard_alone(reader):
    keys, focused = reader.page.keyboard, "document.activeElement.id"
    for _ in range(30):
        keys.press("Tab")
        if reader.page.evaluate(focused) == "prompt-search":
            break
    keys.type("nurse")
    for _ in range(30):
        keys.press("Tab")
        if reader.page.evaluate("document.activeElement.closest('#prompt-results') !== null"):
            break
    keys.press("Tab")
    second = reader.page.evaluate("document.activeElement.textContent")
    keys.press("Space")
    assert reader.texts("#prompt-detail dd")[0] == second == reader.texts("#prompt-results li")[1]
    pressed = reader.page.locator("#prompt-results [aria-pressed=true]")
    assert pressed.all_inner_texts() == [second]
    assert reader.page.evaluate("document.activeElement.textContent") == second


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_paper_in_light_and_in_dark(browser, report, scheme):
    reader = Reader(browser, report, color_scheme=scheme)
    paper, ink, quiet, small, named = (
        brightness(reader.page.locator(selector).first.evaluate(f"e => getComputedStyle(e).{name}"))
        for selector, name in (
            ("body", "backgroundColor"),
            ("body", "color"),
            ("figcaption", "color"),
            ("[aria-labelledby=drift] small", "color"),
            ("#methods-table tbody th", "color"),
        )
    )
    assert (paper > ink) == (scheme == "light")
    assert contrast(paper, ink) >= 7
    assert min(contrast(paper, quiet), contrast(paper, small)) >= 4.5
    assert contrast(paper, named) >= 7
    assert reader.page.evaluate(
        "document.getElementById('map-plot').layout.font.color === color('ink')"
    )
    reader.close()


@pytest.mark.parametrize("letters", ["", "letter-spacing: 0.5em", "font-size: 1.6rem"])
def test_a_phone_shows_the_page_without_scrolling_sideways(browser, report, letters):
    """Whatever the fonts of a machine: letters are made wider here than any text font has them."""
    reader = Reader(browser, report, viewport=PHONE)
    if letters:
        reader.page.add_style_tag(content=f"* {{ {letters} !important; }}")
    assert reader.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    reader.close()


def brightness(color: str) -> float:
    """Relative luminance of ``rgb(r, g, b)``, as WCAG 2.2 defines it."""
    channels = np.array([int(part) for part in color[4:-1].split(",")]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(one: float, other: float) -> float:
    """Contrast ratio of two luminances, as WCAG 2.2 defines it."""
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)
