"""The commands that need no run: audits of what others made, and their plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.audit_options import N_MAX, SOURCES, Options, audit_options, check_options
from cli.options import EXECUTOR, FILE, FOLDER, OUTPUT, Command, json_option, option_group
from cli.output import ProgressBar, echo, echo_json, given, open_run, take_executor

if TYPE_CHECKING:
    from probe.audit.readers.selection import Selection
    from probe.audit.sources import Source
    from probe.audit.tables import LabelTable


@click.command(cls=Command)
@click.argument("run", required=False, type=FOLDER)
@audit_options()
@json_option
def audit(run: Path | None, as_json: bool, **options: Any) -> None:
    """Audit images, labels or counts of any model, without a run.

    Names the subjects that differ from the target beyond chance. Every figure has the noise floor,
    the score of a fair model with as many images. `check` tests the output of --json against
    bounds.
    """
    chosen = given(options)
    check_options(run, chosen)
    if run is None:
        text, found = (_audit_pairs if "pairs" in chosen else _audit)(chosen)
    else:
        text, found = _audit_sequentially(run, **chosen)
    if "figure" in chosen:
        from figures.groups import write_groups_figure

        write_groups_figure(chosen["figure"], found)
    echo_json(found) if as_json else echo(text)


@click.command(cls=Command)
@option_group(
    "Options",
    difference={
        "type": click.FloatRange(0, 1, min_open=True),
        "required": True,
        "help": "The difference of a share, or of MAD, that is to be detected.",
    },
    spread={
        "type": click.FloatRange(0, 1),
        "help": "SD of the change over subjects; the value of --difference if not given.",
    },
)
@json_option
def power(difference: float, spread: float | None, as_json: bool) -> None:
    """Plan an audit: how many images and subjects it needs.

    With power 0.8 at 5 %, both two-sided.
    """
    from figures.text.audit import power_table
    from probe.stats.power import plan_audit

    found = plan_audit(difference, spread=spread)
    echo_json(found) if as_json else echo(power_table(found))


@click.command(cls=Command)
@click.argument("file", type=FILE)
@click.option("--column", help="Column that holds the captions; needed only if several could.")
@click.option(
    "--out",
    type=OUTPUT,
    help="CSV to write: each caption, its category, and the words that decided.",
)
@click.option(
    "--counterfactuals",
    type=OUTPUT,
    help="CSV to write: each caption that says a gender, with the other gender, and with none.",
)
@json_option
def prompts(
    file: Path, column: str | None, out: Path | None, counterfactuals: Path | None, as_json: bool
) -> None:
    """Count who appears in the captions of FILE.

    Categories: male, female, both, people, nobody. FILE is txt, csv, tsv, jsonl or parquet, or in
    the layout of LAION, OpenImages (narratives), Flickr or COCO. Only the words are analysed: no
    run and no model is needed. In written CSV, a cell that begins with = + - @ gets an apostrophe
    before it, so that no spreadsheet runs it as a formula.
    """
    from probe.text.captions.classification import audit_captions

    audit = audit_captions(file, column=column, out=out, counterfactuals=counterfactuals)
    if as_json:
        echo_json(audit.to_json())
        return
    echo(audit.summary())
    if out is not None:
        echo(f"{out}: {len(audit):,} rows")
    if audit.counterfactuals is not None:
        echo(
            f"{counterfactuals}: {audit.counterfactuals['n']:,} rows; "
            f"{audit.counterfactuals['n_without_swap']:,} without the other gender, "
            f"{audit.counterfactuals['n_without_neutral']:,} without a neutral form"
        )


def _audit(options: Options) -> tuple[str, Options]:
    """Return the text for people, and the data of ``--json``; so does the function below."""
    from figures.text.audit import audit_table, groups_table
    from probe.audit.audit import AuditSettings, audit_source, write_shares
    from probe.audit.groups import audit_groups
    from probe.audit.tables import LabelTable

    kind = next(name for name in SOURCES if name in options)
    is_strict = "disagreements" not in options and ("against" not in options or kind == "images")
    source = _source(kind, options[kind], options, is_strict=is_strict)
    files = ("target", "reference", "calibration")
    chosen: Options = {name: str(options[name]) for name in files if name in options}
    others = ("column", "value", "n_bootstrap", "seed")
    how = AuditSettings(**chosen, **{name: options[name] for name in others if name in options})
    attribute, margin = options.get("attribute"), options.get("margin", 0.05)
    along = {"along": options["along"]} if "along" in options else {}
    if "by" in options and isinstance(source, LabelTable):
        audits, pairs = audit_groups(source, how, attribute=attribute, margin=margin, **along)
        found: Options = {
            **{"source": source.source, "by": options["by"], **along, "notes": list(source.notes)},
            "groups": [{"group": name, **of.to_json()} for name, of in audits.items()],
            "differences": pairs,
        }
    else:
        audits = {"": audit_source(source, how, attribute=attribute)}
        if "against" in options:
            other = _source(kind, options["against"], options, is_strict=False)
            _refuse_unused(source, other)
            audits[""] = audits[""].against(source, other, how, margin=margin)
        found = audits[""].to_json()
    if "table" in options:
        write_shares(options["table"], audits)
    text = (groups_table if "groups" in found else audit_table)(found)
    if "disagreements" in options and isinstance(source, LabelTable):
        text += "\n" + _compare_with_people(source, found, options)
    return text, found


def _refuse_unused(source: Source, other: Source) -> None:
    """Refuse a ``--map`` of a value that neither source has."""
    from probe.audit.tables import LabelTable
    from probe.errors import DataError

    tables = (source, other)
    unused = [table.unused for table in tables if isinstance(table, LabelTable)]
    if len(unused) == 2 and (neither := unused[0] & unused[1]):
        raise DataError(f"neither source has a value {min(neither)!r} for --map to rename")


def _audit_pairs(options: Options) -> tuple[str, Options]:
    from figures.text.audit import pairs_table
    from probe.audit.labellers import Labeller
    from probe.audit.pairs import label_pairs, measure_pairs

    names = ("classifier", "clip", "attribute", "faces", "face_margin")
    judge: Any = {name: options.get(name) for name in names}
    judge["device"] = options.get("device", "cpu")
    genders = [value.strip() for value in options.get("values", "man,woman").split(",")]
    judge["values"] = genders if "clip" in options else None
    how: Options = {"genders": genders, "roles": options["pairs"], "selection": _selection(options)}
    with ProgressBar() as bar:
        table = label_pairs(options["images"], Labeller(**judge), progress=bar, **how)
    found = measure_pairs(table.count("roles")) | {"roles": options["pairs"]}
    return pairs_table(found), found


def _compare_with_people(judge: LabelTable, found: Options, options: Options) -> str:
    """Write the page of disagreements, add the agreement to ``found``, and return its text."""
    from figures.disagreements import agreement_table, disagreement_page
    from probe.audit.agreement import measure_agreement, pair_labels, read_people
    from probe.io.files import atomic

    folder, attribute = options["images"], found.get("groups", [found])[0]["attribute"]
    people = read_people(folder, attribute, _selection(options))
    _refuse_unused(judge, people)
    pairs = pair_labels(judge, people, attribute)
    found["agreement"] = measure_agreement(pairs)
    page = disagreement_page(folder, pairs, found["agreement"])
    with atomic(options["disagreements"]) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return agreement_table(found["agreement"])


def _selection(options: Options) -> Selection:
    from probe.audit.readers.selection import Selection

    return Selection.parse(options.get("where", ()), options.get("by"), options.get("map", ()))


def _source(kind: str, path: Path, options: Options, *, is_strict: bool = True) -> Source:
    from probe.audit.image_labels import label_folder
    from probe.audit.sources import read_source

    named, attribute = options.get("values"), options.get("attribute")
    values = [value.strip() for value in named.split(",")] if named else None
    selection = replace(_selection(options), is_strict=is_strict)
    if kind != "images":
        labels, counts = (path if kind == name else None for name in ("labels", "counts"))
        return read_source(
            labels=labels, counts=counts, attribute=attribute, values=values, selection=selection
        )
    names = ("classifier", "clip", "faces", "face_margin")
    device = options.get("device", "cpu")
    with ProgressBar() as bar:
        return label_folder(
            path,
            attribute=attribute,
            values=values,
            min_confidence=options.get("min_confidence", 0.0),
            device=device,
            selection=selection,
            progress=bar,
            executor=take_executor({name: options.get(name) for name in EXECUTOR}, device),
            **{name: options.get(name) for name in names},
        )


def _audit_sequentially(
    run: Path,
    *,
    sequential: tuple[float, float],
    max_images: int = N_MAX,
    side: str = "corrected",
    device: str = "cpu",
    **executor: Any,
) -> tuple[str, Options]:
    from figures.text.audit import sequential_table

    with ProgressBar() as bar:
        experiment = open_run(run, bar, device, executor)
        found = experiment.audit_until_settled(*sequential, n_max=max_images, side=side).to_json()
    return sequential_table(found), found
