"""Trains an RGB-D segmentation network: `scene-understanding train segmentation --config CONFIG`.

One loop: AdamW, linear warm-up and a decaying learning rate, cross-entropy with median-frequency class weights (Eigen
and Fergus, ICCV 2015) and Lovász-Softmax, void pixels ignored, a finer label set on a second head, exponential moving
average of the weights, BF16 where the processor has it, any number of processes (`processes`). A run that is cut off,
at any moment, goes on when the same command is given again, and ends with the same curve and the same weights.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from tqdm import tqdm

from scene_understanding.evaluation.segmentation_metrics import confusion_matrix, summary
from scene_understanding.models.encoder import Encoder
from scene_understanding.training import processes
from scene_understanding.training.augment import Augmentation
from scene_understanding.training.config import (
    Config,
    TrainingError,
    build,
    check_config,
    check_starts,
    read_state,
    short,
    write_config,
)
from scene_understanding.training.data import TrainingSet, check_data, load_data, target
from scene_understanding.training.losses import cross_entropy, lovasz_softmax
from scene_understanding.training.records import Table, draw_curves, replace_file

log = logging.getLogger(__name__)

PROGRESS = ("epoch", "batch", "best", "seconds", "losses")
CHECKPOINT = "checkpoint.pt"
SAVE_EVERY = 120.0
"""Seconds of training that a kill may cost."""


def optimizer_of(config: Config, network: nn.Module) -> torch.optim.Optimizer:
    """AdamW; no weight decay on biases and normalisation; started streams learn slower than the decoder."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    streams = {id(p) for module in network.modules() if isinstance(module, Encoder) for p in module.parameters()}
    for parameter in network.parameters():
        if not parameter.requires_grad:
            continue
        factor = config.encoder_factor if (config.start or config.init) and id(parameter) in streams else 1.0
        decay = config.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": p, "lr": config.learning_rate * f, "weight_decay": d} for (f, d), p in groups.items()], fused=True
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


