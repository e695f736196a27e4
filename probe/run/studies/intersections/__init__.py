"""Attributes taken together in the images of a run, and prompts that ask for them together."""

from probe.run.studies.intersections.study import Intersections

__all__ = ["Intersections"]
