"""Procedural textures: (256, 256, 3) float32 images in 0..1, most of them tileable, from a generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

SIZE = 256
Image = NDArray[Any]
Plane = NDArray[Any]


def _noise(rng: Generator, stretch: tuple[float, float] = (1, 1), power: float = 1.5) -> Plane:
    """Tileable noise (256, 256), mean 0, deviation 1; `stretch` lengthens its grain along (u, v)."""
    fu = np.fft.rfftfreq(SIZE) * SIZE * stretch[0]
    fv = np.fft.fftfreq(SIZE)[:, None] * SIZE * stretch[1]
    amplitude = 1 / (1 + fu**2 + fv**2) ** (power / 2)
    spectrum = np.fft.rfft2(rng.standard_normal((SIZE, SIZE))) * amplitude
    spectrum[0, 0] = 0
    plane = np.fft.irfft2(spectrum, (SIZE, SIZE))
    return (plane / plane.std()).astype(np.float32)


def _grain(rng: Generator, strength: float = 1.0) -> Plane:
    return strength * rng.standard_normal((SIZE, SIZE)).astype(np.float32)


def _grey(plane: Plane) -> Image:
    return np.repeat(np.clip(plane, 0, 1)[..., None], 3, axis=2).astype(np.float32)


def _coordinates() -> tuple[Plane, Plane]:
    v, u = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE
    return u, v


def _color(rng: Generator, low: float = 0.1, high: float = 0.95) -> tuple[float, float, float]:
    r, g, b = rng.uniform(low, high, 3)
    return float(r), float(g), float(b)


def paint(rng: Generator) -> Image:
    return _grey(0.93 + 0.012 * _noise(rng, power=2) + _grain(rng, 0.012))


def plaster(rng: Generator) -> Image:
    return _grey(0.91 + 0.022 * _noise(rng, power=1.0) + _grain(rng, 0.015))


def wood(rng: Generator) -> Image:
    """Grain along u."""
    _, v = _coordinates()
    rings = np.sin(2 * np.pi * (rng.integers(3, 9) * v + 0.35 * _noise(rng, (5, 1), 2.2)))
    fibre = _noise(rng, (14, 0.7), 0.9)
    tone = 0.78 + 0.1 * rings + 0.06 * fibre
    return np.clip(tone[..., None] * np.array([1, 0.97, 0.92]), 0, 1).astype(np.float32)


def planks(rng: Generator) -> Image:
    """Floor boards along u, with seams and a tone of their own each."""
    image = wood(rng)
    rows = int(rng.choice([4, 6, 8]))
    height = SIZE // rows
    for row in range(rows):
        band = slice(row * height, (row + 1) * height)
        image[band] = np.roll(image[band], int(rng.integers(SIZE)), axis=1) * rng.uniform(0.78, 1.05)
        image[row * height : row * height + 2] *= 0.6
        image[band, (seam := int(rng.integers(SIZE - 2))) : seam + 2] *= 0.6
    return np.clip(image, 0, 1)


def carpet(rng: Generator) -> Image:
    return _grey(0.75 + 0.06 * _noise(rng, power=1.2) + _grain(rng, 0.1))


def tiles(rng: Generator) -> Image:
    """Square tiles with grout; some are chequered."""
    n = int(rng.choice([2, 4]))
    step = SIZE // n
    tone = rng.normal(0.9, 0.03, (n, n))
    if rng.random() < 0.3:
        tone[np.indices((n, n)).sum(0) % 2 == 0] *= rng.uniform(0.3, 0.75)
    plane = np.kron(tone, np.ones((step, step))).astype(np.float32) + 0.03 * _noise(rng)
    grout = rng.uniform(0.45, 0.75)
    for k in range(n):
        plane[k * step : k * step + 3] = grout
        plane[:, k * step : k * step + 3] = grout
    return _grey(plane)


def ceiling_panels(rng: Generator) -> Image:
    plane = 0.95 - 0.12 * (_grain(rng) > 1.6) + _grain(rng, 0.01)
    plane[:3] = plane[:, :3] = 0.75
    return _grey(plane)


def marble(rng: Generator) -> Image:
    vein = np.abs(np.sin(2.5 * _noise(rng, power=2.2)))
    return _grey(0.95 - 0.45 * np.exp(-12 * vein) + 0.03 * _noise(rng))


def bricks(rng: Generator) -> Image:
    plane = np.full((SIZE, SIZE), 0.85, np.float32)
    for row in range(8):
        shift = 32 * (row % 2)
        for column in range(4):
            block = np.roll(plane, -shift, axis=1)
            block[row * 32 + 3 : row * 32 + 32, column * 64 + 3 : column * 64 + 64] = rng.uniform(0.5, 0.75)
            plane = np.roll(block, shift, axis=1)
    return _grey(plane + 0.05 * _noise(rng, power=1))


def fabric(rng: Generator) -> Image:
    u, v = _coordinates()
    weave = np.sin(2 * np.pi * 32 * u) * np.sin(2 * np.pi * 32 * v)
    return _grey(0.8 + 0.07 * weave + 0.05 * _noise(rng) + _grain(rng, 0.03))


def stripes(rng: Generator) -> Image:
    u, _ = _coordinates()
    n = int(rng.integers(3, 10))
    mask = (np.sin(2 * np.pi * n * u + rng.uniform(0, 6)) > rng.uniform(-0.5, 0.7))[..., None]
    image = np.where(mask, np.float32(0.95), np.array(_color(rng, 0.3), np.float32))
    return np.clip(image + _grain(rng, 0.03)[..., None], 0, 1).astype(np.float32)


def plaid(rng: Generator) -> Image:
    u, v = _coordinates()
    image = np.full((SIZE, SIZE, 3), 0.9, np.float32)
    for axis in (u, v):
        for _ in range(2):
            wave = np.sin(2 * np.pi * (rng.integers(1, 4) * axis + rng.random())) > rng.uniform(0.2, 0.8)
            image = np.where(wave[..., None], image * np.array(_color(rng, 0.4), np.float32), image)
    return np.clip(image + _grain(rng, 0.03)[..., None], 0, 1).astype(np.float32)


def ornament(rng: Generator) -> Image:
    """A repeated motif, for wall paper and cloth."""
    u, v = _coordinates()
    n = int(rng.integers(2, 6))
    a, b = 2 * np.pi * n * u, 2 * np.pi * n * v
    motif = np.cos(a) * np.cos(b) + 0.5 * np.cos(rng.integers(2, 4) * a + rng.uniform(0, 3)) * np.cos(2 * b)
    mask = (motif > rng.uniform(0.1, 0.6))[..., None]
    image = np.where(mask, np.array(_color(rng, 0.5), np.float32), np.float32(0.93))
    return np.clip(image + _grain(rng, 0.015)[..., None], 0, 1).astype(np.float32)


def rug(rng: Generator) -> Image:
    """A whole rug: borders and a centre field."""
    u, v = _coordinates()
    edge = np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v))
    image = np.empty((SIZE, SIZE, 3), np.float32)
    image[:] = _color(rng)
    for inset in np.sort(rng.uniform(0.02, 0.3, int(rng.integers(1, 5)))):
        image[edge > inset] = _color(rng)
    if rng.random() < 0.6:
        motif = np.cos(2 * np.pi * rng.integers(2, 8) * u) * np.cos(2 * np.pi * rng.integers(2, 8) * v)
        image[(motif > 0.35) & (edge > 0.1)] = _color(rng)
    return np.clip(image + _grain(rng, 0.05)[..., None], 0, 1).astype(np.float32)


def painting(rng: Generator) -> Image:
    """Landscape, abstract or portrait-like, with a painterly blur."""
    image: Image = np.empty((SIZE, SIZE, 3), np.float32)
    top, bottom = np.array(_color(rng)), np.array(_color(rng))
    ramp = np.linspace(0, 1, SIZE)[:, None, None]
    image[:] = top * (1 - ramp) + bottom * ramp
    kind = rng.integers(3)
    if kind == 0:
        for level in np.sort(rng.uniform(0.25, 0.95, int(rng.integers(2, 5)))):
            line = (level + 0.05 * _noise(rng, power=3)[0]) * SIZE
            image[np.arange(SIZE)[:, None] > line] = _color(rng)
        cv2.circle(image, rng.integers(30, 200, 2).tolist(), int(rng.integers(8, 30)), _color(rng, 0.5), -1)
    elif kind == 1:
        for _ in range(int(rng.integers(6, 25))):
            points = rng.integers(0, SIZE, 2) + rng.integers(-80, 80, (int(rng.integers(3, 6)), 2))
            cv2.fillPoly(image, [points.astype(np.int32)], _color(rng))
    else:
        skin = np.array([0.85, 0.65, 0.5]) * rng.uniform(0.4, 1.1)
        x = int(rng.integers(100, 156))
        cv2.ellipse(image, (x, 260), (90, 110), 0, 0, 360, _color(rng), -1)
        cv2.ellipse(image, (x, 105), (50, 62), 0, 0, 360, _color(rng, 0.02, 0.4), -1)
        cv2.ellipse(image, (x, 118), (38, 50), 0, 0, 360, skin.clip(0, 1).tolist(), -1)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 3))
    image = image + 0.06 * _noise(rng, power=1.2)[..., None] + 0.02 * rng.standard_normal((SIZE, SIZE, 3))
    if rng.random() < 0.25:
        image = np.repeat(image.mean(2, keepdims=True), 3, axis=2)
    return _with_margin(rng, np.clip(image, 0, 1).astype(np.float32))


def _with_margin(rng: Generator, image: Image) -> Image:
    """Some pictures have a light mount around them."""
    if rng.random() < 0.4:
        m = int(rng.integers(12, 40))
        image[:m], image[-m:], image[:, :m], image[:, -m:] = 0.93, 0.93, 0.93, 0.93
    return image


def _text_lines(rng: Generator, image: Image, top: int, bottom: int, color: tuple[float, float, float]) -> None:
    pitch = int(rng.integers(9, 22))
    for y in range(top, bottom, pitch):
        x = 24
        end = int(rng.integers(120, SIZE - 20))
        while x < end:
            word = int(rng.integers(6, 30))
            cv2.rectangle(image, (x, y), (min(x + word, end), y + pitch // 3), color, -1)
            x += word + 7


def poster(rng: Generator) -> Image:
    image = np.empty((SIZE, SIZE, 3), np.float32)
    image[:] = _color(rng, 0.2)
    y0 = int(rng.integers(20, 90))
    image[y0 : y0 + 110, 20 : SIZE - 20] = painting(rng)[70:180, 20 : SIZE - 20]
    ink = _color(rng, 0.0, 1.0)
    cv2.putText(image, "".join(rng.choice(list("AEINORSTLU"), 6)), (20, y0 - 6), 2, 1.2, ink, 3)
    _text_lines(rng, image, y0 + 122, SIZE - 20, ink)
    return np.clip(image, 0, 1)


def paper(rng: Generator) -> Image:
    image = np.full((SIZE, SIZE, 3), 0.95, np.float32)
    _text_lines(rng, image, 20, SIZE - 20, (0.25, 0.25, 0.3))
    return image


def spine(rng: Generator) -> Image:
    """A book's back: mostly plain, a few bands and a title."""
    plane = np.full((SIZE, SIZE, 3), 0.9, np.float32)
    for _ in range(int(rng.integers(1, 4))):
        y = int(rng.integers(10, SIZE - 30))
        plane[:, y : y + int(rng.integers(4, 24))] = _color(rng, 0.3)
    return plane + _grain(rng, 0.02)[..., None]


