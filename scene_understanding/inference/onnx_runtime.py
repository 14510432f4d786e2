"""Runs an exported network with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from scene_understanding.inference.card import ModelCard, ModelError

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}


class OnnxRuntimeNetwork:
    """A network ready to run.

    Args:
        card: which network.
        provider: `auto` (the first that starts of cuda, cpu), `cpu`, `cuda`, `tensorrt`.
        threads: of the CPU provider; 0 lets ONNX Runtime take the machine's cores.

    Attributes:
        provider: the provider really in use.

    Raises:
        ModelError: the provider that was asked for is not installed or could not start (only `auto` may take another
            one), the file is no network, or its inputs and outputs are not those of the card.
    """

    def __init__(self, card: ModelCard, provider: str = "auto", threads: int = 0) -> None:
        self.card = card
        available = onnxruntime.get_available_providers()
        wanted = ["cuda", "cpu"] if provider == "auto" else [provider]
        chosen = [PROVIDERS[name] for name in wanted if PROVIDERS[name] in available]
        if not chosen:
            raise ModelError(f"ONNX Runtime here has no provider '{provider}'; it has {', '.join(available)}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Spinning threads would take the cores that the other nodes of a robot need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(card.path.read_bytes(), options, providers=chosen)
        except Exception as error:  # ONNX Runtime raises a dozen unrelated types
            raise ModelError(f"{card.path} cannot be loaded by ONNX Runtime: {_first_line(error)}") from error
        running = self._session.get_providers()
        self.provider = next(name for name, long_name in PROVIDERS.items() if long_name == running[0])
        if provider not in ("auto", self.provider):
            raise ModelError(f"provider '{provider}' did not start here; 'cpu' does, and 'auto' takes what there is")
        self._check_shapes()

    def __call__(self, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[Any]]:
        """Arrays by input name to arrays by output name, shapes as in the card."""
        names = list(self.card.outputs)
        return dict(zip(names, self._session.run(names, dict(inputs)), strict=True))

    @property
    def precision(self) -> str:
        """Type of the first input: `float` (32 bits), `float16`..., as ONNX names it."""
        return self._session.get_inputs()[0].type.removeprefix("tensor(").removesuffix(")")

    def _check_shapes(self) -> None:
        inputs: dict[str, tuple[int | None, ...]] = {name: tuple(spec.shape) for name, spec in self.card.inputs.items()}
        if self.card.dropout is not None:
            inputs["dropout"] = (None, self.card.dropout.channels)
        for kind, found, expected in (
            ("input", self._session.get_inputs(), inputs),
            ("output", self._session.get_outputs(), self.card.outputs),
        ):
            # ONNX Runtime has a name, or None, where an axis can have any length.
            shapes = {tensor.name: tuple(n if isinstance(n, int) else None for n in tensor.shape) for tensor in found}
            for name, shape in expected.items():
                if name not in shapes:
                    raise ModelError(f"{self.card.path} has no {kind} '{name}'; it has {', '.join(shapes)}")
                if not _fits(shapes[name], tuple(shape)):
                    raise ModelError(
                        f"{self.card.path}: {kind} '{name}' is {shapes[name]}, the card says {tuple(shape)}"
                    )
            if kind == "input" and (unnamed := shapes.keys() - expected.keys()):
                raise ModelError(f"{self.card.path} needs {', '.join(sorted(unnamed))}, which the card does not name")


def _fits(found: tuple[int | None, ...], expected: tuple[int | None, ...]) -> bool:
    """Whether a tensor can have the expected shape; None is any length, which only an axis of any length can have."""
    return len(found) == len(expected) and all(n is None or n == m for n, m in zip(found, expected, strict=True))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
