"""How many pictures and subjects an audit needs, before any is made."""

from __future__ import annotations

from typing import Any

from probe.stats.power import images_needed, subjects_needed

_N_IMAGES = (10, 20, 50, 100, 200)


def plan_audit(difference: float, *, spread: float | None = None) -> dict[str, Any]:
    """Count what a difference takes to be detected with power 0.8 at a level of 5 %.

    Parameters
    ----------
    difference : float
        Of one subject's share from 1/2, and of MAD between two models.
    spread : float, optional
        Standard deviation over subjects of the change of MAD; as large as the difference if not
        given, which is our choice: some subjects change twice as much, some not at all.

    Returns
    -------
    dict
        ``images_per_subject``, and ``subjects`` needed at several numbers of pictures.

    Raises
    ------
    ValueError
        If the difference is none that a share can have.
    """
    chosen = difference if spread is None else spread
    return {
        "difference": difference,
        "spread": chosen,
        "images_per_subject": images_needed(difference),
        "subjects": [
            {
                "n_images": n_images,
                "n_subjects": subjects_needed(difference, n_images=n_images, spread=chosen),
            }
            for n_images in _N_IMAGES
        ],
    }