def desktop_screen(rng: Generator) -> Image:
    """What a monitor shows: windows with text on a background."""
    image = painting(rng) * 0.6 if rng.random() < 0.5 else np.full((SIZE, SIZE, 3), 1, np.float32) * _color(rng)
    image = np.ascontiguousarray(image, np.float32)
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.integers(5, 110, 2).tolist()
        w, h = rng.integers(70, 140, 2).tolist()
        dark = rng.random() < 0.4
        cv2.rectangle(image, (x, y), (x + w, y + h), (0.1, 0.1, 0.12) if dark else (0.95, 0.95, 0.97), -1)
        cv2.rectangle(image, (x, y), (x + w, y + 10), _color(rng), -1)
        for line in range(y + 18, y + h - 6, 9):
            end = x + 8 + int(rng.integers(20, max(w - 10, 21)))
            cv2.line(image, (x + 8, line), (end, line), (0.6, 0.8, 0.6) if dark else (0.3, 0.3, 0.35), 2)
    return image


def dark_screen(rng: Generator) -> Image:
    """A switched-off screen with a faint slanted sheen."""
    u, v = _coordinates()
    sheen = np.exp(-(((u - v * rng.uniform(0.2, 0.8) - rng.uniform(0, 0.6)) / 0.15) ** 2))
    return _grey(0.035 + rng.uniform(0.01, 0.06) * sheen)


