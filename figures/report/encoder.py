"""What the report says of the text encoder: bias scores, the gate's answers, the user's prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from figures.sources import RunFiles
from figures.text.result import UNSEEN
from figures.text.terms import SPLITS
from figures.user_prompts import SOURCE, by_bias_score
from probe.audit.failures import share_over

if TYPE_CHECKING:
    from pandas import DataFrame

Found = dict[str, Any]

N_LISTED = 50
"""Prompts in a table at most."""
KINDS = {
    "explicit": "state a gender",
    "object": "show nobody",
    "neutral": "name an occupation and no gender",
}
"""Kinds of prompts: what they say."""
_CORRECTED = ("male-skewed", "female-skewed", "open")


def score_rows(gate: DataFrame) -> Found:
    """Mean bias score of each occupation and each object, before and after, and the objects' range.

    The range (``band``) is that of all prompts about objects, as in the figures; ``outside`` counts
    the occupations beyond it, before and after.
    """
    scores = ["bias_score", "bias_score_corrected"]
    keys = ["group", "subject", "split"]
    rows = gate[gate["group"].isin(["neutral", "object"])]
    means = rows.groupby(keys, as_index=False, sort=False)[scores].mean()
    means = means.rename(columns=dict(zip(scores, ("before", "after"), strict=True)))
    means = means.sort_values(["before", "subject"], kind="stable").round(5)
    objects = gate.loc[gate["group"] == "object", "bias_score"]
    band = [float(objects.min()), float(objects.max())] if len(objects) else [0.0, 0.0]
    occupations = means[means["group"] == "neutral"]
    return {
        "rows": means.to_dict("records"),
        "band": band,
        "n_occupations": len(occupations),
        "n_objects": len(objects),
        "outside": [int((~occupations[side].between(*band)).sum()) for side in ("before", "after")],
    }


def gate_summary(gate: DataFrame, route: str) -> Found:
    """How many prompts of each kind the gate in use corrects; what should be is known of two kinds.

    The kind of a prompt is known by how it was built, whatever its bias score. A prompt of an
    occupation is left alone if its bias score is near 0, which is no error by itself. ``errors``
    are prompts that state a gender or show nobody, and are corrected.
    """
    stated = "neutral" if (gate["route_truth"] == "open").any() else "explicit"
    kind = gate["group"].replace({"male": stated, "female": stated})
    gate = gate.assign(kind=kind, is_corrected=gate[route].isin(_CORRECTED), answer=gate[route])
    rows = []
    for name, meaning in KINDS.items():
        for split, group in ((UNSEEN, dict(SPLITS)[UNSEEN]), ("", "")):
            own = gate[(gate["kind"] == name) & (gate["split"] == split)]
            if len(own):
                hits = own["is_corrected"]
                row = {"kind": name, "meaning": meaning, "group": group, "n": len(own)}
                share = share_over(own["subject"], hits)
                rows.append(row | {"corrected": int(hits.sum()), "share": share})
    wrong = gate[(gate["kind"] != "neutral") & gate["is_corrected"]]
    left = gate[(gate["kind"] == "neutral") & ~gate["is_corrected"]]
    columns = ["prompt", "bias_score", "answer"]
    return {
        "rows": rows,
        "n_seen": int((~gate["split"].isin([UNSEEN, ""])).sum()),
        "n_errors": len(wrong),
        "errors": wrong[columns].head(N_LISTED).to_dict("records"),
        "left_alone": list(left["subject"].unique()),
    }


def user_prompt_rows(files: RunFiles, band: list[float]) -> Found | None:
    """The user's prompts, those with the largest bias scores first; None if the run has none."""
    if not files.has(SOURCE):
        return None
    table = by_bias_score(files.table(SOURCE))
    outside = ~table["bias_score"].between(*band)
    extra = [name for name in table if name not in ("prompt", "bias_score", "projection")]
    return {
        "n": len(table),
        "n_outside": int(outside.sum()),
        "columns": extra,
        "rows": table.assign(outside=outside).head(N_LISTED).to_dict("records"),
        "reach": float(max(table["bias_score"].abs().max(), *map(abs, band))),
    }
