"""The figures of a run: their names, what each reads, and how they reach the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from figures import recipes, studies
from figures.failures import failure_pictures
from figures.sources import SOURCES, RunFiles
from figures.style import in_style
from figures.writing import ALL_FORMATS, FORMATS, write_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame


@dataclass(frozen=True)
class PaperFigure:
    """One figure of the paper."""

    recipe: Callable[[RunFiles], tuple[Figure, DataFrame]]
    """Reads a run and returns the figure with the data that it shows."""
    reads: tuple[str, ...]
    """Names of `figures.sources.SOURCES`."""
    caption: str
    """What stands under it."""
    alt: str
    """What a reader who does not see it needs to know of its form."""


FIGURES = {
    "map": PaperFigure(
        recipes.prompt_map,
        ("map", "fit"),
        "The prompts in the text encoder's space. Neutral prompts, which say no gender, carry the "
        "colour of women's share in the occupation: where the encoder is biased, the colours are "
        "in order between the female and the male prompts.",
        "Scatter plots of all prompts in two planes, PCA and UMAP, coloured by group.",
    ),
    "density": PaperFigure(
        recipes.density,
        ("map",),
        "Where each group of prompts is dense on the two maps: contours at half and at a tenth of "
        "the group's peak. Neutral prompts that lean fill the way between the female and the male "
        "ones.",
        "Filled contours of the density of each group, in two planes, PCA and UMAP.",
    ),
    "projections": PaperFigure(
        recipes.projections,
        ("map",),
        "Projections of the prompts on the bias axis, by group. The spread of the neutral prompts "
        "beyond that of the objects is what the occupation alone says about gender.",
        "Histograms of the projection on the bias axis, one outline a group of prompts.",
    ),
    "bias_score": PaperFigure(
        recipes.bias_score,
        ("subjects", "fit"),
        "Bias score of each occupation in the text encoder (mean over its neutral prompts, "
        "positive towards men) against women's share in the labour market. A negative r means that "
        "the encoder repeats the labour market.",
        "Scatter plot of bias score against labour share with a regression line.",
    ),
    "gate_regions": PaperFigure(
        recipes.gate_regions,
        ("gate", "moesd"),
        "What the gate answers along the axis of bias score. Shading and dashed lines show what "
        "the size and the sign of the bias score alone would say (neutral in the white band); "
        "rings are errors of the gate.",
        "Prompts on the axis of bias score, one row a true class, coloured by the gate's answer.",
    ),
    "gate_confusion": PaperFigure(
        recipes.gate_confusion,
        ("gate",),
        "Confusion of the closed-form and of the trained gate, in prompts.",
        "Two confusion matrices with counts.",
    ),
    "shift": PaperFigure(
        recipes.shift,
        ("map", "gate"),
        "Where the correction takes the neutral prompts: one arrow an occupation, from the mean "
        "before to the mean after. Prompts that say a gender and objects stay behind, pale.",
        "Arrows from each occupation's place before to its place after the correction.",
    ),
    "bias_score_shift": PaperFigure(
        recipes.bias_score_shift,
        ("gate",),
        "Bias score after the correction against bias score before. On the diagonal a prompt is "
        "untouched, on the horizontal axis its bias score is gone; in the shaded quadrants its "
        "lean has changed sign.",
        "Scatter plot of each prompt's bias score after against before.",
    ),
    "images": PaperFigure(
        recipes.image_grid,
        ("labels", "subjects", "quality"),
        "Pairs of images: the same noise, by the base and by the corrected model. Subjects are "
        "spread evenly over the labour shares, with * for held out, and the seeds are the first "
        "ones: none is chosen. The letter in an image is what the classifier perceives.",
        "A grid of generated images, two rows a subject: base above corrected.",
    ),
    "shares": PaperFigure(
        recipes.subject_shares,
        ("shares", "subjects", "quality"),
        "Share of images by occupation, base and corrected, with 95 % intervals. The shaded band "
        "holds 95 % of the shares that a perfectly fair model would show at as many images.",
        "Dot plot of the share for each occupation, sorted by labour share, with intervals.",
    ),
    "fairness": PaperFigure(
        recipes.fairness_bars,
        ("fairness",),
        "Fairness measures, base and corrected, with 95 % intervals and the noise floor: what a "
        "perfectly fair model would score at as many images.",
        "Bar chart of five fairness measures for base and corrected, trained on and held out.",
    ),
    "tradeoff": PaperFigure(
        recipes.tradeoff,
        ("quality", "labels", "shares"),
        "Unfairness (MAD) against CLIP score. Pale points are single occupations, large ones the "
        "means with 95 % intervals.",
        "Scatter plot of MAD against CLIP score with an arrow from base to corrected.",
    ),
    "failures": PaperFigure(
        failure_pictures,
        ("labels", "quality", "shares"),
        "Where the correction fails: each failure with its 95 % interval, and the pairs of images "
        "from the same noise that show it worst, by the occupation's share or by the fall of the "
        "CLIP score. They are chosen to be the worst, and say nothing of how often it happens: the "
        "figures at the left do.",
        "A row of image pairs for each failure, base beside corrected, with prompts and figures.",
    ),
    "estimators": PaperFigure(
        studies.estimators,
        ("directions",),
        "Left: how far each estimator's bias axis moves when the occupations it was fitted on are "
        "drawn anew. Right: cosines between the axes.",
        "Dot plot of angles by estimator beside a table of cosines.",
    ),
    "stability": PaperFigure(
        studies.stability,
        ("stability",),
        "Cosine of the axes of two disjoint sets of pairs, templates or occupations, against the "
        "size of the sets, with the central 95 % of the splits: what would come out again with "
        "others.",
        "Curves of cosine against number of units.",
    ),
    "association": PaperFigure(
        studies.association,
        ("association",),
        "Association of occupations with the genders, with 95 % intervals and Holm's p-values. "
        "WEAT: occupations held mostly by men against those held mostly by women, in standard "
        "deviations. RND, ECT and RIPA: male against female prompts, over all occupations.",
        "One panel a measure: a point with its interval and the line of no association.",
    ),
    "erasure": PaperFigure(
        studies.erasure,
        ("erasure",),
        "What erasers leave of gender in the explicit prompts, told by probes that were fitted on "
        "other rows than the eraser, whether neutral prompts still cluster by their lean, and what "
        "is kept of the occupation. 95 % intervals.",
        "Dot plot of accuracies, one row an eraser.",
    ),
    "trace": PaperFigure(
        studies.trace,
        ("trace",),
        "Correlation of the neutral prompts' place on each cell's own bias axis with the labour "
        "shares, by layer and token. The frame marks where it first stands clear of its control.",
        "Heat maps of layer by token position, one a site.",
    ),
    "patching": PaperFigure(
        studies.patching,
        ("patching",),
        "How much of a pair's difference a single state carries: the female prompt runs with that "
        "state taken from its male counterfactual. 0 is nothing, 1 all.",
        "Heat maps of layer by token position, one a site.",
    ),
    "heads": PaperFigure(
        studies.heads,
        ("heads",),
        "Each attention head's part in the difference of the pairs: what it writes into the end of "
        "the prompt itself, and what patching it restores.",
        "Heat maps of layer by head.",
    ),
    "told_map": PaperFigure(
        studies.told_map,
        ("maps", "maps_found"),
        "UMAP of the prompts without the held-out occupations, which were placed on it afterwards: "
        "of the embeddings alone, and told the groups. The second shows the groups because it was "
        "asked to; where held-out prompts fall on it is the test.",
        "Two scatter plots of prompts, coloured by group.",
    ),
    "challenge": PaperFigure(
        studies.challenge_categories,
        ("categories",),
        "Prompts of known class that no gate learnt from, by category: share that each gate gives "
        "its class, with 95 % intervals over templates and the number of prompts. Explicit prompts "
        "and those without a person are known by construction; the others by their bias score. "
        "Settings were chosen in view of the set called seen, lists in view of the one called "
        "fresh, and neither in view of the one called blind.",
        "Dot plots of shares with intervals, one panel a set, one row a category, two gates.",
    ),
    "challenge_confusion": PaperFigure(
        studies.challenge_confusion,
        ("challenge",),
        "Confusion of the two gates on the prompts of the challenge, in prompts.",
        "Two confusion matrices with counts.",
    ),
    "challenge_calibration": PaperFigure(
        studies.challenge_calibration,
        ("reliability", "roc"),
        "The trained gate on the challenge. Left: share of prompts that are of the likeliest class "
        "against its probability, by bin, with 95 % intervals. Right: hits against false alarms as "
        "the threshold of opening falls.",
        "A reliability diagram beside an ROC curve.",
    ),
    "levels": PaperFigure(
        studies.levels,
        ("levels",),
        "What the correction does to prompts that say more and more of the gender: how many it "
        "changes, how far, and how much of their bias score is left. Wanted at the level none "
        "(green), interference elsewhere. 95 % intervals over occupations, for two sets of "
        "wordings.",
        "Three panels of points with intervals, two points a level.",
    ),
    "level_pictures": PaperFigure(
        studies.level_pictures,
        ("level_figures",),
        "Pictures under prompts that say more and more of the gender, base and corrected, from the "
        "same noise. Left: the gender asked for is shown; every occupation is asked for in both "
        "alike. Middle: unfairness, with the noise floor where nothing is asked for (dotted). "
        "Right: what the correction touches, wanted at the level none and interference elsewhere. "
        "95 % intervals over occupations; where no picture differs, an occupation is one trial.",
        "Three columns of panels by level, training occupations above held-out ones.",
    ),
    "mixture": PaperFigure(
        studies.mixture,
        ("mixture",),
        "Share of women in the base model's pictures against the share read off its denoiser "
        "before any picture is made: the weight with which its predictions under the explicit "
        "prompts mix into the one under the neutral prompt at pure noise; none is learnt from. "
        "Bars: 95 % intervals of the shares in the pictures.",
        "Scatter plot of seen against read shares with the diagonal.",
    ),
    "methods": PaperFigure(
        studies.methods,
        ("methods",),
        "Methods compared on the same prompts, noise and judges: unfairness (MAD) against explicit "
        "prompts followed and against CLIP score, with 95 % intervals. The dashed line is the "
        "noise floor; hollow methods lose explicit prompts. The oracle says the gender in the "
        "prompt.",
        "Two scatter plots of methods, numbered, with intervals.",
    ),
    "intersections": PaperFigure(
        studies.intersections,
        ("cells",),
        "Share of each combination of perceived attributes in the neutral images, in units of its "
        "fair share, base and corrected, with intervals that hold for all cells of a panel at "
        "once. Hollow: too few images for any claim. A star: the correction moves the cell further "
        "from parity.",
        "Dot plots of shares, one row a combination of attributes, one panel an intersection.",
    ),
    "prediction": PaperFigure(
        studies.prediction,
        ("prediction",),
        "Share of women in the base model's pictures against what the bias score of the text alone "
        "foretells, learnt from the training occupations. Bars: 95 % prediction intervals of those "
        "that were not learnt from.",
        "Scatter plot of seen against foretold shares with the diagonal.",
    ),
}
"""Every figure, by the name of its files."""


def draw(
    run: Path,
    name: str | None = None,
    formats: Iterable[str] = FORMATS,
    *,
    style: str = "paper",
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Draw one figure of a run, or all, into ``run/figures``, with the data behind each as CSV.

    In another style than the paper's they go into ``run/figures/STYLE``.

    The same run gives the same bytes. Nothing is drawn unless everything needed is there; figures
    of studies that were not done are left out.

    Parameters
    ----------
    run : Path
        Run folder.
    name : str, optional
        One of `FIGURES`; all of them by default.
    formats : iterable of str
        Of ``"pdf"``, ``"png"`` and ``"svg"``; the first two by default.
    style : {"paper", "talk"}
        Sizes and type, see `figures.style.STYLES`.
    progress : callable, optional
        Called with the number of figures done and their total.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    ValueError
        If the name, a format or the style is unknown.
    StageError
        If a stage that the figure needs has not been run.
    ArtifactError
        If a file cannot be read or written, or belongs to another model.
    """
    formats = list(formats)
    if name is not None and name not in FIGURES:
        raise ValueError(f"no figure is named {name!r}; choose from {', '.join(FIGURES)}")
    if unknown := [entry for entry in formats if entry not in ALL_FORMATS]:
        raise ValueError(f"formats {unknown} are unknown; choose from {', '.join(ALL_FORMATS)}")
    files = RunFiles(Path(run))
    names = drawable(files) if name is None else [name]
    files.require(*dict.fromkeys(source for name in names for source in FIGURES[name].reads))
    written = []
    for done, entry in enumerate(names, start=1):
        with in_style(style):
            written += _write(files, entry, formats, style)
        if progress is not None:
            progress(done, len(names))
    return written


def drawable(files: RunFiles) -> list[str]:
    """Name the figures that a run should have: all but those of studies that were not done."""
    return [
        name
        for name, entry in FIGURES.items()
        if files.has(*(source for source in entry.reads if SOURCES[source].is_optional))
    ]


def _write(files: RunFiles, name: str, formats: list[str], style: str) -> list[Path]:
    entry = FIGURES[name]
    figure, data = entry.recipe(files)
    provenance = files.provenance("figure", *entry.reads)
    folder = files.run / "figures" / ("" if style == "paper" else style)
    return write_figure(folder / name, figure, data, provenance, formats)
