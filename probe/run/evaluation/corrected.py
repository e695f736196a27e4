"""What a classifier calls the attributes that a run corrects, and the values of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from probe.arrays import Mask
from probe.errors import DataError
from probe.run.folder import Run
from probe.run.routing import attributes_of
from probe.text.attributes import GENDER, Attribute

if TYPE_CHECKING:
    import pandas as pd


class Seen(NamedTuple):
    """An attribute as a classifier knows it."""

    name: str
    labels: Mapping[str, str]
    """Value, which is the kind of prompts that state it -> what the classifier calls it."""


def seen_attributes(
    run: Run, known: Mapping[str, Sequence[str]], attributes: Sequence[Attribute] | None = None
) -> list[Seen]:
    """Find attributes among those of a classifier: those that a run corrects if not given.

    Gender is called what ``attribute``, ``female`` and ``male`` of ``[evaluate]`` say; others what
    their concept says. `DataError` if the classifier does not know one.
    """
    config, found = run.config.evaluate, []
    for attribute in attributes_of(run) if attributes is None else attributes:
        if attribute.name != GENDER.name:
            found.append(Seen(*attribute.seen_by(known)))
            continue
        labels = {"female": config.female, "male": config.male}
        where = f"under [evaluate] in {run.folder / 'config.toml'}"
        if config.attribute not in known:
            raise DataError(
                f"the classifier knows {', '.join(known)} but not {config.attribute!r}; set "
                f"`attribute` {where}"
            )
        values = known[config.attribute]
        if wrong := [name for name, label in labels.items() if label not in values]:
            raise DataError(
                f"the classifier knows {config.attribute} as {', '.join(values)}, not as "
                f"{labels[wrong[0]]!r}; set `{wrong[0]}` {where}"
            )
        found.append(Seen(config.attribute, labels))
    return found


def cells_shown(seen: pd.DataFrame, attributes: Sequence[Seen]) -> Mask:
    """Say which cell of attributes each image shows to a classifier: (n_images, n_cells).

    ``seen`` has the classifier's label of each attribute. An image with another label shows none.
    """
    shown = np.ones((len(seen), 1), dtype=bool)
    for name, labels in attributes:
        is_value = seen[[name]].to_numpy() == np.array([*labels.values()])
        shown = (shown[:, :, None] & is_value[:, None, :]).reshape(len(seen), -1)
    return shown
