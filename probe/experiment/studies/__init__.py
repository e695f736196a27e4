"""Studies of the text encoder: each a stage that looks deeper, done on request and kept in RUN."""

from __future__ import annotations

from probe.experiment.studies.association import Association
from probe.experiment.studies.directions import Directions
from probe.experiment.studies.erasure import Erasure
from probe.experiment.studies.gate import GateChallenge
from probe.experiment.studies.intersections import Intersections
from probe.experiment.studies.levels import Levels
from probe.experiment.studies.maps import Maps
from probe.experiment.studies.mixture import Mixture
from probe.experiment.studies.prediction import Prediction
from probe.experiment.studies.study import Study
from probe.experiment.studies.tracing import Tracing

STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        Directions(),
        Association(),
        Erasure(),
        Tracing(),
        Maps(),
        Mixture(),
        GateChallenge(),
        Prediction(),
        Intersections(),
        Levels(),
    )
}
"""Every study by its name, in the order in which they are read."""

__all__ = ["STUDIES"]
