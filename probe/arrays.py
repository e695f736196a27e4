"""Names for the array types that signatures use."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Double: TypeAlias = npt.NDArray[np.float64]
Float32: TypeAlias = npt.NDArray[np.float32]
Matrix: TypeAlias = npt.NDArray[np.floating]
"""Two dimensions, of any precision."""
Vector: TypeAlias = npt.NDArray[np.floating]
"""One dimension, of any precision."""
Mask: TypeAlias = npt.NDArray[np.bool_]
Counts: TypeAlias = npt.NDArray[np.integer]
Codes: TypeAlias = npt.NDArray[np.integer]
"""Number of the group, cluster or value of each row."""
Indices: TypeAlias = npt.NDArray[np.intp]
