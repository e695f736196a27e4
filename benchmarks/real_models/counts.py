"""Published counts of real models: fairness, guidance, and how published corrections fail."""

from collections.abc import Iterator
from pathlib import Path

from commands import Line, ask

from probe.stats.notation import number

PART = "counts"
CORRECTED = ("sd15+uce", "sd15+finetune-fair-diffusion")
LATER = [("sd15, 7.5", other) for other in ("sd3-medium, 7.5", "flux2-klein, 5")]
FILES = {
    "generated_1-5": "Stable Diffusion v1.5 (Fair-Diffusion's images)",
    "edited_1-5": "Fair-Diffusion",
    "laion": "LAION, training images",
}


def measure(data: Path, *, docs: Path) -> Iterator[Line]:
    """Measure the counts that are there, and draw the two figures of the page into ``docs``."""
    counts = data / "stayfair" / "counts.csv"
    if counts.is_file():
        yield from _models(counts, docs)
        yield from _guidance(counts, docs)
        yield from _corrections(counts)
    else:
        yield Line.missing(PART, "Stable Diffusion v1.5, SD3, FLUX.2", str(counts))
    for name, about in FILES.items():
        path = data / "fair_diffusion" / f"results_fairface_{name}.txt"
        if path.is_file():
            found, command = ask("audit", "--counts", path)
            known = f"noise floor {number(found['mad']['floor'])}"
            more = {
                "source": f"fair_diffusion/{path.name}",
                "command": command,
                "known": known,
                "unit": "occupations",
            }
            yield Line.of(PART, about, "MAD", found["mad"], **more)
        else:
            yield Line.missing(PART, about, str(path))
    if (data / "fair_diffusion").is_dir() and (data / "winogender").is_dir():
        yield from _correlations(data / "fair_diffusion", data)


def _models(counts: Path, docs: Path) -> Iterator[Line]:
    """MAD of each model and setting."""
    by = ("--by", "model,guidance", "--figure", docs / "real-models-mad.svg")
    found, command = ask("audit", "--counts", counts, *by)
    for group in found["groups"]:
        known = f"noise floor {number(group['mad']['floor'])}"
        more = {
            "source": "stayfair/counts.csv",
            "command": command,
            "known": known,
            "unit": "occupations",
        }
        yield Line.of(PART, group["group"], "MAD", group["mad"], **more)
    for pair in found["differences"]:
        if (pair["first"], pair["second"]) in LATER:
            figure = f"difference of MAD from {pair['first']} (p = {pair['p_holm']:.1g}, Holm)"
            more = {"source": "stayfair/counts.csv", "command": command, "unit": "occupations"}
            yield Line.of(PART, pair["second"], figure, pair, **more)


def _guidance(counts: Path, docs: Path) -> Iterator[Line]:
    """Change of MAD with guidance, and the shift of the log-odds."""
    along = ("--by", "model", "--along", "guidance", "--figure", docs / "real-models-guidance.svg")
    found, command = ask("audit", "--counts", counts, *along)
    more = {"source": "stayfair/counts.csv", "command": command, "unit": "occupations"}
    for pair in found["differences"]:
        about = f"{pair['first']} → {pair['second'].rpartition(', ')[2]}"
        figure = f"change of MAD with guidance (p = {pair['p_holm']:.1g}, Holm)"
        yield Line.of(PART, about, figure, pair, **more)
        slope, off = pair["shift"]["slope"], pair["shift"]["error_left_out"]
        figure = f"factor of the log-odds (predicts shares left out to {number(off)})"
        yield Line.of(PART, about, figure, slope, n=pair["n"], **more)


def _corrections(counts: Path) -> Iterator[Line]:
    """What published corrections change, and the occupations that they fail on."""
    for model in CORRECTED:
        chosen = ("guidance=7.5", "model=sd15", f"model={model}")
        where = [text for each in chosen for text in ("--where", each)]
        found, command = ask("audit", "--counts", counts, "--by", "model", *where)
        (pair,) = found["differences"]
        more = {"source": "stayfair/counts.csv", "command": command, "unit": "occupations"}
        figure = f"change of MAD from sd15 at guidance 7.5 (p = {pair['p']:.1g})"
        yield Line.of(PART, model, figure, pair, **more)
        for name, text in (("turned", "past even"), ("further", "further from even than before")):
            failed = pair["signatures"][name]
            named = f" ({', '.join(failed['subjects'])})" if failed["subjects"] else ""
            yield Line.of(PART, model, f"share of occupations {text}{named}", failed, **more)


def _correlations(folder: Path, data: Path) -> Iterator[Line]:
    """Shares of women in images against those of the labour market and of the training images."""
    path, market = folder / "results_fairface_generated_1-5.txt", "winogender/occupations-stats.tsv"
    bls = ("--reference", data / market, "--column", "bls_pct_female", "--value", "woman")
    laion = ("--reference", folder / "results_fairface_laion.txt", "--value", "woman")
    for of, chosen in (("workers (BLS)", bls), ("LAION's training images", laion)):
        found, command = ask("audit", "--counts", path, *chosen)
        more = {"source": f"fair_diffusion/{path.name}", "command": command, "unit": "occupations"}
        figure = f"share of women against that of {of}, r"
        yield Line.of(PART, FILES["generated_1-5"], figure, found["correlation"], **more)
