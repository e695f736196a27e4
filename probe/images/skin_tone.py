"""Skin tone from the colour of pixels: the Monk scale and the individual typology angle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from probe.arrays import Double
from probe.images.missing_labels import UNDETECTED
from probe.images.reading import Images, open_batches
from probe.io.progress import Progress

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

MONK = (
    *((246, 237, 228), (243, 231, 219), (247, 234, 208), (234, 218, 186), (215, 189, 150)),
    *((160, 126, 86), (130, 92, 67), (96, 65, 52), (58, 49, 42), (41, 36, 32)),
)
"""The ten tones of the Monk scale in sRGB (Monk 2019, skintone.google), light to dark."""
GROUPS = ("light",) * 4 + ("tan",) + ("brown",) * 2 + ("dark",) * 3
"""Group of each tone (``probe/data/concepts/skin_tone.toml``); ours."""
ITA = ("dark", "brown", "tan", "intermediate", "light", "very light")
"""Classes of the individual typology angle; their limits are `_ITA_LIMITS`."""
SCALES = {
    "skin-tone": tuple(dict.fromkeys(GROUPS)),
    "skin-tone-monk": tuple(str(tone + 1) for tone in range(len(MONK))),
    "skin-tone-ita": ITA[::-1],
}
"""Values of each classifier, by the name that ``--classifier`` takes."""

_ITA_LIMITS = (-30.0, 10.0, 28.0, 41.0, 55.0)  # degrees
_OVAL = 0.2  # half axes, as shares of the image
_LEAST = 0.1  # share of the oval that must be skin
_SKIN = (77, 127), (130, 173)  # Cb and Cr
_SIDE = 256  # pixels, above which an image is reduced
_WHITE = np.array([0.95047, 1.0, 1.08883])  # D65
_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


class SkinTone:
    """A classifier of the perceived skin tone in the middle of an image, best that of a face.

    Of the pixels in an oval in the middle, those with the chrominance of skin are kept; their
    median in CIELAB is given the nearest tone of the Monk scale, its group, or the class of the
    individual typology angle, as its name says (`SCALES`). The limits are those of Chai and Ngan,
    with Cr from 130 in place of 133: theirs refuse the darkest tone, and rules that bound
    brightness too refuse most of the ten.

    References
    ----------
    Chai and Ngan, *Face segmentation using skin-color map in videophone applications*, IEEE Trans.
    Circuits and Systems for Video Technology 9 (1999).
    """

    def __init__(self, name: str) -> None:
        self._scale = name
        self.attributes = {"skin_tone": list(SCALES[name])}

    def label(
        self, images: Images, *, batch_size: int = 256, progress: Progress | None = None
    ) -> pd.DataFrame:
        """Say the tone of each image, and as its confidence the share of its skin that has it.

        ``"undetected"`` where less than a tenth of the oval is skin, as in a grey image.
        """
        import pandas as pd

        batches = open_batches(images, batch_size=batch_size, progress=progress)
        rows = [self._see(image) for batch in batches for image in batch.values()]
        return pd.DataFrame(rows, columns=["skin_tone", "skin_tone_confidence"])

    def _see(self, image: Image) -> tuple[str, float]:
        skin = lab(skin_pixels(image))
        if not len(skin):
            return UNDETECTED, np.nan
        tone = self._classify(np.median(skin, axis=0))
        return str(tone), float((self._classify(skin) == tone).mean())

    def _classify(self, colors: Double) -> npt.NDArray[np.str_]:
        """Value of each colour in CIELAB, (..., 3)."""
        if self._scale == "skin-tone-ita":
            places = np.searchsorted(_ITA_LIMITS, typology_angle(colors))
            return np.asarray(np.array(ITA)[places])
        tones = np.linalg.norm(colors[..., None, :] - lab(np.array(MONK)), axis=-1).argmin(axis=-1)
        names = GROUPS if self._scale == "skin-tone" else SCALES["skin-tone-monk"]
        return np.asarray(np.array(names)[tones])


def skin_pixels(image: Image) -> npt.NDArray[np.uint8]:
    """Pixels of skin in the middle of an RGB image, shape (n, 3); none if they are too few."""
    small = image.reduce(max(1, min(image.size) // _SIDE))
    y, x = np.ogrid[: small.height, : small.width]
    middle = np.hypot((x + 0.5) / small.width - 0.5, (y + 0.5) / small.height - 0.5) <= _OVAL
    chrominance = np.asarray(small.convert("YCbCr"))[middle][:, 1:]
    low, high = zip(*_SKIN, strict=True)
    is_skin = ((chrominance >= low) & (chrominance <= high)).all(axis=1)
    return np.asarray(np.asarray(small)[middle][is_skin & (is_skin.mean() >= _LEAST)])


def lab(colors: npt.NDArray[np.integer]) -> Double:
    """Convert 8-bit sRGB, (..., 3), to CIELAB with the white D65 (IEC 61966-2-1, CIE 15)."""
    encoded = np.asarray(colors, dtype=np.float64) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    ratio = linear @ _XYZ.T / _WHITE
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def typology_angle(colors: Double) -> Double:
    """Individual typology angle of colours in CIELAB, (..., 3), ``atan2(L* - 50, b*)`` in degrees.

    Lighter is larger: Chardon, Cretois and Hourseau, Int. J. Cosmetic Science 13 (1991); classes of
    Del Bino and Bernerd, British Journal of Dermatology 169 (2013).
    """
    return np.asarray(np.degrees(np.arctan2(colors[..., 0] - 50, colors[..., 2])))
