"""Any concept that a user can write, studied in the vectors of a run."""

from __future__ import annotations

from probe.run.concept.study import ConceptStudy

__all__ = ["ConceptStudy"]
