"""Published bias mitigation methods, each an `Intervention`, for comparison with MoESD."""

from __future__ import annotations

from probe.baselines.method import Builder
from probe.io.plugins import Registry

BASELINES: Registry[Builder] = Registry("baseline", "probe.baselines")
"""Every method by its name in tables. Names that end in ``-lookup`` act on open prompts only, see
`probe.baselines.words.Lookup`."""

__all__ = ["BASELINES"]
