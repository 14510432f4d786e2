"""Trains an RGB-D segmentation network: `scene-understanding train segmentation --config CONFIG.yaml`.

One loop: AdamW, linear warm-up and a decaying learning rate, cross-entropy with median-frequency class weights (Eigen
and Fergus, ICCV 2015) and Lovász-Softmax, void pixels ignored, a finer label set on a second head, exponential moving
average of the weights, BF16 where the processor has it. A run that is cut off goes on from its last epoch when the same
command is given again.
"""

from __future__ import annotations

import copy
import csv
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset
from tqdm import tqdm

from scene_understanding.datasets.open import open_dataset
from scene_understanding.datasets.rgbd import RgbdSample
from scene_understanding.evaluation.segmentation_metrics import confusion_matrix, summary
from scene_understanding.labels import load_label_set, mapping
from scene_understanding.perception.segmenter import color_input, depth_input
from scene_understanding.training.augment import Augmentation
from scene_understanding.training.config import Config, build, input_specs
from scene_understanding.training.losses import VOID, cross_entropy, lovasz_softmax

PROGRESS = ("epoch", "batch", "best", "seconds", "losses")
SAVE_EVERY = 120.0
"""Seconds of training that a kill may cost."""


class InMemory:
    """The samples of a dataset, read once and held in 6 bytes a pixel: colour, depth in millimetres, 8-bit labels.

    Args:
        samples: of RgbdSample.
        size: (height, width) to which they are resized, as they are if empty.
    """

    def __init__(self, samples: Any, size: tuple[int, ...] = ()) -> None:
        self._samples = [_packed(resized(sample, size)) for sample in tqdm(samples, "reading", mininterval=10)]

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> RgbdSample:
        millimetres, sample = self._samples[index]
        depth = np.where(millimetres > 0, millimetres * np.float32(0.001), np.float32(np.nan))
        return replace(sample, depth=depth)


def _packed(sample: RgbdSample) -> tuple[NDArray[np.uint16], RgbdSample]:
    millimetres = np.nan_to_num(sample.depth * 1000, nan=0.0).clip(0, 65535).astype(np.uint16)
    return millimetres, replace(sample, depth=np.empty(0, np.float32))


def resized(sample: RgbdSample, size: tuple[int, ...]) -> RgbdSample:
    """A sample of `size` (H, W): colour by area, depth and labels by nearest neighbour."""
    if not size or sample.rgb.shape[:2] == tuple(size):
        return sample
    to: Any = lambda image, how: cv2.resize(image, (size[1], size[0]), interpolation=how)  # noqa: E731
    return replace(
        sample, rgb=to(sample.rgb, cv2.INTER_AREA), depth=to(sample.depth, cv2.INTER_NEAREST),
        label=None if sample.label is None else to(sample.label, cv2.INTER_NEAREST),
        camera=sample.camera.resized(size[1], size[0]),
    )  # fmt: skip


class TrainingSet(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Normalised samples; augmented with a generator seeded by (seed, epoch, index), so that order does not matter."""

    def __init__(self, samples: Any, config: Config, augmentation: Augmentation | None) -> None:
        self.samples, self.config, self.augmentation, self.epoch = samples, config, augmentation, 0

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        sample = self.samples[index]
        if self.augmentation:
            augmentation = self.augmentation
            if self.epoch >= self.config.crop_epochs:
                augmentation = replace(augmentation, crop=None)
            sample = augmentation(sample, np.random.default_rng([self.config.seed, self.epoch, index]))
        return tensors(self.config, sample)


def tensors(config: Config, sample: RgbdSample) -> tuple[Tensor, Tensor, Tensor]:
    """color (3, H, W) and depth (D, H, W) float32, by the code that prepares them on the robot; label (H, W) int64."""
    specs = input_specs(config, sample.depth.shape)
    color, depth = color_input(sample.rgb, specs["color"]), depth_input(sample.depth, specs["depth"])
    assert sample.label is not None
    return torch.from_numpy(color[0]), torch.from_numpy(depth[0]), torch.from_numpy(sample.label.astype(np.int64))


@dataclass(frozen=True)
class Target:
    """What one head learns.

    Attributes:
        names: of its classes.
        of: (256,) int64, its class for every id in the labels of the dataset, 255 for void.
        weights: (K,) float32 of its classes.
    """

    names: tuple[str, ...]
    of: Tensor
    weights: Tensor


def target(samples: Any, label_set: str, data_label_set: str, limit: float) -> Target:
    """Classes of `label_set` as indices, from labels in `data_label_set`.

    Weights: median class frequency over each class's own, square-rooted and limited; from at most 1000 samples.
    """
    labels, table = load_label_set(label_set), np.full(256, VOID, np.int64)
    index = {class_id: i for i, class_id in enumerate(labels.ids)}
    of = mapping(data_label_set, label_set) if data_label_set != label_set else np.arange(256)
    for i, class_id in enumerate(of):
        table[i] = index.get(int(class_id), VOID)
    counts = np.zeros(256, np.int64)
    for i in range(0, len(samples), max(1, len(samples) // 1000)):
        counts += np.bincount(table[samples[i].label.ravel()], minlength=256)
    frequency = np.maximum(counts[: len(index)], 1) / max(counts[: len(index)].sum(), 1)
    seen = frequency[counts[: len(index)] > 0]
    weights = np.clip(np.sqrt(np.median(seen) / frequency), 1 / limit, limit) if len(seen) else np.ones(len(index))
    return Target(labels.names, torch.from_numpy(table), torch.tensor(weights, dtype=torch.float32))


def optimizer_of(config: Config, network: nn.Module) -> torch.optim.Optimizer:
    """AdamW; no weight decay on biases and normalisation; started streams learn slower than the decoder."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        factor = (
            config.encoder_factor if (config.start or config.init) and name.startswith(("color.", "depth.")) else 1.0
        )
        decay = config.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": p, "lr": config.learning_rate * f, "weight_decay": d} for (f, d), p in groups.items()]
    )


