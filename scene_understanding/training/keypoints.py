"""Trains keypoints: `scene-understanding train keypoints --config CONFIG`.

Every stage of the network learns the heat maps and fields of the image (Cao et al., CVPR 2017, section 2.1), less
those of keypoints that its dataset does not label. The loop is that of `run`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from scene_understanding.datasets.people import PeopleDataset
from scene_understanding.evaluation.keypoint_metrics import figures, judged
from scene_understanding.labels.keypoints import PAF_CHANNELS, PAF_LIMBS
from scene_understanding.models.mobilenet_v1 import MobileNetV1
from scene_understanding.perception.inputs import color_input
from scene_understanding.perception.keypoints import decode, decode_single
from scene_understanding.perception.pose_estimator import in_image, letterboxed
from scene_understanding.training import processes
from scene_understanding.training.config import Config
from scene_understanding.training.keypoint_config import KeypointConfig
from scene_understanding.training.keypoint_data import PeopleTensors, Pictures, load_data
from scene_understanding.training.keypoint_targets import fields, heat_maps
from scene_understanding.training.networks import build, check_starts
from scene_understanding.training.run import CHECKPOINT, SAVE_EVERY, Run

COLUMNS = ("pck", "oks_ap")
UNFOLDED_OVER = 64
"""Training samples whose mean and variance a start with folded normalisation gets."""


class KeypointRun(Run):
    """A keypoint training in a folder.

    Args:
        parts: datasets to train on; val: to validate on.
        save_every: seconds of training that a kill may cost.

    Raises:
        TrainingError: the config does not fit the data, or the folder holds a run of another config.
    """

    config: KeypointConfig
    method = "stages"

    def __init__(
        self, config: KeypointConfig, parts: list[PeopleDataset], val: PeopleDataset, folder: Path,
        save_every: float = SAVE_EVERY,
    ) -> None:  # fmt: skip
        torch.manual_seed(config.seed)
        self._train, self._pictures = PeopleTensors(parts, config), Pictures(val)
        super().__init__(config, self._train, self._pictures, folder, save_every)

    def build_network(self, started: Config) -> nn.Module:
        network = build(started)
        if started.start and isinstance(network.model, MobileNetV1):
            chosen = np.linspace(0, len(self._train) - 1, UNFOLDED_OVER).astype(int)
            colors = torch.stack([self._train[int(i)][0] for i in chosen])
            network.model.unfold_normalisation(self._normalised(colors))
        return network

    def _normalised(self, color: Tensor) -> Tensor:
        """color (N, 3, h, w) uint8 as the network takes it: what `color_input` does on a robot."""
        mean, std = (
            color.new_tensor(v, dtype=torch.float32)[:, None, None]
            for v in (self.config.color_mean, self.config.color_std)
        )
        return (color.float() - mean) / std

    def loss(self, forward: Any, *batch: Tensor) -> Tensor:
        color, keypoints, labelled = batch
        with self.autocast():
            stages = forward(self._normalised(color).contiguous(memory_format=torch.channels_last))
        size = stages[0][0].shape[-2:]
        heat, field = heat_maps(keypoints, size), fields(keypoints, size)
        heat_learnt, field_learnt = learnt_channels(labelled)
        total = heat.new_zeros(())
        for heat_found, field_found in stages:
            for found, truth, learnt in ((heat_found, heat, heat_learnt), (field_found, field, field_learnt)):
                error = (found.float() - truth).square().mean((2, 3)) * learnt
                total = total + 0.5 * error.sum(1).mean()
        return total

    @torch.no_grad()
    def judge(self) -> dict[str, Any]:
        """PCK and OKS-AP of the average, as `evaluate` has them: of the one person in an image of LSP, else of all."""
        self.average.eval()
        single = self.config.data.partition(":")[0] == "lsp"
        spec = self.config.input_specs(self.config.size)["color"]
        judgements = []
        for sample in self._pictures.samples:
            color = torch.from_numpy(color_input(letterboxed(sample.rgb, self.config.size), spec))
            heat, field = (m[0].float().cpu().numpy() for m in self.average(color.to(self.device)))
            found = decode_single(heat) if single else decode(heat, field)
            found = in_image(found, sample.rgb.shape, self.config.size)
            judgements.append(judged(sample, found, single=single))
        result = figures(judgements)
        return {name: result[name] for name in COLUMNS}

    def columns(self) -> list[str]:
        return list(COLUMNS)

    def line(self, result: dict[str, Any]) -> str:
        return f"PCK {result['pck']:.3f}, OKS-AP {result['oks_ap']:.3f}"


def learnt_channels(labelled: Tensor) -> tuple[Tensor, Tensor]:
    """Of heat maps (N, 19) and fields (N, 38), 1 where keypoints are labelled (N, 18) bool, 0 where they are not.

    The background is learnt where all keypoints are labelled, since it is what none of them is; a limb where both ends
    are.
    """
    heat = torch.cat([labelled, labelled.all(1, keepdim=True)], 1).float()
    limbs = torch.tensor(PAF_LIMBS, device=labelled.device)
    both = labelled[:, limbs[:, 0]] & labelled[:, limbs[:, 1]]
    field = heat.new_zeros((len(heat), PAF_CHANNELS.size))
    field[:, torch.tensor(PAF_CHANNELS, device=heat.device)] = both[..., None].float()
    return heat, field


def train(config: KeypointConfig, out: Path, save_every: float = SAVE_EVERY) -> dict[str, Any]:
    """Trains the network of a config in the folder `out` and returns the figures of the last validation.

    Raises:
        TrainingError, DatasetError: it cannot be done as asked.
    """
    if not (out / CHECKPOINT).exists():
        check_starts(config)  # before the data is read, which takes its time
    with processes.first_goes_first():
        parts, val = load_data(config, out)
    return KeypointRun(config, parts, val, out, save_every).fit()
