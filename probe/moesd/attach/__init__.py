"""Attach a correction to a running diffusers pipeline, and detach it."""

from probe.moesd.attach.attachment import Attachment

__all__ = ["Attachment"]
