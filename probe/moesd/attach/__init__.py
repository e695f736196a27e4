"""Put a correction into a running diffusers pipeline, and take it out again."""

from probe.moesd.attach.attachment import Attachment

__all__ = ["Attachment"]