def learning_rate_factor(step: int, steps: int, warmup: int, schedule: str = "poly") -> float:
    """Linear warm-up, then (1 - t)^0.9 or half a cosine."""
    if step < warmup:
        return (step + 1) / warmup
    t = (step - warmup) / max(1, steps - warmup)
    return float((1 + np.cos(np.pi * t)) / 2 if schedule == "cosine" else (1 - t) ** 0.9)


def update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """EMA of weights and normalisation statistics; the decay starts small so that early steps are forgotten."""
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        pairs = list(zip(average.state_dict().values(), network.state_dict().values(), strict=True))
        floating = [pair for pair in pairs if pair[0].dtype.is_floating_point]
        torch._foreach_lerp_([a for a, _ in floating], [b for _, b in floating], 1 - decay)


class Run:
    """A training in a folder.

    checkpoint.pt: all that is needed to go on; log.csv: a line for every validation; best.pt: the averaged weights with
    the best validation mIoU.

    Args:
        train, val: sequences of RgbdSample with labels in `data_label_set`.
    """

    def __init__(self, config: Config, train: Any, val: Any, folder: Path, data_label_set: str) -> None:
        torch.manual_seed(config.seed)
        self.config, self.folder = config, folder
        self.training_set = TrainingSet(train, config, Augmentation(**config.augmentation))
        self.validation = DataLoader(TrainingSet(val, config, None), batch_size=config.batch)
        self.target = target(train, config.label_set, data_label_set, config.max_class_weight)
        self.auxiliary: Target | None = None
        if config.auxiliary_label_set:
            self.auxiliary = target(train, config.auxiliary_label_set, data_label_set, config.max_class_weight)
        network = build(config, len(self.target.names), len(self.auxiliary.names) if self.auxiliary else 0)
        self.network: Any = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.frozen = self.network.first_stages(config.frozen_stages) if config.frozen_stages else []
        for module in self.frozen:
            module.requires_grad_(False)
        self.average = copy.deepcopy(self.network)
        self.optimizer = optimizer_of(config, self.network)
        self.base_rates = [group["lr"] for group in self.optimizer.param_groups]
        self.batches = len(train) // config.batch
        self.steps = config.epochs * self.batches // config.accumulate
        self.epoch, self.batch, self.best, self.seconds = 0, 0, 0.0, 0.0
        self.losses: list[float] = []
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "checkpoint.pt").exists():
            self._resume()

    @property
    def step(self) -> int:
        """Steps of the optimizer so far."""
        return (self.epoch * self.batches + self.batch) // self.config.accumulate

    def _resume(self) -> None:
        state = torch.load(self.folder / "checkpoint.pt", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        for name in PROGRESS:
            setattr(self, name, state[name])

    def _save(self) -> None:
        state = {
            "network": self.network.state_dict(), "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(), **{name: getattr(self, name) for name in PROGRESS},
        }  # fmt: skip
        torch.save(state, self.folder / "checkpoint.tmp")
        (self.folder / "checkpoint.tmp").replace(self.folder / "checkpoint.pt")

    def fit(self) -> dict[str, Any]:
        """Trains to the end and returns the validation summary of the last average."""
        result: dict[str, Any] = {}
        while self.epoch < self.config.epochs:
            self._train_epoch()
            started = time.monotonic()
            if (self.epoch + 1) % self.config.validate_every == 0 or self.epoch + 1 == self.config.epochs:
                result = summary(self.validate(), self.target.names)
                self.seconds += time.monotonic() - started
                self._log(self.epoch + 1, float(np.mean(self.losses)), result)
                if result["miou"] >= self.best:
                    self.best = result["miou"]
                    torch.save(self.average.state_dict(), self.folder / "best.pt")
            self.epoch, self.batch, self.losses = self.epoch + 1, 0, []
            self._save()
        return result

    def _train_epoch(self) -> None:
        """Goes through what is left of the epoch; the order depends on seed and epoch alone."""
        self.network.train()
        for module in self.frozen:
            module.eval()
        self.training_set.epoch = self.epoch
        size = self.config.batch
        order = np.random.default_rng([self.config.seed, self.epoch]).permutation(len(self.training_set))
        batches = order[: self.batches * size].reshape(-1, size)[self.batch :].tolist()
        loader = DataLoader(self.training_set, batch_sampler=batches, num_workers=1)
        saved = started = time.monotonic()
        for batch in tqdm(
            loader, f"epoch {self.epoch + 1}/{self.config.epochs}", self.batches, initial=self.batch, mininterval=10
        ):
            self.losses.append(self._train_batch(*batch))
            self.batch += 1
            now = time.monotonic()
            self.seconds, started = self.seconds + now - started, now
            if now - saved > SAVE_EVERY and self.batch % self.config.accumulate == 0:
                self._save()
                saved = now

    def _train_batch(self, color: Tensor, depth: Tensor, label: Tensor) -> float:
        config = self.config
        torch.manual_seed(config.seed + 1000 * self.epoch * self.batches + self.batch)  # for dropout
        factor = learning_rate_factor(self.step, self.steps, config.warmup_steps, config.schedule)
        for group, rate in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = rate * factor
        color, depth = (x.contiguous(memory_format=torch.channels_last) for x in (color, depth))
        with torch.autocast("cpu", torch.bfloat16, enabled=torch.backends.mkldnn.is_available()):
            scores, auxiliary = self.network.score_maps(color, depth)
        loss = self._loss(scores.float(), None if auxiliary is None else auxiliary.float(), label)
        (loss / config.accumulate).backward()
        if (self.batch + 1) % config.accumulate == 0:
            nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
            self.optimizer.step()
            self.optimizer.zero_grad()
            update_average(self.average, self.network, config.ema, self.step)
        return loss.item()

    def _loss(self, scores: Tensor, auxiliary: Tensor | None, label: Tensor) -> Tensor:
        """Cross-entropy at half the resolution of the labels, the other losses at that of the scores."""
        config, size = self.config, (label.shape[-2] // 2, label.shape[-1] // 2)
        fine = F.interpolate(scores, size=size, mode="bilinear") if scores.shape[-1] < size[1] else scores
        truth = resized_label(label, fine.shape[-2:])
        loss = cross_entropy(fine, self.target.of[truth], self.target.weights, config.smoothing)
        truth = resized_label(label, scores.shape[-2:])
        if config.lovasz:
            loss = loss + config.lovasz * lovasz_softmax(scores, self.target.of[truth])
        if auxiliary is not None and self.auxiliary is not None:
            finer = cross_entropy(auxiliary, self.auxiliary.of[truth], self.auxiliary.weights, config.smoothing)
            loss = loss + config.auxiliary_weight * finer
        return loss

    @torch.no_grad()
    def validate(self) -> NDArray[np.int64]:
        """Confusion matrix (K, K + 1) of the averaged network on the validation samples."""
        self.average.eval()
        classes = len(self.target.names)
        confusion = np.zeros((classes, classes + 1), np.int64)
        for color, depth, label in self.validation:
            found = self.average(color, depth).argmax(1)
            confusion += confusion_matrix(self.target.of[label].numpy(), found.numpy(), classes)
        return confusion

    def _log(self, epoch: int, loss: float, result: dict[str, Any]) -> None:
        new = not (self.folder / "log.csv").exists()
        with open(self.folder / "log.csv", "a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["epoch", "seconds", "loss", "oa", "ma", "miou", *self.target.names])
            figures = [result["oa"], result["ma"], result["miou"], *result["iou"].values()]
            writer.writerow([epoch, round(self.seconds), round(loss, 4), *(f and round(f, 4) for f in figures)])


def resized_label(label: Tensor, size: Any) -> Tensor:
    """(N, h, w) int64 of labels (N, H, W), nearest."""
    if label.shape[-2:] == size:
        return label
    return F.interpolate(label[:, None].to(torch.uint8), size=size, mode="nearest-exact")[:, 0].long()


def train(config: Config, out: Path) -> dict[str, Any]:
    """Trains the network of a config in the folder `out` and returns the validation summary."""
    if config.data == "embedded":
        train, val = (
            embedded_views(config, out, part, seeds) for part, seeds in (("train", config.train), ("val", config.val))
        )
        return Run(config, train, val, out, "nyu13").fit()
    label_set = config.auxiliary_label_set or config.label_set
    train, val = (open_dataset(config.data, split=split, label_set=label_set) for split in (config.train, config.val))
    return Run(config, InMemory(train, config.size), InMemory(val, config.size), out, label_set).fit()


def embedded_views(config: Config, out: Path, part: str, seeds: str) -> Dataset[Any]:
    """Random and tour views of the buildings, rendered to folders of OUT where they are not there yet."""
    from scene_understanding.datasets.embedded import EmbeddedViews

    first, last = (int(seed) for seed in seeds.split("-"))
    kinds = (("random", part, config.views), ("tour", f"{part}_tour", config.tour_views))
    views: list[Any] = [EmbeddedViews(out / f, range(first, last + 1), n, kind) for kind, f, n in kinds if n]
    return ConcatDataset(views)
