"""The page, opened from disk in a browser without a network."""

import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from figures.report import LARGEST_PAGE, render_report
from figures.sources import RunFiles

pytestmark = pytest.mark.slow

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--force-color-profile=srgb"),
)
DESK, TABLET, PHONE = (
    {"width": width, "height": height} for width, height in ((1440, 900), (1024, 768), (390, 844))
)
PAPER = {"light": (0xFD, 0xFC, 0xF9), "dark": (0x17, 0x16, 0x13)}


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
        self.page.on("popup", lambda window: self.complaints.append(f"a window: {window.url}"))
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


def test_without_scripts_the_page_shows_its_figures_tables_and_folds(browser, report):
    reader = Reader(browser, report, java_script_enabled=False)
    for selector in ("figure.strip svg", "#subject-shares td", "details img", "details table"):
        assert reader.page.locator(selector).first.is_visible()
    assert not reader.page.locator("#explorer").is_visible()
    reader.close()


def test_the_page_opens_without_complaint_asks_for_nothing_and_is_small(reader, report):
    assert report.stat().st_size <= LARGEST_PAGE == 3_000_000
    assert reader.page.title() == "Gender in the images of tinytown, before and after MoESD"
    images = reader.page.locator("img").evaluate_all(
        "all => all.map(i => [i.alt, i.complete && i.naturalWidth > 0])"
    )
    assert all(alt and is_shown for alt, is_shown in images)


def test_no_control_leaves_the_page_or_opens_a_window(reader):
    page = reader.page
    for fold in page.locator("summary").all():
        fold.click()
    for link in page.locator("a:visible:not(.skip)").all():
        link.click()
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    for button in page.locator("button:visible").all():
        button.click()
    for field in page.locator("input:visible").all():
        field.fill("nurse")
        field.press("Enter")
    for select in page.locator("select:visible").all():
        select.select_option(index=1)
    assert page.url.partition("#")[0] == reader.address
    assert len(page.context.pages) == 1
    # that nothing was asked for is seen when the reader closes


def test_the_first_screen_of_a_desk_has_the_finding_the_images_the_strip_and_the_limits(reader):
    for selector in ("h2.lead", "figure.examples", "figure.strip", ".short-limits li"):
        box = reader.page.locator(selector).first.bounding_box()
        assert box["y"] + box["height"] <= DESK["height"]


def test_the_search_shows_only_the_prompts_found_and_all_jobs_when_it_is_empty(reader, drawn_run):
    gate = RunFiles(drawn_run).table("gate")
    rows, search = "#scores tbody th", reader.page.get_by_label("Words of a prompt")
    everything = reader.texts(rows)
    n_objects = gate.loc[gate["group"] == "object", "subject"].nunique()
    assert len(everything) == 40 + n_objects
    assert reader.page.locator("#scores .shaft").count() <= 40  # objects have no arrow
    search.fill("nurse")
    found = gate[gate["prompt"].str.contains("nurse")]
    assert reader.texts("#prompt-count")[0].startswith(f"{len(found):,} of {len(gate):,} prompts")
    shown = reader.texts("#scores tbody tr")
    assert len(shown) == len(found)
    for text, route in zip(shown, found["route_trained"], strict=True):
        assert "nurse" in text
        assert text.endswith(route)
    search.fill("zeppelin")
    assert reader.texts(rows) == []
    assert f"moesd-probe inspect {drawn_run.name} 'zeppelin'" in reader.texts("#prompt-count")[0]
    search.fill("")
    assert reader.texts(rows) == everything


def test_a_prompt_with_html_and_script_tags_is_shown_as_text(reader, drawn_run):
    prompts = RunFiles(drawn_run).table("gate")["prompt"]
    (hostile,) = prompts[prompts.str.contains("<script>")]
    reader.page.get_by_label("Words of a prompt").fill("friends")
    (row,) = reader.texts("#scores tbody tr")
    assert row.startswith(hostile)
    assert row.endswith("female-skewed (abstains: unsure)")


def test_a_script_that_is_not_of_the_package_does_not_run(reader):
    reader.page.evaluate(
        "{ const s = document.createElement('script'); s.textContent = 'window.ran = true';"
        " document.body.append(s) }"
    )
    assert reader.page.evaluate("window.ran") is None
    assert "Content Security Policy" in reader.complaints.pop()


def test_a_heading_sorts_the_table_by_mouse_and_by_keyboard(reader):
    column = "#subject-shares tbody td:nth-child(4) .v"

    def shares() -> list[float]:
        return [float(text.split("\N{NO-BREAK SPACE}")[0]) for text in reader.texts(column)]

    before = reader.texts("#subject-shares tbody th")
    heading = reader.page.locator("#subject-shares thead button", has_text="Before")
    heading.click()
    assert shares() == sorted(shares())
    heading.focus()
    reader.page.keyboard.press("Enter")
    assert shares() == sorted(shares(), reverse=True)
    sorts = reader.page.locator("#subject-shares th[aria-sort]")
    assert sorts.evaluate_all("all => all.map(th => th.ariaSort)") == ["descending"]
    assert sorted(reader.texts("#subject-shares tbody th")) == sorted(before)


