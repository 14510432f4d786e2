"""Point clouds as structures of arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PointCloud:
    """Points with attributes; all arrays share the leading shape: (N,) or, organised, (H, W).

    Attributes:
        xyz: (..., 3) float32, metres; NaN where unknown (organised clouds).
        rgb: (..., 3) uint8 or None.
        label: (...) uint16 class ids or None.
        confidence: (...) float32 in 0..1 or None.
        instance: (...) uint32 or None; 0 is "no instance".
    """

    xyz: NDArray[np.float32]
    rgb: NDArray[np.uint8] | None = None
    label: NDArray[np.uint16] | None = None
    confidence: NDArray[np.float32] | None = None
    instance: NDArray[np.uint32] | None = None

    def __post_init__(self) -> None:
        if self.xyz.shape[-1:] != (3,):
            raise ValueError(f"xyz has shape {self.xyz.shape}; its last axis must be 3")
        shape = self.xyz.shape[:-1]
        for name in ("rgb", "label", "confidence", "instance"):
            value = getattr(self, name)
            expected = (*shape, 3) if name == "rgb" else shape
            if value is not None and value.shape != expected:
                raise ValueError(f"{name} has shape {value.shape}, xyz {self.xyz.shape}; expected {expected}")
