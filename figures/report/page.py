"""Write the report: one HTML file with its own scripts, which makes no request."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from importlib.resources import files as resources
from pathlib import Path

from markupsafe import Markup

from figures.report.content import content, safe_json
from figures.report.pictures import N_PAIRS
from figures.sources import RunFiles
from figures.text.tables import rate, sizes
from probe.errors import ArtifactError
from probe.stats.notation import interval, number, p_value, percent
from probe.text.lexicon import SPLIT_NAMES

LARGEST_PAGE = 8_000_000
"""Bytes of the page at most, so that it can be mailed and opens at once."""
FILTERS = {write.__name__: write for write in (interval, number, p_value, percent, rate, sizes)}
SCRIPTS = ("common.js", "map.js", "table.js", "gate.js", "trace.js", "pairs.js")


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
    environment.globals["split_names"] = SPLIT_NAMES
    scripts = [_plotly(), "\n".join(_text(name) for name in SCRIPTS)]
    template, files = environment.get_template("report.html.j2"), RunFiles(Path(run))
    for n_pairs in N_PAIRS:
        found = content(files, n_pairs=n_pairs)
        page = template.render(
            **found,
            json=safe_json(found["data"]),
            style=Markup(_text("style.css")),
            scripts=[Markup(script) for script in scripts],
            policy=content_policy(scripts),
        )
        if len(page.encode()) <= LARGEST_PAGE:
            return page
    raise ArtifactError(
        f"the page of {run} would have {len(page.encode()) / 1e6:.1f} MB even without images, more "
        f"than {LARGEST_PAGE / 1e6:.0f}; make the run from fewer prompts"
    )


def content_policy(scripts: Iterable[str]) -> str:
    """State what a browser may do with the page: run these scripts, and ask for nothing.

    A content security policy names our scripts by their hashes, so that nothing that came in with
    the data can run, whatever it looks like, and forbids every request.

    References
    ----------
    W3C, *Content Security Policy Level 3* (2023), section 6.7.
    """
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")


def _text(name: str) -> str:
    return (resources("figures.report") / "template" / name).read_text(encoding="utf-8")


def _plotly() -> str:
    # The package ships one bundle, the whole of it; a smaller one would have to be vendored here.
    path = resources("plotly") / "package_data" / "plotly.min.js"
    return path.read_text(encoding="utf-8")
