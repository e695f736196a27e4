"""Where in an encoder the bias appears, and what carries it: layers, tokens, heads."""

from probe.latent.tracing.by_layer import (
    COLUMNS,
    MEASURES,
    clearance,
    trace,
    trace_recordings,
    where_it_appears,
)

__all__ = [
    "COLUMNS",
    "MEASURES",
    "clearance",
    "trace",
    "trace_recordings",
    "where_it_appears",
]
