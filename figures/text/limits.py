"""What cannot be concluded from a run, in report and model card."""

from __future__ import annotations

from collections.abc import Sequence


def limits(model: str, attribute: str, values: Sequence[str]) -> list[str]:
    """List what cannot be concluded from a run, a sentence or two each.

    Parameters
    ----------
    model : str
        As the user named it.
    attribute : str
        What fairness is about.
    values : sequence of str
        All that the classifier distinguishes.
    """
    known = f"{len(values)} values ({', '.join(values)})"
    binary = "binary here: " if len(values) == 2 else ""
    return [
        "Anything about Stable Diffusion. The bias of tinytown was planted, its world is drawn, "
        "and its results only show whether the method works where the truth is known."
        if model == "tinytown"
        else "Anything about another model, another revision or other settings than these.",
        f"Who the people in the pictures are. A classifier reports what it perceives; perceived "
        f"{attribute} is not identity, and it is {binary}the classifier knows {known}, "
        "those of its training data, and puts everybody into one of them. Its errors are in every "
        "result.",
        "That occupations outside this list behave alike. The intervals cover the choice of seeds "
        "and of occupations like these; held-out occupations come from the same list.",
        "That other templates behave alike. The images were made from one neutral template.",
        "That an even split is right. Labour shares, even shares and other targets are choices of "
        "people; the measures here take even shares as the target.",
        "That other attributes stay as they are, unless they were measured. Correcting one "
        "attribute may move another.",
        "That people are shown fairly. How many are shown is counted here, not how.",
    ]
