"""Open and check images: files, PIL images and arrays."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from probe.errors import DataError, ShapeError
from probe.io.files import one_line, read_whole
from probe.io.progress import Progress


class ImageBytes(NamedTuple):
    """The content of an image file and its name, for a process that has not the file."""

    name: str
    content: bytes

    @classmethod
    def read(cls, path: Path) -> ImageBytes:
        """Read a file; one that cannot be read is empty, and so no image."""
        try:
            return cls(str(path), read_whole(path))
        except OSError:
            return cls(str(path), b"")

    def __str__(self) -> str:
        return self.name


ImageInput: TypeAlias = Path | str | ImageBytes | Image.Image | npt.NDArray[Any]
Images: TypeAlias = Sequence[Path | str | ImageBytes | Image.Image] | npt.NDArray[Any]
"""Files, PIL images, or an array (n, height, width, channels) of bytes or of floats in [0, 1]."""

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""Formats that are opened, whatever a file is called; Pillow would run Ghostscript on EPS."""
MAX_PIXELS = 64_000_000
"""Larger images are refused before they are decoded; at this size one takes 192 MB."""

MAX_RATIO = 20
"""Longer and thinner images are refused: one whose shorter side is scaled up could fill memory."""

BUDGET = 2 * MAX_PIXELS
"""Pixels of the images that are open at a time, without the last one."""

_ORIENTATION = 0x0112  # of EXIF


def check_images(images: Images) -> None:
    """Refuse what is not a sequence or array of images, before any is opened."""
    if isinstance(images, (str, Path, Image.Image)):
        raise ShapeError(f"got a single image ({images}); needed a sequence of images")
    if not len(images):
        raise DataError("there are no images; needed at least 1")
    if not isinstance(images, np.ndarray):
        return
    if images.ndim != 4 or images.shape[3] not in (1, 3, 4):
        raise ShapeError(
            f"the images have the shape {images.shape}; needed (n, height, width, channels) "
            "with 1, 3 or 4 channels"
        )
    if np.issubdtype(images.dtype, np.floating):
        if not (images.min() >= 0.0 and images.max() <= 1.0):  # also where a value is NaN
            raise DataError(
                f"the images hold values from {images.min():.3g} to {images.max():.3g}; "
                "needed floats from 0 to 1, or bytes"
            )
    elif images.dtype != np.uint8:
        raise DataError(f"the images have the type {images.dtype}; needed uint8 or floats")


def open_file(source: Path | IO[bytes]) -> Image.Image:
    """Open a file of one of the `FORMATS` without decoding it; the errors are Pillow's."""
    if isinstance(source, Path) and source.exists() and not source.is_file():
        raise OSError("it is no regular file")
    with warnings.catch_warnings():
        # `check_size` has a lower bound
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(source, formats=FORMATS)  # noqa: TID251


def open_image(source: ImageInput) -> Image.Image:
    """Open one image as 8-bit RGB, rotated by its EXIF orientation, on a white background.

    Of colours with 16 bits the upper 8 are used, of an animation the first frame. A file that is
    corrupt, larger than `MAX_PIXELS`, or grey with more than 8 bits is refused.
    """
    if isinstance(source, Image.Image):
        return _as_rgb(source)
    if isinstance(source, np.ndarray):
        if np.issubdtype(source.dtype, np.floating):
            source = np.round(source * 255).astype(np.uint8)
        return _as_rgb(Image.fromarray(source.squeeze(-1) if source.shape[-1] == 1 else source))
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "(Possibly c|C)orrupt EXIF", UserWarning)
            file = BytesIO(source.content) if isinstance(source, ImageBytes) else Path(source)
            with open_file(file) as image:
                check_size(image, str(source))
                _check_shape(image, str(source))
                return _as_rgb(_upright(image), str(source))
    except FileNotFoundError as error:
        raise DataError(f"there is no image {source}; make it again, or drop it") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        is_other = isinstance(error, UnidentifiedImageError)  # whose message names the object
        raise DataError(
            f"{source} cannot be read as an image "
            f"({'it has another format' if is_other else one_line(error)}); make it again as "
            f"{', '.join(FORMATS)}, or drop it"
        ) from error


def check_size(image: Image.Image, name: str) -> None:
    """Refuse an image that is not decoded yet, and would take much memory."""
    if (n_pixels := image.width * image.height) > MAX_PIXELS:
        raise DataError(
            f"{name} has {n_pixels / 1e6:.0f} megapixels; needed at most {MAX_PIXELS / 1e6:.0f}: "
            "make it smaller"
        )


def open_batches(
    images: Images,
    *,
    batch_size: int,
    problems: dict[int, str] | None = None,
    progress: Progress | None = None,
) -> Iterator[dict[int, Image.Image]]:
    """Check images and open them by `open_image`, in batches by row that fit in memory (`BUDGET`).

    The reasons why images cannot be opened are added to ``problems`` by row, if it is given.
    ``progress`` is called with (done, total) when the consumer asks for the next batch.
    """
    check_images(images)
    batch: dict[int, Image.Image] = {}
    for row, image in enumerate(images):
        try:
            batch[row] = open_image(image)
        except DataError as error:
            if problems is None:
                raise
            problems[row] = str(error)
        if len(batch) == batch_size or sum(of.width * of.height for of in batch.values()) > BUDGET:
            yield batch
            batch = {}
            if progress is not None:
                progress(row + 1, len(images))
    if batch:
        yield batch
        if progress is not None:
            progress(len(images), len(images))


def _check_shape(image: Image.Image, name: str) -> None:
    if max(image.size) > MAX_RATIO * min(image.size):
        raise DataError(
            f"{name} has {image.width} x {image.height} pixels; needed a longer side of at most "
            f"{MAX_RATIO} times the shorter: crop it"
        )


def _upright(image: Image.Image) -> Image.Image:
    try:
        turned = image.getexif().get(_ORIENTATION, 1) != 1
    except (OSError, SyntaxError, ValueError, struct.error):
        return image  # the EXIF is damaged, which the image need not be
    return ImageOps.exif_transpose(image) if turned else image


def _as_rgb(image: Image.Image, name: str = "an image") -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        raise DataError(f"{name} has the mode {image.mode}; needed 8 bits a channel: convert it")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")