def test_the_images_of_every_job_can_be_looked_at(reader):
    reader.page.get_by_label("Occupation", exact=True).select_option("secretary (trained on)")
    images = reader.page.locator("#pairs-list img")
    assert images.count() == 8
    assert all(images.evaluate_all("all => all.map(i => i.alt.startsWith('secretary, '))"))
    reader.page.wait_for_function(
        "[...document.querySelectorAll('#pairs-list img')].every(i => i.naturalWidth > 0)"
    )
    reader.page.get_by_role("button", name="Next").click()
    assert not images.first.get_attribute("alt").startswith("secretary, ")


def test_everything_can_be_reached_and_used_by_keyboard_alone(reader):
    keys, seen = reader.page.keyboard, set()
    name = "document.activeElement.id || document.activeElement.getAttribute('aria-label')"
    for _ in range(120):
        keys.press("Tab")
        seen.add(reader.page.evaluate(name))
        if reader.page.evaluate("document.activeElement.id") == "prompt-search":
            break
    assert {"pairs-subject", "pairs-next", "Shares by occupation, table", "prompt-search"} <= seen
    keys.type("nurse")
    keys.press("Tab")
    assert reader.page.evaluate(name) == "Bias scores, table"
    assert all("nurse" in text for text in reader.texts("#scores tbody th"))
    ring = "getComputedStyle(document.activeElement).outlineStyle"
    assert reader.page.evaluate(ring) == "solid"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_lie_on_the_paper_of_the_page_in_light_and_in_dark(browser, report, scheme):
    reader = Reader(browser, report, color_scheme=scheme)
    figures = reader.page.locator("figure > img[src^='data:image/svg']")
    assert figures.count() > 3
    reader.page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    content = Image.open(BytesIO(figures.first.screenshot())).convert("RGB")
    assert content.getpixel((1, 1)) == PAPER[scheme]
    darkest, lightest = content.convert("L").getextrema()
    assert lightest - darkest > 150  # its letters can be read on it
    reader.close()


@pytest.mark.parametrize("size", [DESK, TABLET, PHONE], ids=["desk", "tablet", "phone"])
def test_no_table_is_cut_and_no_figure_cropped_at_any_width(browser, report, size):
    reader = Reader(browser, report, viewport=size)
    reader.page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert reader.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    cut = reader.page.locator("figure > img, figure > svg").evaluate_all(
        "all => all.filter(i => i.getBoundingClientRect().right > innerWidth).map(i => i.alt)"
    )
    assert cut == []
    labels = "all => all.filter(t => t.scrollWidth > t.clientWidth + 1).map(t => t.ariaLabel)"
    wide = reader.page.locator(".scroll").evaluate_all(labels)
    assert set(wide) <= (set() if size == PHONE else {"Methods compared, table"})
    row = reader.page.locator("#subject-shares tbody tr").first
    for cell in row.locator("td:visible .v").all():
        box = cell.bounding_box()
        assert box["x"] + box["width"] <= size["width"]
    reader.close()


@pytest.mark.parametrize("letters", ["letter-spacing: 0.5em", "font-size: 1.6rem"])
def test_a_phone_shows_the_page_without_scrolling_sideways(browser, report, letters):
    """Whatever the fonts of a machine: letters are made wider here than any text font has them."""
    reader = Reader(browser, report, viewport=PHONE)
    reader.page.add_style_tag(content=f"* {{ {letters} !important; }}")
    assert reader.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    reader.close()


def test_in_print_the_scores_the_folds_and_the_numbers_of_the_intervals_are_shown(reader):
    assert not reader.page.locator("details:not(.stays) figure").first.is_visible()
    reader.page.emulate_media(media="print")
    reader.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert reader.page.locator("details:not(.stays) figure").first.is_visible()
    assert reader.page.locator("#scores tbody svg").first.is_visible()
    limits = reader.page.locator("#mad-table .i").first
    assert limits.bounding_box()["width"] > 20
    assert not reader.page.locator("nav").is_visible()
    held = "e => e.scrollHeight > e.clientHeight + 1"
    assert not reader.page.locator(".tall").first.evaluate(held)


@pytest.mark.parametrize(
    ("size", "scheme"),
    [(DESK, "light"), (TABLET, "dark"), (PHONE, "light")],
    ids=["desk-light", "tablet-dark", "phone-light"],
)
def test_axe_finds_nothing_wrong(browser, report, size, scheme):
    axe = pytest.importorskip("axe_playwright_python.base", reason="axe comes with the test extra")
    reader = Reader(browser, report, viewport=size, color_scheme=scheme)
    reader.page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    reader.page.evaluate(axe.AXE_SCRIPT)
    found = reader.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    told = [
        (rule["id"], [node["target"] for node in rule["nodes"]]) for rule in found["violations"]
    ]
    assert told == []
    reader.close()
