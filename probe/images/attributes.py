"""Classify the perceived attributes of images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from probe.errors import ModelError
from probe.images.onnx_classifier import OnnxClassifier, is_onnx
from probe.images.pipelines import declared_name
from probe.images.reading import Images
from probe.images.skin_tone import SCALES, SkinTone
from probe.images.vision_models import Preprocessor, batches, filled, load_vision_model
from probe.io.plugins import Registry
from probe.io.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

ARCHITECTURES: Registry[Callable[..., AttributeClassifier]] = Registry("classifier")
"""Classifiers of plugins, by ``model_type`` of their ``config.json``; called with the folder and
the keyword argument ``device``, they return an object with ``attributes`` and ``label`` as
`AttributeClassifier` has them."""


class AttributeClassifier:
    """A frozen image classifier whose labels are values of attributes.

    Labels of the form ``attribute:value`` ("gender:woman", "age:young") form one attribute each,
    with its own softmax; labels without a colon form one attribute ``label``. The result is a
    *perceived* attribute, not who a person is.

    Attributes
    ----------
    attributes : dict of str to list of str
        The values of each attribute, in the order of the model's labels.
    model
        The transformers model, in evaluation mode.
    """

    def __init__(self, model: Any, preprocessor: Preprocessor) -> None:
        self.model = model
        self._preprocessor = preprocessor
        names = [str(model.config.id2label[index]) for index in range(model.config.num_labels)]
        self._columns = _group(names)
        self.attributes = {
            attribute: [names[column].removeprefix(f"{attribute}:") for column in columns]
            for attribute, columns in self._columns.items()
        }

    @classmethod
    def load(cls, folder: Path | str, *, device: str | torch.device = "cpu") -> AttributeClassifier:
        """Load the folder of any model that ``AutoModelForImageClassification`` loads."""
        from transformers import AutoModelForImageClassification

        model = load_vision_model(folder, AutoModelForImageClassification, device=device)
        return cls(model, Preprocessor.load(folder))

    @torch.no_grad()
    def label(
        self, images: Images, *, batch_size: int = 256, progress: Progress | None = None
    ) -> pd.DataFrame:
        """Classify every attribute of each image.

        Returns for each attribute a column of its name (the most probable value) and one
        ``<attribute>_confidence`` (its probability among the attribute's values, from 1/K to 1).
        ``progress`` is called with (done, total) images after each batch.
        """
        import pandas as pd

        logits = torch.cat(
            [
                self._logits(pixels)
                for pixels in batches(
                    images, self._preprocessor, batch_size=batch_size, progress=progress
                )
            ]
        )  # (n, n_labels)
        if not bool(logits.isfinite().all()):
            raise ModelError(
                "the classifier returns values that are not finite; its weights are damaged: fetch "
                "or train it again"
            )
        table: dict[str, Any] = {}
        for attribute, columns in self._columns.items():
            confidence, best = logits[:, columns].softmax(dim=1).max(dim=1)
            values = self.attributes[attribute]
            table[attribute] = [values[index] for index in best.tolist()]
            table[f"{attribute}_confidence"] = confidence.numpy()
        return pd.DataFrame(table)

    def logits(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the logits of each attribute's values, (n_images, n_values); gradients pass.

        ``images`` have the shape (n_images, 3, height, width) and values from -1 to 1.
        """
        pixels = self._preprocessor.of_tensor(images).to(self.model.device)
        logits = self.model(pixel_values=pixels).logits
        return {attribute: logits[:, columns] for attribute, columns in self._columns.items()}

    def _logits(self, pixels: torch.Tensor) -> torch.Tensor:
        given = filled(pixels.to(self.model.device))
        logits: torch.Tensor = self.model(pixel_values=given).logits
        return logits[: len(pixels)].cpu().double()


def load_classifier(
    folder: Path | str, *, device: str | torch.device = "cpu"
) -> AttributeClassifier | OnnxClassifier | SkinTone:
    """Load an image classifier: one of a plugin, or any that `AttributeClassifier.load` loads.

    An ``.onnx`` file, or the name of a package with some, is an `OnnxClassifier`, a name of
    `probe.images.skin_tone.SCALES` a `SkinTone`; both run on the CPU.
    """
    if is_onnx(folder):
        return OnnxClassifier(folder)
    if str(folder) in SCALES:
        return SkinTone(str(folder))
    kind = declared_name(Path(folder) / "config.json", "model_type")
    return ARCHITECTURES.get(kind, AttributeClassifier.load)(folder, device=device)


def _group(names: list[str]) -> dict[str, list[int]]:
    if len(set(names)) < len(names):
        raise ModelError("two labels of the classifier are the same; needed distinct id2label")
    columns: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        attribute, colon, value = name.partition(":")
        if colon and not (attribute and value):
            raise ModelError(f"the classifier has the label {name!r}; needed 'attribute:value'")
        columns.setdefault(attribute if colon else "label", []).append(index)
    for attribute, found in columns.items():
        if len(found) < 2:
            raise ModelError(
                f"attribute {attribute!r} of the classifier has the single value "
                f"{names[found[0]]!r}, which every image would get; needed at least 2 values"
            )
    return columns
