"""Imports checkpoints of the lightweight OpenPose (Osokin 2018) as its authors publish them.

github.com/Daniil-Osokin/lightweight-human-pose-estimation.pytorch: a dict with `state_dict`.
"""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from scene_understanding.training.config import TrainingError
from scene_understanding.training.export import export_onnx, written_together
from scene_understanding.training.keypoint_config import KeypointConfig
from scene_understanding.training.model_card import interface
from scene_understanding.training.networks import build, read_state

FIRST = "model.0.0.weight"
"""Sees blue, green and red there; here red, green and blue, as all networks on board do."""
CHANGES = "red and blue of the first convolution have changed places: the checkpoint takes BGR, this RGB"
ATTRIBUTION = (
    "Weights: Lightweight OpenPose, Osokin 2018, github.com/Daniil-Osokin/lightweight-human-pose-estimation.pytorch, "
    "Apache-2.0"
)


def import_openpose(file: Path, name: str, folder: Path, size: tuple[int, int]) -> Path:
    """Writes model.onnx, checked against PyTorch, and model.yaml of a checkpoint, for images of `size` (h, w).

    Raises:
        TrainingError: not such a checkpoint, a damaged one, or a size that cannot be.
    """
    state = read_weights(file)
    stages = {key.split(".")[1] for key in state if key.startswith("refinement_stages.")}
    config = KeypointConfig(
        network="lightweight_openpose", arguments={"refinements": len(stages)}, train="", val="", epochs=1, data="coco",
        size=size, color_mean=(128.0,) * 3, color_std=(256.0,) * 3, attribution=(ATTRIBUTION,),
    )  # fmt: skip
    network = build(config)
    _check_names(state, network.state_dict(), file)
    network.load_state_dict(network.state_dict() | state | {FIRST: state[FIRST].flip(1)})
    with written_together(folder) as new:
        path = new / "model.onnx"
        shapes = export_onnx(network, config, path)
        content = {
            **interface(name, config, path, shapes),
            "architecture": {"network": config.network, **config.arguments},
            "training": {
                "command": shlex.join(
                    ["scene-understanding", "models", "import", file.name, name, "--size", f"{size[0]}x{size[1]}"]
                ),
                "file": {"name": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()},
                "changes": CHANGES,
            },
            "attribution": list(config.attribution),
        }
        (new / "model.yaml").write_text(yaml.safe_dump(content, sort_keys=False, width=120), "utf-8")
    return folder / "model.onnx"


def read_weights(file: Path) -> dict[str, Tensor]:
    """The weights of a checkpoint by name, or of a file that holds them alone; in both perhaps of a `DataParallel`."""
    content: Any = read_state(file)
    weights = content.get("state_dict", content)
    if not isinstance(weights, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in weights.items()
    ):
        raise TrainingError(f"{file} is no checkpoint: it holds neither weights nor a state_dict of them")
    return {key.removeprefix("module."): tensor for key, tensor in weights.items()}


def _check_names(state: dict[str, Tensor], own: dict[str, Tensor], file: Path) -> None:
    """Raises TrainingError for weights that are not those of the network with the state `own`."""
    for key, tensor in own.items():
        if key.endswith("num_batches_tracked"):
            continue  # older checkpoints lack it, and nothing is computed from it
        if key not in state:
            raise TrainingError(f"{file} is of another network than lightweight_openpose: it lacks {key}")
        if state[key].shape != tensor.shape:
            shapes = ("x".join(map(str, shape)) for shape in (state[key].shape, tensor.shape))
            raise TrainingError("{} is of another network: {} is {}, expected {}".format(file, key, *shapes))
    if strange := sorted(state.keys() - own):
        raise TrainingError(f"{file} is of another network than lightweight_openpose: it has {strange[0]}")
