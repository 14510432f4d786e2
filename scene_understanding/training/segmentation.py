"""Trains an RGB-D segmentation network: `python -m scene_understanding.training.segmentation CONFIG.yaml OUT`.

One loop: AdamW, linear warm-up and polynomial decay (Chen et al., DeepLab), cross-entropy with median-frequency
class weights (Eigen and Fergus, ICCV 2015), void pixels ignored, exponential moving average of the weights, BF16 where
the processor has it. A run that is cut off goes on from its last epoch when the same command is given again.
"""

from __future__ import annotations

import copy
import csv
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import typer
import yaml
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset
from tqdm import tqdm

from scene_understanding.evaluation.segmentation_metrics import confusion_matrix, summary
from scene_understanding.inference.card import InputSpec
from scene_understanding.labels import load_label_set
from scene_understanding.models.fusenet import FuseNet, MobileFuseNet
from scene_understanding.perception.segmenter import color_input, depth_input
from scene_understanding.training.augment import augment

NETWORKS = {"fusenet": FuseNet, "mobile_fusenet": MobileFuseNet}
VOID = 255


@dataclass(frozen=True)
class Config:
    """What a training is made of; read from YAML.

    Attributes:
        network: key of `NETWORKS`; arguments: for its constructor, next to the number of classes.
        label_set: name in `scene_understanding.labels`.
        start: ImageNet weights (safetensors, torchvision layout) for both streams, or "" for none.
        train, val: seeds of the embedded buildings, first and one past the last.
        views: random views of each building; tour_views: views of a robot's tour of each.
        init: weights of an earlier run (its best.pt) to go on from, or "".
        learning_rate: at the end of the warm-up; `encoder_factor` times that for streams that have a start.
        ema: decay of the moving average per step.
        attribution: whose work went in, one line each; goes on the card of the model.
    """

    network: str
    label_set: str
    train: tuple[int, int]
    val: tuple[int, int]
    views: int
    epochs: int
    arguments: dict[str, Any]
    start: str = ""
    tour_views: int = 0
    init: str = ""
    batch: int = 8
    learning_rate: float = 2e-3
    encoder_factor: float = 0.3
    weight_decay: float = 1e-2
    warmup_steps: int = 200
    ema: float = 0.998
    max_class_weight: float = 4.0
    color_mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    color_std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    depth_mean: float = 2.5
    depth_std: float = 1.5
    seed: int = 0
    attribution: tuple[str, ...] = ()


def load_config(path: Path) -> Config:
    """Raises ValueError with one line where the file is not a training config."""
    try:
        return Config(**yaml.safe_load(path.read_text()))
    except (OSError, TypeError, yaml.YAMLError) as error:
        raise ValueError(f"training config {path}: {' '.join(str(error).split())}") from error


def input_specs(config: Config, size: tuple[int, ...]) -> dict[str, InputSpec]:
    """What the network takes for images of `size` (H, W), as its card will say."""
    more = int(config.arguments.get("depth_channels", 1)) - 1
    return {
        "color": InputSpec((1, 3, size[0], size[1]), config.color_mean, config.color_std, ("red", "green", "blue")),
        "depth": InputSpec(
            (1, 1 + more, size[0], size[1]), (config.depth_mean, *[0.0] * more), (config.depth_std, *[1.0] * more),
            ("depth", "valid")[: 1 + more],
        ),
    }  # fmt: skip


