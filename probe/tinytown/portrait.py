"""Portraits: an inhabitant at work, head and shoulders, with a tool at the side."""

import numpy as np

from probe.tinytown.canvas import SIZE, Canvas, Color, Placement, shade
from probe.tinytown.occupations import HATS, OUTFITS, TOOLS, Outfit, draw_shapes
from probe.tinytown.world import AGES, GENDERS, SKINS, Scene

SKIN_COLORS: dict[str, Color] = {
    "light": (250, 218, 192),
    "tan": (222, 168, 122),
    "brown": (164, 106, 68),
    "dark": (96, 60, 42),
}
HAIR_COLORS: tuple[Color, ...] = (
    (34, 28, 28),
    (88, 54, 30),
    (150, 92, 40),
    (226, 186, 96),
    (172, 68, 32),
)
GREY_HAIR: tuple[Color, ...] = ((206, 206, 212), (232, 232, 236), (176, 178, 186))
LIPS: Color = (206, 36, 66)
CUES = {
    "gender": ("hair", "body", "head", "lashes", "lips", "jaw", "ears"),
    "age": ("grey", "lines", "cheeks"),
}
"""What shows each attribute in a portrait."""
INK: Color = (30, 26, 30)
WHITE: Color = (252, 252, 252)


def draw_portrait(scene: Scene) -> Canvas:
    """Draw a person; every attribute of ``scene`` shows unless it is unclear."""
    rng = np.random.default_rng(scene.style)
    outfit = OUTFITS[scene.outfit_of or scene.subject]
    behind = OUTFITS[scene.wall_of or scene.subject]
    canvas = Canvas(shade(behind.wall_color, rng.uniform(0.92, 1.06)))
    _draw_wall(canvas, behind)
    cues = _cues(scene, rng)
    palette = GREY_HAIR if cues["grey"] == "old" else HAIR_COLORS
    hair = palette[int(rng.integers(len(palette)))]
    skin = shade(_skin_color(scene, rng), rng.uniform(0.96, 1.04))
    x, y = rng.uniform(-1.5, 1.5), rng.uniform(-1.0, 1.5)
    canvas.place = Placement(x, y)
    style = int(rng.integers(3))
    has_long_hair = cues["hair"] == "woman"
    if has_long_hair:
        _draw_long_hair(canvas, hair, style)
    _draw_body(canvas, outfit, skin, half_width=15.5 if cues["body"] == "woman" else 20.0)
    if has_long_hair:
        _draw_locks(canvas, hair, style)
    _draw_head(canvas, skin, woman=cues["head"] == "woman")
    _draw_face(canvas, skin, cues, hair, glasses=bool(rng.random() < 0.15))
    if cues["jaw"] == "man":
        _draw_beard(canvas, hair, int(rng.integers(4)))
    _draw_hairline(canvas, hair, style, woman=has_long_hair)
    if cues["ears"] == "woman":
        for ear in (15.2, 38.8):
            canvas.ellipse(ear - 1.5, 32.5, ear + 1.5, 36.5, (250, 206, 60))
    draw_shapes(canvas, HATS.get(outfit.hat, []), own=outfit.hat_color)
    if scene.shows_tool:
        canvas.place = Placement(43.0 + rng.uniform(-1, 0.5), 33.5 + rng.uniform(-1.5, 1), 0.98)
        draw_shapes(canvas, TOOLS[scene.subject], radius=0.6)
    return canvas


def _cues(scene: Scene, rng: np.random.Generator) -> dict[str, str]:
    """Value that each cue shows: the scene's own, or one at random if the attribute is unclear."""
    shown = {}
    for attribute, names in CUES.items():
        values = {"gender": GENDERS, "age": AGES}[attribute]
        for name in names:
            at_random = str(rng.choice(values))
            is_unclear = attribute in scene.unclear
            shown[name] = at_random if is_unclear else getattr(scene, attribute)
    return shown


def _skin_color(scene: Scene, rng: np.random.Generator) -> Color:
    """Color of a skin tone; half way to a neighbouring one if it is unclear."""
    at = SKINS.index(scene.skin)
    neighbours = [i for i in (at - 1, at + 1) if 0 <= i < len(SKINS)]
    other = SKINS[neighbours[int(rng.integers(len(neighbours)))]] if "skin" in scene.unclear else ""
    own = SKIN_COLORS[scene.skin]
    red, green, blue = (
        round((a + b) / 2) for a, b in zip(own, SKIN_COLORS.get(other, own), strict=True)
    )
    return red, green, blue


