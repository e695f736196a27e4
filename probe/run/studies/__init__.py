"""Studies of the text encoder: each a stage that looks deeper, done on request and kept in RUN."""

from __future__ import annotations

from probe.run.studies.association import Association
from probe.run.studies.directions import Directions
from probe.run.studies.erasure import Erasure
from probe.run.studies.gate import GateChallenge
from probe.run.studies.intersections import Intersections
from probe.run.studies.levels import Levels
from probe.run.studies.maps import Maps
from probe.run.studies.mixture import Mixture
from probe.run.studies.prediction import Prediction
from probe.run.studies.study import Study
from probe.run.studies.tracing import Tracing

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
