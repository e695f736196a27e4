"""The bias section of a model card: results, how they were measured, and their limits."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from figures.cards.evidence import Evidence, public_name
from figures.text.sentences import finding, limits
from figures.text.tables import evaluation_parts, rate, score, sizes, split_blocks
from figures.text.terms import DRIFT, measures_of, versions
from probe.run.evaluation.measurement import SIDES
from probe.run.routing import router_in_use
from probe.stats.notation import interval, number, p_value
from probe.text.checkpoints import SHIPPED
from probe.text.lexicon import SPLIT_NAMES

if TYPE_CHECKING:
    from jinja2 import Environment

BEGIN, END = "<!-- moesd-probe:begin -->", "<!-- moesd-probe:end -->"
"""Lines around the section; the text between them is replaced by the next one."""

_MARKUP = re.compile(r"([\\`*_\[\]|~#])")


class Markdown(str):
    """Text that is Markdown already, and is not escaped again."""


def plain(text: str) -> str:
    """Escape text on one line, so that it is neither Markdown, nor HTML, nor a table's edge."""
    return _MARKUP.sub(r"\\\1", html.escape(" ".join(text.split()), quote=False))


def render(name: str, /, **values: Any) -> Markdown:
    """Fill a template of this package; all text is escaped unless it is `Markdown`."""
    return Markdown(_environment().get_template(name).render(**values))


def bias_section(evidence: Evidence) -> Markdown:
    """Write the section as Markdown, its markers included; the same run gives the same text."""
    quality, config = evidence.quality, evidence.run.config
    n_subjects, n_images = evidence.size("all")
    text = render(
        "bias.md.j2",
        begin=Markdown(BEGIN),
        end=Markdown(END),
        is_laboratory=config.model in SHIPPED,
        evidence=evidence,
        quality=quality,
        finding=finding(quality, evidence.counts, model=evidence.model, prompt=evidence.prompt),
        measures=measures_of(len(evidence.values)),
        splits=split_blocks(quality, evidence.fairness),
        **evaluation_parts(quality),
        drift=DRIFT,
        intersections=_intersections(evidence),
        values=evidence.values,
        occupations=_occupations(evidence),
        template=evidence.run.lexicon.templates[config.generate.scored_on].neutral[0],
        n_subjects=n_subjects,
        n_images=n_images,
        groups=evidence.groups,
        generate=config.generate,
        routing=router_in_use(evidence.run).kind,
        train=config.train,
        target=public_name(config.generate.target),
        settings=config.evaluate,
        versions=versions(),
        limits=limits(config.model, quality["attribute"], evidence.values),
    )
    return Markdown(text.strip("\n"))


def _intersections(evidence: Evidence) -> list[tuple[str, str, dict[str, Any]]]:
    """Name, side and figures of every intersection, those of fewer attributes first."""
    if evidence.intersections is None:
        return []
    found = evidence.intersections["intersections"]
    names = sorted(found, key=lambda name: name.count(" x "))
    return [(name, title, found[name][side]) for name in names for side, title in SIDES.items()]


def _occupations(evidence: Evidence) -> list[dict[str, Any]]:
    """Counts of every value by side, and the share of the first value, of every occupation."""
    rows = []
    for subject, of_subject in evidence.counts.groupby("subject", sort=False):
        cells = of_subject.set_index(["side", "value"])
        places = [(side, value) for side in SIDES for value in evidence.values]
        shares = [cells.loc[(side, evidence.quality["value"])] for side in SIDES]
        rows.append(
            {
                "subject": str(subject),
                "split": SPLIT_NAMES[cells["split"].iloc[0]],
                "counts": [int(cells.loc[place, "count"]) for place in places],
                "shares": [
                    {"value": of["share"], "low": of["low"], "high": of["high"]} for of in shares
                ],
            }
        )
    return rows


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("figures.cards"),
        finalize=lambda value: value if isinstance(value, Markdown) else plain(str(value)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for write in (interval, number, p_value, rate, score):
        environment.filters[write.__name__] = _markdown(write)
    environment.filters |= {"sizes": sizes, "code": Markdown}
    return environment


def _markdown(write: Callable[..., str]) -> Callable[..., Markdown]:
    return lambda *args, **options: Markdown(write(*args, **options))