def _draw_wall(canvas: Canvas, outfit: Outfit) -> None:
    dark, light = shade(outfit.wall_color, 0.82), shade(outfit.wall_color, 1.14)
    match outfit.wall:
        case "stripes":
            for x in range(2, SIZE, 12):
                canvas.rectangle(x, 0, x + 5, SIZE, dark)
        case "shelves":
            for y in (10, 28, 46):
                canvas.rectangle(0, y, SIZE, y + 3, shade(outfit.wall_color, 0.6))
            for x in range(1, SIZE, 9):
                canvas.rectangle(x, 2, x + 5, 10, dark)
                canvas.rectangle(x + 2, 18, x + 6, 28, light)
        case "window":
            canvas.rectangle(4, 3, 60, 30, WHITE)
            canvas.rectangle(6, 5, 31, 28, (150, 204, 246))
            canvas.rectangle(33, 5, 58, 28, (150, 204, 246))
        case "tiles":
            for step in range(0, SIZE, 10):
                canvas.rectangle(step, 0, step + 1.2, SIZE, dark)
                canvas.rectangle(0, step, SIZE, step + 1.2, dark)
        case "field":
            canvas.rectangle(0, 36, SIZE, SIZE, (120, 178, 84))
            canvas.ellipse(48, 3, 60, 15, (255, 224, 96))
        case "dots":
            for row, y in enumerate(range(3, SIZE, 11)):
                for x in range(3 + 5 * (row % 2), SIZE, 11):
                    canvas.ellipse(x, y, x + 4, y + 4, dark)
        case "floor":
            canvas.rectangle(0, 42, SIZE, SIZE, shade(outfit.wall_color, 0.66))
        case _:
            canvas.rectangle(0, 54, SIZE, SIZE, dark)


def _draw_body(canvas: Canvas, outfit: Outfit, skin: Color, *, half_width: float) -> None:
    color, dark = outfit.garment_color, shade(outfit.garment_color, 0.72)
    left, right = 27 - half_width, 27 + half_width
    canvas.rectangle(left, 49, right, 80, color, radius=7)
    canvas.rectangle(22.5, 40, 31.5, 51, shade(skin, 0.88), radius=2)
    match outfit.garment:
        case "suit":
            canvas.polygon([(20, 49), (34, 49), (27, 64)], WHITE)
            canvas.polygon([(25.4, 52), (28.6, 52), (29.6, 66), (24.4, 66)], (190, 44, 50))
        case "coat":
            canvas.polygon([(21, 49), (33, 49), (27, 58)], shade(color, 0.8))
            canvas.rectangle(26.4, 57, 27.6, 80, (120, 130, 140))
        case "apron":
            canvas.rectangle(left, 49, right, 80, shade(color, 0.6), radius=7)
            canvas.rectangle(18, 54, 36, 80, color, radius=2)
            canvas.line([(19, 55), (22, 49)], color, 2.4)
            canvas.line([(35, 55), (32, 49)], color, 2.4)
        case "overall":
            canvas.rectangle(left, 49, right, 80, (232, 226, 214), radius=7)
            canvas.rectangle(18, 56, 36, 80, color)
            canvas.line([(20, 57), (20, 49)], color, 3.4)
            canvas.line([(34, 57), (34, 49)], color, 3.4)
        case "vest":
            canvas.rectangle(24, 50, 30, 80, WHITE)
            canvas.rectangle(left, 57, 23, 60, (236, 240, 160))
            canvas.rectangle(31, 57, right, 60, (236, 240, 160))
        case "uniform":
            canvas.polygon([(21, 49), (33, 49), (27, 55)], dark)
            canvas.rectangle(left + 2, 50, left + 7, 52.6, (250, 210, 70))
            canvas.rectangle(right - 7, 50, right - 2, 52.6, (250, 210, 70))
        case "sweater":
            canvas.rectangle(20.5, 46.5, 33.5, 52, dark, radius=2.5)
            canvas.rectangle(left, 58, right, 60.6, shade(color, 1.4))
        case _:
            canvas.polygon([(20, 48), (27, 51), (24, 57)], shade(color, 1.25))
            canvas.polygon([(34, 48), (27, 51), (30, 57)], shade(color, 1.25))
    canvas.polygon([(22.5, 48), (31.5, 48), (27, 54)], shade(skin, 0.88))


def _draw_long_hair(canvas: Canvas, hair: Color, style: int) -> None:
    canvas.ellipse(11.5, 7, 42.5, 40, hair)
    if style == 0:  # long and straight
        canvas.rectangle(11.5, 22, 42.5, 57, hair, radius=5)
    elif style == 1:  # wavy, to the shoulders
        canvas.ellipse(8.5, 26, 24, 54, hair)
        canvas.ellipse(30, 26, 45.5, 54, hair)
    else:  # a full bob
        canvas.rectangle(9.5, 18, 44.5, 46, hair, radius=8)


def _draw_locks(canvas: Canvas, hair: Color, style: int) -> None:
    length = (57.0, 53.0, 46.0)[style]
    canvas.rectangle(11.5, 26, 17.5, length, hair, radius=3)
    canvas.rectangle(36.5, 26, 42.5, length, hair, radius=3)


