"""States by layer and by token: residual stream, attention and MLP outputs."""

from probe.text.recording.recorder import Recording, record

__all__ = ["Recording", "record"]
