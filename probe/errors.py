"""Errors that users can act on: wrong options, data, files and models.

Every message is one line: what was found, what was needed, what to do next. Any other exception
that reaches the command line is a defect of this program.
"""


class ProbeError(Exception):
    """Base of every error that this library raises about options, data or files."""


class OptionError(ProbeError, ValueError):
    """An option or setting has a value that is not allowed; commands exit with 2."""


class ArtifactError(ProbeError):
    """A file is missing, corrupt, not writable, or of another model, kind or schema."""


class ModelError(ProbeError):
    """A model is unknown, lacks a part, or is stored in a form that is refused."""


class DataError(ProbeError):
    """Prompts, a lexicon or images do not hold what they must."""


class DegenerateDataError(DataError):
    """The data leave nothing to estimate: no spread, no gap, too few rows."""


class ShapeError(DataError):
    """An array does not have the shape that was needed."""


class StageError(ProbeError):
    """A stage was started before the stage it builds on."""


class MemoryLimitError(ProbeError):
    """Memory does not suffice for what was asked; the message names the setting to lower."""


class BusyError(ProbeError):
    """Another process is writing to the same folder."""
