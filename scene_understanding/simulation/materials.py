"""Materials of a world: a colour, a texture, a gloss; chosen at random within what each stuff looks like."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from scene_understanding.simulation import textures


@dataclass(frozen=True)
class MaterialTable:
    """Materials as a structure of arrays, and the textures that they use.

    Attributes:
        color: (M, 3) float32 linear albedo, multiplied with the texture.
        texture: (M,) int32 index into `images`.
        scale: (M,) float32 texture repeats per metre (1 where uv already runs 0..1).
        gloss: (M,) float32 strength of the highlight, 0 matt to 1.
        emission: (M,) float32 light given off, in units of a white wall in full light.
        images: (K, 256, 256, 3) uint8 textures, gamma-coded.
    """

    color: NDArray[np.float32]
    texture: NDArray[np.int32]
    scale: NDArray[np.float32]
    gloss: NDArray[np.float32]
    emission: NDArray[np.float32]
    images: NDArray[np.uint8]


WOOD_TONES = ((0.72, 0.52, 0.33), (0.55, 0.36, 0.2), (0.36, 0.2, 0.11), (0.82, 0.68, 0.48), (0.62, 0.3, 0.15),
              (0.9, 0.82, 0.68), (0.2, 0.13, 0.09), (0.5, 0.42, 0.34))  # fmt: skip
WALL_TONES = ((0.92, 0.91, 0.88), (0.95, 0.93, 0.85), (0.85, 0.87, 0.9), (0.9, 0.86, 0.78), (0.78, 0.84, 0.78),
              (0.93, 0.93, 0.94), (0.8, 0.76, 0.72), (0.88, 0.8, 0.6), (0.68, 0.76, 0.84),
              (0.85, 0.7, 0.65))  # fmt: skip
SKIN_TONES = ((0.95, 0.78, 0.66), (0.87, 0.67, 0.52), (0.72, 0.5, 0.36), (0.52, 0.34, 0.23), (0.33, 0.21, 0.15))
HAIR_TONES = ((0.08, 0.06, 0.05), (0.25, 0.15, 0.08), (0.5, 0.33, 0.16), (0.75, 0.6, 0.35), (0.55, 0.52, 0.5),
              (0.4, 0.14, 0.07))  # fmt: skip


def _any_hue(rng: Generator, saturation: tuple[float, float], value: tuple[float, float]) -> NDArray[np.float64]:
    """Random (3,) colour by hue, saturation and value."""
    hue, s, v = rng.random(), rng.uniform(*saturation), rng.uniform(*value)
    wheel = np.clip(np.abs((hue * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    return v * (1 - s + s * wheel)


@dataclass
class Materials:
    """Grows the material table while a world is being built. Colours go in gamma-coded, as one sees them."""

    rng: Generator
    _rows: list[tuple[NDArray[np.float64], int, float, float, float]] = field(default_factory=list)
    _images: list[NDArray[np.uint8]] = field(default_factory=list)
    _groups: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, (generate, count) in textures.CATALOGUE.items():
            self._groups[name] = (len(self._images), count)
            self._images += [np.rint(generate(self.rng).clip(0, 1) * 255).astype(np.uint8) for _ in range(count)]

    def add(
        self, color: ArrayLike, texture: str = "paint", scale: float = 1.0, gloss: float = 0.0, emission: float = 0.0
    ) -> int:
        """A new material; returns its index."""
        first, count = self._groups[texture]
        linear = np.clip(np.asarray(color, np.float64), 0, 1) ** 2.2
        self._rows.append((linear, first + int(self.rng.integers(count)), scale, gloss, emission))
        return len(self._rows) - 1

    def table(self) -> MaterialTable:
        color, texture, scale, gloss, emission = zip(*self._rows, strict=True)
        return MaterialTable(
            np.array(color, np.float32),
            np.array(texture, np.int32),
            np.array(scale, np.float32),
            np.array(gloss, np.float32),
            np.array(emission, np.float32),
            np.stack(self._images),
        )

    def wood(self) -> int:
        tone = np.array(WOOD_TONES[self.rng.integers(len(WOOD_TONES))]) * self.rng.uniform(0.85, 1.15)
        return self.add(tone * 1.1, "wood", self.rng.uniform(0.7, 1.6), self.rng.uniform(0.02, 0.25))

    def lacquer(self) -> int:
        """Painted board: white and greys mostly, sometimes a colour."""
        rng = self.rng
        if rng.random() < 0.65:
            color = np.full(3, rng.choice([0.93, 0.88, 0.8, 0.6, 0.35, 0.15])) + rng.normal(0, 0.015, 3)
        else:
            color = _any_hue(rng, (0.2, 0.7), (0.35, 0.85))
        return self.add(color, "paint", 1, rng.uniform(0.05, 0.4))

    def board(self) -> int:
        """What cupboards are made of."""
        return self.wood() if self.rng.random() < 0.6 else self.lacquer()

    def metal(self) -> int:
        color = np.full(3, self.rng.choice([0.15, 0.35, 0.6, 0.75])) + self.rng.normal(0, 0.01, 3)
        return self.add(color, "paint", 1, self.rng.uniform(0.3, 0.8))

    def plastic(self) -> int:
        rng = self.rng
        dark = rng.random() < 0.4
        color = np.full(3, rng.uniform(0.06, 0.25)) if dark else _any_hue(rng, (0.1, 0.9), (0.35, 0.95))
        return self.add(color, "paint", 1, rng.uniform(0.1, 0.5))

    def cloth(self, printed: float = 0.25) -> int:
        """Upholstery, bedding or clothes; `printed` is the chance of a pattern."""
        rng = self.rng
        texture = "print" if rng.random() < printed else "fabric"
        color = _any_hue(rng, (0.05, 0.75), (0.25, 0.95))
        return self.add(color, texture, rng.uniform(1.5, 4))

    def leather(self) -> int:
        tone = np.array(((0.12, 0.1, 0.1), (0.35, 0.2, 0.12), (0.85, 0.82, 0.76), (0.5, 0.12, 0.1)))
        return self.add(tone[self.rng.integers(4)] * self.rng.uniform(0.8, 1.2), "plaster", 2, 0.3)

    def wall(self) -> int:
        rng = self.rng
        color = np.array(WALL_TONES[rng.integers(len(WALL_TONES))]) * rng.uniform(0.9, 1.04)
        texture = rng.choice(["paint", "plaster", "ornament"], p=[0.6, 0.3, 0.1])
        return self.add(color, str(texture), rng.uniform(0.5, 1.5))

    def accent_wall(self) -> int:
        rng = self.rng
        kind = rng.integers(4)
        if kind == 0:
            return self.add((0.95, 0.62, 0.5), "bricks", 0.6)
        if kind == 1:
            return self.add(_any_hue(rng, (0.1, 0.4), (0.7, 0.95)), "ornament", rng.uniform(0.8, 2))
        return self.add(_any_hue(rng, (0.2, 0.6), (0.4, 0.85)), "plaster")

    def floor(self, kind: str) -> int:
        """`kind` is "planks", "carpet", "tiles" or "marble"."""
        rng = self.rng
        if kind == "planks":
            tone = np.array(WOOD_TONES[rng.integers(len(WOOD_TONES))])
            return self.add(tone * 1.2, "planks", rng.uniform(0.8, 1.3), rng.uniform(0.1, 0.5))
        if kind == "carpet":
            return self.add(_any_hue(rng, (0.02, 0.4), (0.3, 0.8)), "carpet", 1.2)
        color = _any_hue(rng, (0.0, 0.2), (0.55, 0.95))
        return self.add(color, kind, rng.uniform(0.6, 1.6), rng.uniform(0.2, 0.6))

    def picture(self) -> int:
        return self.add((1, 1, 1), "painting" if self.rng.random() < 0.7 else "poster", 1, 0.1)

    def screen(self) -> int:
        if self.rng.random() < 0.5:
            return self.add((1, 1, 1), "dark_screen", 1, 0.9)
        texture = "desktop" if self.rng.random() < 0.6 else "painting"
        return self.add((0.25, 0.25, 0.25), texture, 1, 0.5, self.rng.uniform(0.35, 0.8))

    def book_cover(self) -> int:
        return self.add(_any_hue(self.rng, (0.1, 0.85), (0.2, 0.95)), "spine", 4, 0.1)

    def skin(self) -> int:
        tone = np.array(SKIN_TONES[self.rng.integers(len(SKIN_TONES))])
        return self.add(tone * self.rng.uniform(0.9, 1.05), "paint", 1, 0.05)

    def hair(self) -> int:
        return self.add(HAIR_TONES[self.rng.integers(len(HAIR_TONES))], "plaster", 4, 0.15)

    def trousers(self) -> int:
        tones = ((0.12, 0.14, 0.22), (0.2, 0.26, 0.42), (0.1, 0.1, 0.1), (0.55, 0.48, 0.38), (0.35, 0.36, 0.38))
        return self.add(np.array(tones[self.rng.integers(5)]) * self.rng.uniform(0.8, 1.3), "fabric", 3)