class ScoreMaps(nn.Module):
    """`score_maps` of a network as a forward pass, which is what `DistributedDataParallel` hooks into."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, color: Tensor, depth: Tensor) -> tuple[Tensor, Tensor | None]:
        maps: tuple[Tensor, Tensor | None] = self.network.score_maps(color, depth)
        return maps


class Run:
    """A training in a folder.

    config.yaml: as it was started; checkpoint.pt: all that is needed to go on; steps.csv: loss of every step; log.csv:
    a line for every validation; log.json: what came out so far; curves.png; best.pt: the averaged weights with the best
    validation mIoU.

    Args:
        train, val: sequences of RgbdSample with labels in `data_label_set`, all of one size.
        save_every: seconds of training that a kill may cost.

    Raises:
        TrainingError: the config does not fit the data, or the folder holds a run of another config.
    """

    def __init__(
        self, config: Config, train: Any, val: Any, folder: Path, data_label_set: str, save_every: float = SAVE_EVERY
    ) -> None:
        torch.manual_seed(config.seed)
        config = replace(
            config, size=config.size or train[0].rgb.shape[:2], label_set=config.label_set or data_label_set
        )
        self.config, self.folder, self.save_every = config, folder, save_every
        self.device, self.bf16, self.first = processes.device(), processes.has_bf16(), processes.rank() == 0
        self.batches = len(train) // (config.batch * config.accumulate) * config.accumulate
        self.steps = config.epochs * self.batches // config.accumulate
        if not self.batches:
            raise TrainingError(f"{len(train)} training samples do not make one step of {self._samples_a_step}")
        if config.batch % processes.count():
            raise TrainingError(f"batch is {config.batch}, which {processes.count()} processes cannot share evenly")
        if self.first and config.warmup_steps >= self.steps:
            log.warning(
                f"the run has {self.steps} steps, warmup_steps is {config.warmup_steps}: the learning rate never falls"
            )
        self.training_set = TrainingSet(train, config, Augmentation(**config.augmentation))
        self.validation = DataLoader(TrainingSet(val, config, None), batch_size=config.batch)
        self.target = target(train, config, config.label_set, data_label_set, config.void_things).to(self.device)
        self.heads = [self.target]
        if config.auxiliary_label_set:
            self.heads.append(target(train, config, config.auxiliary_label_set, data_label_set).to(self.device))
        check_config(config, folder)
        resumes = (folder / CHECKPOINT).exists()
        self._build(replace(config, start="", init="") if resumes else config)
        self.epoch, self.batch, self.best, self.seconds = 0, 0, 0.0, 0.0
        self.losses: list[float] = []
        if resumes:
            self._resume()
        if self.first:
            folder.mkdir(parents=True, exist_ok=True)
            write_config(config, folder)
            self._steps = Table(folder / "steps.csv", ("step", "epoch", "learning_rate", "loss"), self.step)
            self._log = Table(folder / "log.csv", self._columns(), self.epoch)

    @property
    def _samples_a_step(self) -> str:
        accumulate = self.config.accumulate
        return f"{accumulate} batches of {self.config.batch}" if accumulate > 1 else f"{self.config.batch}"

    def _build(self, started: Config) -> None:
        """The network with the weights of its start, its average, and the optimizer."""
        network = build(started, *(len(head.names) for head in self.heads))
        if self.device.type == "cuda" and processes.count() > 1:
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        self.network: Any = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        stages = self.config.frozen_stages
        self.frozen: list[nn.Module] = self.network.first_stages(stages) if stages else []
        for module in self.frozen:
            module.requires_grad_(False)
        self.average = copy.deepcopy(self.network)
        self.optimizer = optimizer_of(self.config, self.network)
        self.base_rates = [group["lr"] for group in self.optimizer.param_groups]
        self._score_maps: Any = ScoreMaps(self.network)
        if processes.count() > 1:
            self._score_maps = DistributedDataParallel(self._score_maps)

    @property
    def step(self) -> int:
        """Steps of the optimizer so far."""
        return (self.epoch * self.batches + self.batch) // self.config.accumulate

    def _resume(self) -> None:
        path = self.folder / CHECKPOINT
        state = read_state(path, self.device)
        try:
            for name in ("network", "average", "optimizer"):
                getattr(self, name).load_state_dict(state[name])
            for name in PROGRESS:
                setattr(self, name, state[name])
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise TrainingError(f"{path} does not fit the config beside it: {short(error)}") from error

    def _save(self) -> None:
        """The checkpoint, after the logs: what they hold of the time before it is never lost."""
        if not self.first:
            return
        state = {
            "network": self.network.state_dict(), "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(), **{name: getattr(self, name) for name in PROGRESS},
        }  # fmt: skip
        self._steps.sync()
        self._log.sync()
        replace_file(self.folder / CHECKPOINT, lambda file: torch.save(state, file))

    def fit(self) -> dict[str, Any]:
        """Trains to the end and returns the validation summary of the last average; {} in all but the first process."""
        result: dict[str, Any] = {}
        while self.epoch < self.config.epochs:
            self._train_epoch()
            if self.first and self._validates():
                started = time.monotonic()
                result = self._summaries()
                self.seconds += time.monotonic() - started
                self._record(result)
            self.epoch, self.batch, self.losses = self.epoch + 1, 0, []
            self._save()
        if self.first and not result:  # it was at the end before
            result = self._summaries()
            self._summarise(result)
        return result

    def _validates(self) -> bool:
        return (self.epoch + 1) % self.config.validate_every == 0 or self.epoch + 1 == self.config.epochs

    def _train_epoch(self) -> None:
        """Goes through what is left of the epoch; the order depends on seed and epoch alone."""
        self.network.train()
        for module in self.frozen:
            module.eval()
        self.training_set.epoch = self.epoch
        size = self.config.batch
        order = np.random.default_rng([self.config.seed, self.epoch]).permutation(len(self.training_set))
        batches = order[: self.batches * size].reshape(-1, size)[self.batch :, processes.rank() :: processes.count()]
        loader = DataLoader(
            self.training_set, batch_sampler=batches.tolist(), num_workers=processes.loader_workers(),
            pin_memory=self.device.type == "cuda",
        )  # fmt: skip
        saved = started = time.monotonic()
        for batch in tqdm(
            loader, f"epoch {self.epoch + 1}/{self.config.epochs}", self.batches, initial=self.batch, mininterval=10,
            disable=not self.first,
        ):  # fmt: skip
            self._train_batch(*(tensor.to(self.device, non_blocking=True) for tensor in batch))
            now = time.monotonic()
            self.seconds, started = self.seconds + now - started, now
            if now - saved > self.save_every and self.batch % self.config.accumulate == 0:
                self._save()
                saved = now

    def _train_batch(self, color: Tensor, depth: Tensor, label: Tensor) -> None:
        config = self.config
        # For dropout: the same in every run, another one in every process.
        torch.manual_seed(config.seed + 1000 * self.epoch * self.batches + self.batch + 10**12 * processes.rank())
        factor = learning_rate_factor(self.step, self.steps, config.warmup_steps, config.schedule)
        for group, rate in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = rate * factor
        color, depth = (x.contiguous(memory_format=torch.channels_last) for x in (color, depth))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            maps = self._score_maps(color, depth)
        loss = self._loss([scores.float() for scores in maps if scores is not None], label)
        (loss / config.accumulate).backward()
        self.losses.append(processes.mean_over_processes(loss.detach()).item())
        self._check_finite("loss", self.losses[-1])
        if (self.batch + 1) % config.accumulate == 0:
            norm = nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
            self._check_finite("gradient", norm.item())
            self.optimizer.step()
            self.optimizer.zero_grad()
            update_average(self.average, self.network, config.ema, self.step)
        self.batch += 1
        if self.first and self.batch % config.accumulate == 0:
            epoch = self.epoch + self.batch / self.batches
            mean = float(np.mean(self.losses[-config.accumulate :]))
            self._steps.append((self.step, f"{epoch:.5f}", f"{config.learning_rate * factor:.4g}", mean))

    def _check_finite(self, what: str, value: float) -> None:
        """One such value makes all weights NaN, for good."""
        if not math.isfinite(value):
            raise TrainingError(
                f"the {what} of step {self.step + 1} is {value}: lower learning_rate, or look for what is wrong in the "
                f"data; {self.folder} is as it was before"
            )

    def _loss(self, maps: list[Tensor], label: Tensor) -> Tensor:
        """Cross-entropy at half the resolution of the labels, the other losses at that of the scores."""
        config, size = self.config, (label.shape[-2] // 2, label.shape[-1] // 2)
        scores, head = maps[0], self.target
        fine = F.interpolate(scores, size=size, mode="bilinear") if scores.shape[-1] < size[1] else scores
        truth = resized_label(label, fine.shape[-2:])
        loss = cross_entropy(fine, head.of[truth], head.weights, config.smoothing)
        truth = resized_label(label, scores.shape[-2:])
        if config.lovasz:
            loss = loss + config.lovasz * lovasz_softmax(scores, head.of[truth])
        for finer, head in zip(maps[1:], self.heads[1:], strict=True):
            loss = loss + config.auxiliary_weight * cross_entropy(finer, head.of[truth], head.weights, config.smoothing)
        return loss

    @torch.no_grad()
    def confusions(self) -> list[NDArray[np.int64]]:
        """Of the averaged network on the validation samples: a matrix (K, K + 1) for each head.

        Raises:
            TrainingError: the samples are not labelled.
        """
        self.average.eval()
        confusions = [np.zeros((len(head.names), len(head.names) + 1), np.int64) for head in self.heads]
        for batch in self.validation:
            color, depth, label = (tensor.to(self.device) for tensor in batch)
            maps = self.average.score_maps(color, depth)
            for head, confusion, scores in zip(self.heads, confusions, maps, strict=False):
                found = F.interpolate(scores, size=label.shape[-2:], mode="bilinear").argmax(1)
                confusion += confusion_matrix(head.of[label].cpu().numpy(), found.cpu().numpy(), len(confusion))
        if not confusions[0].any():
            raise TrainingError(f"no pixel of the validation samples is in a class of {self.config.label_set}")
        return confusions

    def _summaries(self) -> dict[str, Any]:
        """`summary` of what is predicted; of the second head as its "auxiliary"."""
        result, *more = (summary(c, head.names) for c, head in zip(self.confusions(), self.heads, strict=True))
        return {**result, "auxiliary": more[0]} if more else result

    def _columns(self) -> list[str]:
        more = [f"auxiliary_{key}" for key in ("oa", "ma", "miou") for _ in self.heads[1:]]
        return ["epoch", "seconds", "loss", "oa", "ma", "miou", *self.target.names, *more]

    def _record(self, result: dict[str, Any]) -> None:
        """Writes down a validation, and keeps the weights if they are the best so far."""
        loss = float(np.mean(self.losses))
        means = [part[key] for part in (result, result.get("auxiliary", {})) for key in ("oa", "ma", "miou") if part]
        figures = [*means[:3], *result["iou"].values(), *means[3:]]
        row = [self.epoch + 1, round(self.seconds), round(loss, 4), *(f if f is None else round(f, 4) for f in figures)]
        self._log.append(row)
        log.info(
            f"epoch {self.epoch + 1} of {self.config.epochs}: loss {loss:.3f}, "
            f"OA {100 * means[0]:.1f}, MA {100 * means[1]:.1f}, mIoU {100 * means[2]:.1f}"
        )
        if result["miou"] >= self.best:
            self.best = result["miou"]
            replace_file(self.folder / "best.pt", lambda file: torch.save(self.average.state_dict(), file))
        self._summarise(result)

    def _summarise(self, result: dict[str, Any]) -> None:
        """log.json and curves.png."""
        gpu = self.device.type == "cuda"
        where = torch.cuda.get_device_name() if gpu else f"{torch.get_num_threads()} CPU threads"
        many = f"{processes.count()} processes, each " if processes.count() > 1 else ""
        report = {
            "config": self.config.name, "epochs": self.config.epochs, "steps": self.step, "seconds": self.seconds,
            "samples": {"train": len(self.training_set), "val": len(self.validation.dataset)},  # type: ignore[arg-type]
            "hardware": f"{many}{where}{', BF16' if self.bf16 else ''}", "torch": torch.__version__,
            "unseen": [list(head.unseen) for head in self.heads], "best": self.best, "last": result,
        }  # fmt: skip
        text = json.dumps(report, indent=1)
        replace_file(self.folder / "log.json", lambda file: file.write(text.encode()))
        draw_curves(self.folder)


def resized_label(label: Tensor, size: Any) -> Tensor:
    """(N, h, w) int64 of labels (N, H, W), nearest."""
    if label.shape[-2:] == size:
        return label
    return F.interpolate(label[:, None].to(torch.uint8), size=size, mode="nearest-exact")[:, 0].long()


def train(config: Config, out: Path, save_every: float = SAVE_EVERY) -> dict[str, Any]:
    """Trains the network of a config in the folder `out` and returns the validation summary.

    Raises:
        TrainingError, DatasetError: it cannot be done as asked.
    """
    check_data(config)
    if not (out / CHECKPOINT).exists():
        check_starts(config)  # before the data is read, which takes its time
    with processes.first_goes_first():
        samples, validation, data_label_set = load_data(config, out)
    return Run(config, samples, validation, out, data_label_set, save_every).fit()
