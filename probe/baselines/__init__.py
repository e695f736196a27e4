"""Published bias mitigation methods, each an `Intervention`, for comparison with MoESD."""

from probe.baselines.method import BASELINES

__all__ = ["BASELINES"]
