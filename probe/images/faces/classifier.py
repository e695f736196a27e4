"""A classifier that gets faces instead of whole images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from probe.images.faces.face import FaceDetector, crop_face
from probe.io.progress import Progress

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

    from probe.images.reading import Images


class Classifier(Protocol):
    """Labels images: `probe.images.attributes.AttributeClassifier`, or the like."""

    @property
    def attributes(self) -> dict[str, list[str]]:
        """The values of each attribute."""

    def label(self, images: Sequence[Image], /) -> pd.DataFrame:
        """For each attribute a column of its name and one ``<attribute>_confidence``."""


class FaceClassifier:
    """A classifier of the largest face of each image, see `probe.images.faces.face.crop_face`.

    ``margin`` is added around a face, as a share of its size. ``whole`` is an attribute that is
    classified in the whole image, if the classifier has it.
    """

    def __init__(
        self,
        classifier: Classifier,
        detector: FaceDetector,
        *,
        margin: float,
        whole: str = "subject",
    ) -> None:
        self.attributes = classifier.attributes
        self._classifier, self._detector = classifier, detector
        self._margin, self._whole = margin, whole

    def label(
        self,
        images: Images,
        *,
        batch_size: int = 256,
        progress: Progress | None = None,
    ) -> pd.DataFrame:
        """Classify every attribute of each image's face, as `AttributeClassifier.label` does.

        Without a face, or with several, the value is ``"undetected"`` or ``"ambiguous"`` and the
        confidence NaN.
        """
        import pandas as pd

        from probe.images.reading import open_batches

        parts = []
        for batch in open_batches(images, batch_size=batch_size, progress=progress):
            names = [str(images[row]) for row in batch]
            parts.append(self.label_opened(list(batch.values()), names=names))
        return pd.concat(parts, ignore_index=True)

    def label_opened(self, opened: Sequence[Image], *, names: Sequence[str]) -> pd.DataFrame:
        """Do the same with upright RGB images, whose files have these names."""
        import pandas as pd

        found = self._detector.find(opened, names=names)
        seen = [crop_face(*of, margin=self._margin) for of in zip(opened, found, strict=True)]
        faces: list[Image] = [face for face in seen if not isinstance(face, str)]
        rows = [row for row, face in enumerate(seen) if not isinstance(face, str)]
        reasons = [face if isinstance(face, str) else "" for face in seen]
        of_faces = self._classifier.label(faces) if faces else None
        table: dict[str, Any] = {}
        for name in self.attributes:
            values = np.array(reasons, dtype=object)
            confidence = np.full(len(opened), np.nan)
            if of_faces is not None:
                values[rows] = of_faces[name]
                confidence[rows] = of_faces[f"{name}_confidence"]
            table |= {name: values, f"{name}_confidence": confidence}
        if self._whole in self.attributes:
            whole = self._classifier.label(opened)
            table |= {name: whole[name] for name in (self._whole, f"{self._whole}_confidence")}
        return pd.DataFrame(table)