def window_view(rng: Generator) -> Image:
    """Sky, distant buildings or hills, trees and ground."""
    u, v = _coordinates()
    sky = np.array([0.45, 0.65, 0.95]) * rng.uniform(0.8, 1.1) + 0.35 * v[..., None]
    cloud = np.clip(0.6 * _noise(rng, (0.6, 1.6), 2), 0, 1)[..., None]
    image = (sky * (1 - cloud) + cloud).astype(np.float32)
    horizon = rng.uniform(0.5, 0.72)
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(3, 9))):
            _facade(rng, image, horizon)
    else:
        hill = (horizon - 0.12 - 0.06 * _noise(rng, power=3)[0]) * SIZE
        image[np.arange(SIZE)[:, None] > hill] = (0.4, 0.5, 0.42)
    trees = (horizon - 0.03 - 0.03 * _noise(rng, power=1.4)[0]) * SIZE
    foliage = np.arange(SIZE)[:, None] > trees
    leaf = np.array([0.25, 0.4, 0.15]) * (1 + 0.25 * _noise(rng, power=0.8)[..., None])
    image = np.where(foliage[..., None], leaf, image)
    ground = v > horizon + 0.1
    image[ground] = np.array(_color(rng, 0.3, 0.6)) * 0.9
    return np.clip(image, 0, 1).astype(np.float32)


