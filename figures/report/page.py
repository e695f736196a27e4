"""Write the report: one HTML file with its own scripts, which makes no request."""

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from markupsafe import Markup

from figures.report.content import content, safe_json
from figures.report.pictures import N_PAIRS
from figures.sources import RunFiles
from figures.text.tables import rate, sizes
from figures.text.terms import plural
from probe.errors import ArtifactError
from probe.stats.notation import counted, interval, number, p_value, percent

LARGEST_PAGE = 3_000_000
"""Bytes of the page at most, so that it can be mailed and opens at once."""


def clipped(place: float) -> float:
    """A place on a bar, from 0 to 100."""
    return round(min(100.0, max(0.0, place)), 1)


def points(found: Mapping[str, Any]) -> dict[str, Any]:
    """A share and its limits in percentage points."""
    return {**found, **{key: 100 * found[key] for key in ("value", "low", "high")}}


WRITERS = (clipped, counted, interval, number, p_value, percent, plural, points, rate, sizes)
FILTERS = {write.__name__: write for write in WRITERS}
SCRIPTS = ("common.js", "prompts.js", "table.js", "pairs.js")


def render_report(run: Path) -> str:
    """Compose the page as text; it needs no other file and no network.

    The same run and package versions give the same text. Figures that are missing or older than the
    results are refused.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("figures.report", "template"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    script = "\n".join(_text(name) for name in SCRIPTS)
    template, files = environment.get_template("report.html.j2"), RunFiles(Path(run))
    for n_pairs in N_PAIRS:
        found = content(files, n_pairs=n_pairs)
        page = template.render(
            **found,
            json=safe_json(found["data"]),
            style=Markup(_text("style.css")),
            script=Markup(script),
            policy=content_policy(script),
        )
        if len(page.encode()) <= LARGEST_PAGE:
            return page
    raise ArtifactError(
        f"the page of {run} would have {len(page.encode()) / 1e6:.1f} MB even without images, more "
        f"than {LARGEST_PAGE / 1e6:.0f}; make the run from fewer prompts"
    )


def content_policy(script: str) -> str:
    """State what a browser may do with the page: run this script, and ask for nothing.

    A content security policy names our script by its hash, so that nothing that came in with the
    data can run, whatever it looks like, and forbids every request.

    References
    ----------
    W3C, *Content Security Policy Level 3* (2023), section 6.7.
    """
    return (
        f"default-src 'none'; script-src 'sha256-{_sha256(script)}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")


def _text(name: str) -> str:
    return (resources("figures.report") / "template" / name).read_text(encoding="utf-8")