def _draw_head(canvas: Canvas, skin: Color, *, woman: bool) -> None:
    if woman:
        canvas.ellipse(15.5, 12, 38.5, 44, skin)
        return
    canvas.ellipse(12.2, 24, 17, 33, shade(skin, 0.9))
    canvas.ellipse(37, 24, 41.8, 33, shade(skin, 0.9))
    canvas.ellipse(14.8, 11, 39.2, 40, skin)
    canvas.rectangle(15.4, 25, 38.6, 44.5, skin, radius=7)


def _draw_face(
    canvas: Canvas, skin: Color, cues: dict[str, str], hair: Color, *, glasses: bool
) -> None:
    brow = shade(hair, 0.75)
    for x in (21.6, 32.4):
        canvas.ellipse(x - 3.4, 25, x + 3.4, 30, WHITE)
        canvas.ellipse(x - 1.9, 25.2, x + 1.9, 29.8, INK)
        canvas.ellipse(x - 0.2, 25.8, x + 1.1, 27.1, WHITE)
        outer = -1 if x < 27 else 1
        if cues["lashes"] == "woman":
            canvas.line([(x - 3.6, 25.6), (x, 24.2), (x + 3.6, 25.6)], INK, 1.5)
            canvas.line([(x + outer * 3.2, 25.4), (x + outer * 5, 23.8)], INK, 1.3)
            canvas.line([(x - 3, 21.8), (x + 3, 21.8)], brow, 1.0)
        else:
            canvas.line([(x - 3.8, 22.2), (x + 3.8, 22.2)], brow, 2.3)
        if cues["lines"] == "old":
            canvas.line([(x - 3, 32.4), (x, 33.2), (x + 3, 32.4)], shade(skin, 0.66), 1.1)
        if glasses:
            canvas.arc((x - 4.8, 22.8, x + 4.8, 32.2), 0, 360, INK, 1.2)
    if glasses:
        canvas.line([(25.4, 27), (28.6, 27)], INK, 1.2)
    canvas.line([(27, 28), (25.8, 33.4), (28, 33.6)], shade(skin, 0.72), 1.2)
    if cues["lines"] == "old":
        canvas.line([(21, 17.6), (33, 17.6)], shade(skin, 0.7), 1.1)
        canvas.line([(22, 34), (20.4, 39)], shade(skin, 0.66), 1.2)
        canvas.line([(32, 34), (33.6, 39)], shade(skin, 0.66), 1.2)
    if cues["cheeks"] == "young":
        canvas.ellipse(17, 31, 22, 35, _blush(skin))
        canvas.ellipse(32, 31, 37, 35, _blush(skin))
    if cues["lips"] == "woman":
        canvas.ellipse(22.4, 36.2, 31.6, 41, LIPS)
        canvas.line([(22.8, 38.5), (31.2, 38.5)], shade(LIPS, 0.6), 0.8)
    else:
        canvas.line([(22.6, 38.6), (27, 39.6), (31.4, 38.6)], shade(skin, 0.5), 1.6)


def _blush(skin: Color) -> Color:
    red, green, blue = skin
    return min(255, red + 26), max(0, green - 34), max(0, blue - 30)


def _draw_beard(canvas: Canvas, hair: Color, style: int) -> None:
    if style == 0:  # clean-shaven, with a shadow along the jaw
        return
    if style == 1:
        canvas.polygon([(20.5, 37), (27, 34.4), (33.5, 37), (31, 38.4), (23, 38.4)], hair)
        return
    canvas.pie((15.4, 24, 38.6, 47.6), 8, 172, hair)
    canvas.polygon([(20.4, 37.4), (27, 34.2), (33.6, 37.4), (33.6, 39), (20.4, 39)], hair)
    canvas.ellipse(23, 37.6, 31, 40.6, (176, 84, 76))


def _draw_hairline(canvas: Canvas, hair: Color, style: int, *, woman: bool) -> None:
    if woman:
        canvas.pie((14.5, 8, 39.5, 34), 180, 360, hair)
        canvas.polygon([(14.5, 20), (22, 20.5), (15.5, 30)], hair)
        canvas.polygon([(39.5, 20), (32, 20.5), (38.5, 30)], hair)
        if style == 2:
            canvas.rectangle(17, 13, 37, 22, hair, radius=2)
        return
    canvas.pie((14, 7.5, 40, 31), 180, 360, hair)
    canvas.rectangle(14.2, 18, 17, 25, hair)
    canvas.rectangle(37, 18, 39.8, 25, hair)
    if style == 1:
        canvas.rectangle(15, 5.5, 39, 12, hair, radius=3)
    elif style == 2:
        canvas.polygon([(15, 14), (38, 6), (39, 19), (30, 20)], hair)
