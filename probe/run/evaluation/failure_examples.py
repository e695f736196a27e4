"""The images in which each failure of a correction shows worst."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from probe.audit import failures
from probe.audit.measures import count_labels
from probe.audit.missing_label_bounds import is_seen
from probe.run.files import SIDES

FAILURES = (
    *("gate_missed", "overcorrected", "moved_away"),
    *("explicit_changed", "non_person_changed", "overfit"),
)
"""Keys of the failures that ``evaluate`` measures."""
COLUMNS = (
    *("failure", "kind", "subject", "split", "prompt", "seed", "file_name"),
    *("seen_base", "seen_moesd", "clip_base", "clip_moesd", "share_base", "share_moesd", "n"),
)


def worst_pictures(
    labels: pd.DataFrame,
    *,
    attribute: str,
    values: Sequence[str],
    asked: Mapping[str, str],
    n_pictures: int,
) -> pd.DataFrame:
    """Choose the pairs of images, base and corrected, in which each failure shows worst.

    - ``gate_missed``: images of skewed occupations that were left alone, the farthest from even
      first, that show the occupation's most frequent value.
    - ``overcorrected``: images that changed sides with their occupation, whose bias changed its
      sign; those that moved most first.
    - ``moved_away``: images of occupations that moved further from even, those that moved most
      first, that show the corrected model's commonest value.
    - ``explicit_changed``: changed images of explicit prompts, those that lost the value asked for
      first, then by the fall of the CLIP score.
    - ``non_person_changed``: changed images of objects, by the fall of the CLIP score.
    - ``overfit``: images of other occupations that gained less than the training occupations did
      on average, those that gained least first, that show the corrected model's commonest value.

    One image of each occupation is chosen before a second one of any. ``asked`` says which value
    each kind of explicit prompt asks for. Returns `COLUMNS`, one row a pair, the worst first, at
    most ``n_pictures`` of each failure; ``share_SIDE`` is the share of the value that ``female``
    prompts ask for among the ``n`` neutral images of the subject (NaN of objects).
    """
    pairs = _pair(labels, attribute)
    jobs = _jobs(labels, attribute, values, next(iter(asked.values())), pairs)
    pairs = pairs.join(jobs[["share_base", "share_moesd", "n"]], on="subject")
    neutral = pairs[pairs["kind"] == "neutral"]
    fair = 1 / len(values)
    off_base, off_moesd = ((jobs[f"share_{side}"] - fair).abs() for side in SIDES)
    counts = (jobs[name].to_numpy() for name in ("hits_base", "hits_moesd", "n", "n_moesd"))
    before, after, n, n_moesd = counts
    is_missed = failures.is_skewed(before, n, fair)
    turned = failures.turn_p(before, after, n, n_moesd, fair) <= 0.05
    gain = off_base - off_moesd
    is_less = gain < gain[jobs["split"] == "train"].mean()
    is_overfit = (jobs["split"] != "train") & is_less
    moved = (jobs["share_moesd"] - jobs["share_base"]).abs()
    flipped = (
        (neutral["seen_base"] == neutral["most_base"])
        & (neutral["seen_moesd"] != neutral["seen_base"])
        & is_seen(neutral, "seen_moesd")
    )
    shows_most = neutral[neutral["seen_moesd"] == neutral["most_moesd"]]
    other = pairs[pairs["key_base"] != pairs["key_moesd"]]
    explicit = other[other["kind"].isin(list(asked))]
    wanted = explicit["kind"].map(dict(asked))
    lost = (explicit["seen_base"] == wanted) & (explicit["seen_moesd"] != wanted)
    chosen = {
        "gate_missed": _of_jobs(
            neutral[neutral["seen_base"] == neutral["most_base"]],
            off_base[is_missed & jobs["is_untouched"]],
        ),
        "overcorrected": _of_jobs(neutral[flipped], moved[turned]),
        "moved_away": _of_jobs(shows_most, -gain[gain < -1e-9]),
        "explicit_changed": _by_fall(explicit.assign(lost=lost)),
        "non_person_changed": _by_fall(other[other["kind"] == "object"].assign(lost=False)),
        "overfit": _of_jobs(shows_most, -gain[is_overfit]),
    }
    tables = [of.head(n_pictures).assign(failure=name) for name, of in chosen.items()]
    return pd.concat(tables, ignore_index=True)[list(COLUMNS)]


def _pair(labels: pd.DataFrame, attribute: str) -> pd.DataFrame:
    """One row a pair of images, in the order of their files; ``most_SIDE`` by subject."""
    shared = ["kind", "subject", "split", "prompt", "seed"]
    base, moesd = (labels[labels["side"] == side].set_index("file_name") for side in SIDES)
    pairs = base[shared].sort_index(kind="stable")
    for side, of in zip(SIDES, (base, moesd), strict=True):
        columns = {attribute: f"seen_{side}", "key": f"key_{side}", "clip_score": f"clip_{side}"}
        pairs = pairs.join(of[list(columns)].rename(columns=columns), how="inner")
        neutral = pairs[(pairs["kind"] == "neutral") & is_seen(pairs, f"seen_{side}")]
        most = neutral.groupby("subject")[f"seen_{side}"].agg(lambda seen: seen.mode().iloc[0])
        pairs[f"most_{side}"] = pairs["subject"].map(most)
    return pairs.reset_index()


def _jobs(
    labels: pd.DataFrame, attribute: str, values: Sequence[str], value: str, pairs: pd.DataFrame
) -> pd.DataFrame:
    """Counts and shares of each occupation, and whether all its images were left alone."""
    neutral = labels[(labels["kind"] == "neutral") & is_seen(labels, attribute)]
    column = list(values).index(value)
    tables = []
    for side in SIDES:
        of = neutral[neutral["side"] == side]
        names, counts = count_labels(of["subject"].tolist(), of[attribute].tolist(), values=values)
        found = pd.DataFrame({"hits": counts[:, column], "n": counts.sum(axis=1)}, index=names)
        found["share"] = found["hits"] / found["n"]
        tables.append(found.add_suffix(f"_{side}"))
    jobs = tables[0].join(tables[1], how="inner").rename(columns={"n_base": "n"})
    neutral = pairs[pairs["kind"] == "neutral"]
    is_same = (neutral["key_base"] == neutral["key_moesd"]).groupby(neutral["subject"]).all()
    split = neutral.drop_duplicates("subject").set_index("subject")["split"]
    known = jobs.index
    return jobs.assign(is_untouched=is_same.loc[known], split=split.loc[known])


def _of_jobs(pictures: pd.DataFrame, badness: pd.Series) -> pd.DataFrame:
    """Order images of some occupations: the first of each, the worst first, then the second."""
    neutral = pictures[pictures["subject"].isin(badness.index)]
    badness = neutral["subject"].map(badness).to_numpy(float)
    return neutral.iloc[np.lexsort([-badness, neutral.groupby("subject").cumcount().to_numpy()])]


def _by_fall(pictures: pd.DataFrame) -> pd.DataFrame:
    """Order changed images: those that lost what was asked first, then by the CLIP score."""
    fall = pictures["clip_base"] - pictures["clip_moesd"]
    order = np.lexsort([-fall.to_numpy(float), ~pictures["lost"].to_numpy(bool)])
    return pictures.iloc[order]
