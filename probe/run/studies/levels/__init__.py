"""Pictures under prompts that say more and more of the gender: what is gained, what disturbed."""

from probe.run.studies.levels.study import Levels

__all__ = ["Levels"]