def _facade(rng: Generator, image: Image, horizon: float) -> None:
    x, w = int(rng.integers(-20, 220)), int(rng.integers(25, 70))
    top = int(rng.uniform(0.15, horizon - 0.05) * SIZE)
    tone = _color(rng, 0.35, 0.8)
    cv2.rectangle(image, (x, top), (x + w, SIZE), tone, -1)
    for wy in range(top + 5, int(horizon * SIZE), 12):
        for wx in range(x + 4, x + w - 5, 10):
            cv2.rectangle(image, (wx, wy), (wx + 5, wy + 6), (0.25, 0.3, 0.38), -1)


def whiteboard(rng: Generator) -> Image:
    image = np.full((SIZE, SIZE, 3), 0.96, np.float32)
    for _ in range(int(rng.integers(2, 9))):
        ink = ((0.1, 0.15, 0.7), (0.75, 0.1, 0.1), (0.05, 0.05, 0.08), (0.1, 0.5, 0.2))[int(rng.integers(4))]
        start = rng.integers(20, 220, 2)
        points = start + np.cumsum(rng.integers(-9, 12, (12, 2)), axis=0)
        cv2.polylines(image, [points.astype(np.int32)], bool(rng.random() < 0.2), ink, 2)
    return image


def keyboard(rng: Generator) -> Image:
    plane = np.full((SIZE, SIZE), 0.35, np.float32)
    for y in range(8, SIZE - 40, 48):
        for x in range(4, SIZE - 10, 16):
            plane[y : y + 40, x : x + 13] = 0.9
    return _grey(plane + _grain(rng, 0.02))


def cardboard(rng: Generator) -> Image:
    plane = 0.85 + 0.04 * _noise(rng, (1, 8), 1) + _grain(rng, 0.02)
    plane[118:138] = 1.0
    return _grey(plane)


def leaves(rng: Generator) -> Image:
    return _grey(0.7 + 0.2 * _noise(rng, power=0.9))


def slats(rng: Generator) -> Image:
    """Sixteen blind slats along v."""
    _, v = _coordinates()
    phase = (16 * v) % 1
    return _grey(np.where(phase < 0.15, 0.35, 0.75 + 0.25 * phase) + _grain(rng, 0.01))


def cloth_print(rng: Generator) -> Image:
    return (stripes, plaid, ornament, fabric)[int(rng.integers(4))](rng)


CATALOGUE: dict[str, tuple[Callable[[Generator], Image], int]] = {
    "paint": (paint, 1), "plaster": (plaster, 1), "wood": (wood, 4), "planks": (planks, 3), "carpet": (carpet, 1),
    "tiles": (tiles, 3), "panels": (ceiling_panels, 1), "marble": (marble, 2), "bricks": (bricks, 1),
    "fabric": (fabric, 2), "print": (cloth_print, 6), "ornament": (ornament, 3), "rug": (rug, 5),
    "painting": (painting, 14), "poster": (poster, 7), "paper": (paper, 2), "spine": (spine, 6),
    "desktop": (desktop_screen, 4), "dark_screen": (dark_screen, 3), "view": (window_view, 4),
    "whiteboard": (whiteboard, 2), "keyboard": (keyboard, 1), "cardboard": (cardboard, 1), "leaves": (leaves, 1),
    "slats": (slats, 1),
}  # fmt: skip
"""Kind of texture -> its generator and how many of it a world holds."""