def normalised(config: Config, rgb: NDArray[np.uint8], depth: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
    """color (3, H, W) and depth (D, H, W) float32, by the code that prepares them on the robot."""
    specs = input_specs(config, depth.shape)
    return torch.from_numpy(color_input(rgb, specs["color"])[0]), torch.from_numpy(
        depth_input(depth, specs["depth"])[0]
    )


class TrainingSet(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Normalised samples; augmented with a generator seeded by (seed, epoch, index), so that order does not matter."""

    def __init__(self, samples: Any, config: Config, augmented: bool) -> None:
        self.samples, self.config, self.augmented, self.epoch = samples, config, augmented, 0

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        sample = self.samples[index]
        if self.augmented:
            sample = augment(sample, np.random.default_rng([self.config.seed, self.epoch, index]))
        rgb, depth, label = sample
        return *normalised(self.config, rgb, depth), torch.from_numpy(label.astype(np.int64))


def median_frequency_weights(samples: Any, classes: int, limit: float) -> Tensor:
    """Median class frequency over each class's own, square-rooted and limited; from at most 1000 samples."""
    step = max(1, len(samples) // 1000)
    counts = np.zeros(256, np.int64)
    for i in range(0, len(samples), step):
        counts += np.bincount(samples[i][2].ravel(), minlength=256)
    frequency = np.maximum(counts[:classes], 1) / max(counts[:classes].sum(), 1)
    return torch.tensor(np.clip(np.sqrt(np.median(frequency) / frequency), 1 / limit, limit), dtype=torch.float32)


def build(config: Config, classes: int) -> nn.Module:
    network = NETWORKS[config.network](classes, **config.arguments)
    if config.init:
        network.load_state_dict(torch.load(config.init, weights_only=True))
    elif config.start:
        from safetensors.torch import load_file

        weights = load_file(config.start)
        network.color.load_imagenet(weights)
        network.depth.load_imagenet(weights)
    return network


def optimizer_of(config: Config, network: nn.Module) -> torch.optim.Optimizer:
    """AdamW; no weight decay on biases and normalisation; started streams learn slower than the decoder."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        factor = (
            config.encoder_factor if (config.start or config.init) and name.startswith(("color.", "depth.")) else 1.0
        )
        decay = config.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": p, "lr": config.learning_rate * f, "weight_decay": d} for (f, d), p in groups.items()]
    )


def learning_rate_factor(step: int, steps: int, warmup: int) -> float:
    """Linear warm-up, then (1 - t)^0.9."""
    if step < warmup:
        return (step + 1) / warmup
    return float((1 - (step - warmup) / max(1, steps - warmup)) ** 0.9)


def update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """EMA of weights and normalisation statistics; the decay starts small so that early steps are forgotten."""
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for a, b in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if a.dtype.is_floating_point:
                a.lerp_(b, 1 - decay)
            else:
                a.copy_(b)


@torch.no_grad()
def evaluate(network: nn.Module, loader: Any, classes: int) -> NDArray[np.int64]:
    """Confusion matrix (K, K + 1) over a loader of (color, depth, label)."""
    network.eval()
    confusion = np.zeros((classes, classes + 1), np.int64)
    for color, depth, label in loader:
        confusion += confusion_matrix(label.numpy(), network(color, depth).argmax(1).numpy(), classes)
    return confusion


class Run:
    """A training in a folder: checkpoint.pt, log.csv, best.pt (EMA weights with the best validation mIoU)."""

    def __init__(self, config: Config, train: Any, val: Any, folder: Path) -> None:
        torch.manual_seed(config.seed)
        self.config, self.folder = config, folder
        self.names = load_label_set(config.label_set).names
        self.training_set = TrainingSet(train, config, augmented=True)
        self.validation = DataLoader(TrainingSet(val, config, augmented=False), batch_size=config.batch)
        self.network = build(config, len(self.names)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network)
        self.optimizer = optimizer_of(config, self.network)
        self.weights = median_frequency_weights(train, len(self.names), config.max_class_weight)
        self.epoch, self.step, self.best, self.seconds = 0, 0, 0.0, 0.0
        self.steps = config.epochs * (len(train) // config.batch)
        self.base_rates = [group["lr"] for group in self.optimizer.param_groups]
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "checkpoint.pt").exists():
            self._resume()

    def _resume(self) -> None:
        state = torch.load(self.folder / "checkpoint.pt", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.step, self.best, self.seconds = state["epoch"], state["step"], state["best"], state["seconds"]

    def _save(self) -> None:
        state = {
            "network": self.network.state_dict(), "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(), "epoch": self.epoch, "step": self.step, "best": self.best,
            "seconds": self.seconds,
        }  # fmt: skip
        torch.save(state, self.folder / "checkpoint.tmp")
        (self.folder / "checkpoint.tmp").replace(self.folder / "checkpoint.pt")

    def fit(self) -> dict[str, Any]:
        """Trains to the end and returns the validation summary of the last epoch's average."""
        result: dict[str, Any] = {}
        while self.epoch < self.config.epochs:
            started = time.monotonic()
            loss = self._train_epoch()
            self.epoch += 1
            result = summary(evaluate(self.average, self.validation, len(self.names)), self.names)
            self.seconds += time.monotonic() - started
            self._log(loss, result)
            if result["miou"] >= self.best:
                self.best = result["miou"]
                torch.save(self.average.state_dict(), self.folder / "best.pt")
            self._save()
        return result

    def _train_epoch(self) -> float:
        self.network.train()
        self.training_set.epoch = self.epoch
        torch.manual_seed(self.config.seed + 1000 * self.epoch)
        loader = DataLoader(
            self.training_set, batch_size=self.config.batch, shuffle=True, num_workers=1, drop_last=True,
            generator=torch.Generator().manual_seed(self.config.seed + self.epoch),
        )  # fmt: skip
        losses = []
        for batch in tqdm(loader, desc=f"epoch {self.epoch + 1}/{self.config.epochs}", mininterval=10):
            losses.append(self._train_step(*batch))
        return float(np.mean(losses))

    def _train_step(self, color: Tensor, depth: Tensor, label: Tensor) -> float:
        factor = learning_rate_factor(self.step, self.steps, self.config.warmup_steps)
        for group, rate in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = rate * factor
        color = color.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=torch.backends.mkldnn.is_available()):
            scores = self.network(color, depth)
        loss = F.cross_entropy(scores.float(), label, self.weights, ignore_index=VOID)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        update_average(self.average, self.network, self.config.ema, self.step)
        return loss.item()

    def _log(self, loss: float, result: dict[str, Any]) -> None:
        new = not (self.folder / "log.csv").exists()
        with open(self.folder / "log.csv", "a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["epoch", "seconds", "loss", "oa", "ma", "miou", *self.names])
            figures = [result["oa"], result["ma"], result["miou"], *result["iou"].values()]
            writer.writerow([self.epoch, round(self.seconds), round(loss, 4), *(f and round(f, 4) for f in figures)])


def main(config_file: Path, out: Path) -> None:
    """Trains the network of CONFIG_FILE in the folder OUT and prints the validation summary as JSON."""
    config = load_config(config_file)
    train, val = (
        embedded_views(config, out, part, seeds) for part, seeds in (("train", config.train), ("val", config.val))
    )
    print(json.dumps(Run(config, train, val, out).fit()))


def embedded_views(config: Config, out: Path, part: str, seeds: tuple[int, int]) -> Dataset[Any]:
    """Random and tour views of the buildings, rendered to folders of OUT where they are not there yet."""
    from scene_understanding.datasets.embedded import EmbeddedViews

    kinds = (("random", part, config.views), ("tour", f"{part}_tour", config.tour_views))
    views: list[Any] = [EmbeddedViews(out / f, range(*seeds), n, kind) for kind, f, n in kinds if n]
    return ConcatDataset(views)


if __name__ == "__main__":
    typer.run(main)
