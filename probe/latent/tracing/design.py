"""The design of a trace: labels, control tasks, occupations and shares of its prompts."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from probe.arrays import Double
from probe.errors import DataError, DegenerateDataError
from probe.latent.tracing.probes import Groups
from probe.text.prompts import PromptSet

_MOST_CONTROLS = 63  # all swaps of up to 7 pairs of words, a sample of them beyond
_N_SHUFFLES = 500


@dataclass(frozen=True, eq=False)
class Design:
    """Labels, control tasks, occupations and shares of the prompts of a trace."""

    labels: Double
    """Shape (n_explicit, 1 + n_controls): 1 for male and -1 for female, then the control tasks."""
    pairs: tuple[Groups, Groups]
    """Rows of the male and of the female prompts, both of shape (n_pairs,)."""
    explicit_groups: Groups
    """Shape (n_explicit,): the occupation of each explicit prompt."""
    neutral_groups: Groups
    """Shape (n_neutral,): the occupation of each neutral prompt."""
    share_women: Double
    """Shape (n_subjects,)."""
    shuffled: Double
    """Shape (n_shuffles, n_subjects): the same shares in random order."""

    @property
    def n_subjects(self) -> int:
        """Number of occupations."""
        return len(self.share_women)


def make_design(explicit: PromptSet, neutral: PromptSet, *, seed: int = 0) -> Design:
    """Work out labels, control tasks and occupations of the prompts of a trace."""
    from probe.text.recording.token_roles import person_words

    male, female = explicit.pairs()
    subjects = list(dict.fromkeys(explicit.table["subject"]))
    if set(subjects) != (found := set(neutral.table["subject"])):
        raise DataError(
            f"{sorted(found ^ set(subjects))[:3]} have only explicit or only neutral prompts; "
            "needed both for every occupation"
        )
    shares = neutral.table.groupby("subject")["share_women"].first()[subjects].to_numpy(float)
    if not np.isfinite(shares).all():
        raise DataError(
            f"{subjects[int(np.argmin(np.isfinite(shares)))]!r} has no share of women; needed one "
            "for every occupation: leave it out"
        )
    if np.ptp(shares) == 0.0:
        raise DegenerateDataError(
            f"all {len(shares)} occupations have the same share of women, {shares[0]:.4g}; needed "
            "occupations that differ"
        )
    rng = np.random.default_rng(seed)
    words = np.array(person_words(explicit), dtype=object)
    kinds = pd.factorize(pd.Series(words[male] + "\0" + words[female]))[0]
    signs = _control_signs(kinds.max() + 1, rng)  # (1 + n_controls, n_kinds)
    labels = np.empty((len(explicit), len(signs)))
    labels[male], labels[female] = signs[:, kinds].T, -signs[:, kinds].T
    return Design(
        labels=labels,
        pairs=(male, female),
        explicit_groups=pd.Categorical(explicit.table["subject"], subjects).codes.astype(np.intp),
        neutral_groups=pd.Categorical(neutral.table["subject"], subjects).codes.astype(np.intp),
        share_women=shares,
        shuffled=rng.permuted(np.tile(shares, (_N_SHUFFLES, 1)), axis=1),
    )


def _control_signs(n_kinds: int, rng: np.random.Generator) -> Double:
    """Which pairs of words swap their labels in the true task (none) and in each control task.

    The first pair never swaps: swapping all would be the true task again.
    """
    if n_kinds < 2:
        raise DataError(
            "all prompts say the gender with the same pair of words; a control task needs at "
            "least 2 pairs: add one to the lexicon"
        )
    n_controls = 2 ** (n_kinds - 1) - 1
    # Each number is a control task: its binary digits are the other pairs that swap.
    if n_controls <= _MOST_CONTROLS:
        numbers = np.arange(1, n_controls + 1)
    else:
        numbers = 1 + rng.choice(n_controls, size=_MOST_CONTROLS, replace=False)
    swaps = np.append(0, numbers)[:, None] >> np.arange(n_kinds - 1) & 1
    return np.hstack([np.ones((len(swaps), 1)), 1.0 - 2.0 * swaps])
