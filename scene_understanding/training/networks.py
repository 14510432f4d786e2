"""The network that a training config says, and files of weights."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from scene_understanding.models.encoder import Encoder
from scene_understanding.training.config import Config, TrainingError


def build(config: Config, *classes: int) -> nn.Module:
    """The network with its starting weights; `classes` of each head of a segmentation network.

    Raises:
        TrainingError: arguments that the network does not take, starting weights that are missing or fit nothing.
    """
    check_starts(config)
    more = {"auxiliary_classes": classes[1]} if len(classes) > 1 else {}
    try:
        network: nn.Module = config.networks[config.network](*classes[:1], **config.arguments, **more)
    except (TypeError, ValueError) as error:
        raise TrainingError(f"arguments of {config.network}: {error}") from error
    if config.frozen_stages:
        stages = min(len(module.channels) for module in network.modules() if isinstance(module, Encoder))
        if config.frozen_stages > stages:
            raise TrainingError(f"frozen_stages is {config.frozen_stages}; the encoder has {stages} stages")
    if config.start:
        try:
            network.load_imagenet(_weights("start", config.start))  # type: ignore[operator]
        except (KeyError, RuntimeError, ValueError) as error:
            raise TrainingError(f"start: {config.start} does not fit {config.network}: {short(error)}") from error
    if config.init:
        own, earlier = network.state_dict(), _weights("init", config.init)
        taken = {
            name: tensor for name, tensor in earlier.items()
            if name in own and tensor.shape == own[name].shape and name.startswith(config.init_parts)
        }  # fmt: skip
        if not taken:
            raise TrainingError(f"init: {config.init} has no weights of {config.network} with {config.arguments}")
        network.load_state_dict(taken, strict=False)
    return network


def check_starts(config: Config) -> None:
    """Raises TrainingError where a file with starting weights is missing."""
    for key, file in (("start", config.start), ("init", config.init)):
        if file and not Path(file).expanduser().is_file():
            raise TrainingError(f"{key}: the starting weights {file} are missing; say where they are with --{key} FILE")


def _weights(key: str, file: str) -> dict[str, Tensor]:
    """Tensors by name of a starting file; errors begin with the key that names it."""
    try:
        return read_state(Path(file).expanduser())
    except TrainingError as error:
        raise TrainingError(f"{key}: {error}") from error


def read_state(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What a .safetensors file holds, or a state that torch saved.

    Raises:
        TrainingError: it is damaged, or something else.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location=device, weights_only=True)
    except UnpicklingError as error:  # whose advice is to load it all the same
        raise TrainingError(
            f"{path} cannot be read as weights: it is damaged, or holds other objects, which could run code"
        ) from error
    except Exception as error:  # both raise types of their own, some of them without a name in public
        raise TrainingError(f"{path} cannot be read as weights: {short(error)}") from error
    if not isinstance(state, dict):
        raise TrainingError(f"{path} cannot be read as weights: it holds a {type(state).__name__}")
    return state


def short(error: Exception) -> str:
    """The first line, which names what is wrong; torch adds advice for programmers."""
    return f"{type(error).__name__}: {error}".strip().partition("\n")[0][:200]
