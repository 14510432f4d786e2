"""The training loop that all tasks share: `Run`.

AdamW, linear warm-up and a decaying learning rate, exponential moving average of the weights, BF16 where the processor
has it, any number of processes (`processes`). A run that is cut off, at any moment, goes on when the same command is
given again, and ends with the same curve and the same weights.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from tqdm import tqdm

from scene_understanding.models.encoder import Encoder
from scene_understanding.training import processes
from scene_understanding.training.config import Config, TrainingError
from scene_understanding.training.networks import read_state, short
from scene_understanding.training.presets import check_config, write_config
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


class Forward(nn.Module):
    """A method of a network as a forward pass, which is what `DistributedDataParallel` hooks into."""

    def __init__(self, network: nn.Module, method: str) -> None:
        super().__init__()
        self.network, self.method = network, method

    def forward(self, *inputs: Tensor) -> Any:
        return getattr(self.network, self.method)(*inputs)


class Run(ABC):
    """A training in a folder.

    config.yaml: as it was started; checkpoint.pt: all that is needed to go on; steps.csv: loss of every step; log.csv:
    a line for every validation; log.json: what came out so far; curves.png; best.pt: the averaged weights of the
    validation with the best score.

    A task says what its network is (`build_network`), what it learns (`loss`), and how good it is (`judge`).

    Args:
        train, val: data sets of tensors; the order and the augmentation of `train` follow its `epoch`, set here.
        save_every: seconds of training that a kill may cost.

    Attributes:
        network, average: as trained, and the moving average, which is validated and exported.
        bf16: whether the network computes in it.

    Raises:
        TrainingError: the config does not fit the data, or the folder holds a run of another config.
    """

    method: str
    """Of the network: what training calls."""

    def __init__(self, config: Config, train: Any, val: Any, folder: Path, save_every: float = SAVE_EVERY) -> None:
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
        self.training_set = train
        self.validation = DataLoader(val, batch_size=config.batch)
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
            self._log = Table(folder / "log.csv", ["epoch", "seconds", "loss", *self.columns()], self.epoch)

    @abstractmethod
    def build_network(self, started: Config) -> nn.Module:
        """The network with the weights of its start."""

    @abstractmethod
    def loss(self, forward: Any, *batch: Tensor) -> Tensor:
        """Of a batch; `forward` is the network's `method`, in BF16 where `autocast` is entered."""

    @abstractmethod
    def judge(self) -> dict[str, Any]:
        """What the average does on the validation samples; a figure for `config.score`."""

    @abstractmethod
    def columns(self) -> list[str]:
        """Of log.csv after epoch, seconds and loss."""

    def row(self, result: dict[str, Any]) -> list[float | None]:
        """What `judge` found, by `columns`."""
        return [result[name] for name in self.columns()]

    @abstractmethod
    def line(self, result: dict[str, Any]) -> str:
        """The same for people, on one line."""

    def parts(self) -> dict[str, Any]:
        """By name, what a checkpoint holds the state of."""
        return {name: getattr(self, name) for name in ("network", "average", "optimizer")}

    def facts(self) -> dict[str, Any]:
        """More for log.json."""
        return {}

    def autocast(self) -> Any:
        """The context in which the network computes."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    @property
    def _samples_a_step(self) -> str:
        accumulate = self.config.accumulate
        return f"{accumulate} batches of {self.config.batch}" if accumulate > 1 else f"{self.config.batch}"

    def _build(self, started: Config) -> None:
        """The network with the weights of its start, its average, and the optimizer."""
        network = self.build_network(started)
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
        self._forward: Any = Forward(self.network, self.method)
        if processes.count() > 1:
            self._forward = DistributedDataParallel(self._forward)

    @property
    def step(self) -> int:
        """Steps of the optimizer so far."""
        return (self.epoch * self.batches + self.batch) // self.config.accumulate

    def _resume(self) -> None:
        path = self.folder / CHECKPOINT
        state = read_state(path, self.device)
        try:
            for name, part in self.parts().items():
                part.load_state_dict(state[name])
            for name in PROGRESS:
                setattr(self, name, state[name])
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise TrainingError(f"{path} does not fit the config beside it: {short(error)}") from error

    def _save(self) -> None:
        """The checkpoint, after the logs: what they hold of the time before it is never lost."""
        if not self.first:
            return
        state = {name: part.state_dict() for name, part in self.parts().items()}
        state |= {name: getattr(self, name) for name in PROGRESS}
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
                result = self.judge()
                self.seconds += time.monotonic() - started
                self._record(result)
            self.epoch, self.batch, self.losses = self.epoch + 1, 0, []
            self._save()
        if self.first and not result:  # it was at the end before
            result = self.judge()
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

    def _train_batch(self, *batch: Tensor) -> None:
        config = self.config
        # For dropout: the same in every run, another one in every process.
        torch.manual_seed(config.seed + 1000 * self.epoch * self.batches + self.batch + 10**12 * processes.rank())
        factor = learning_rate_factor(self.step, self.steps, config.warmup_steps, config.schedule)
        for group, rate in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = rate * factor
        batch = tuple(x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x for x in batch)
        loss = self.loss(self._forward, *batch)
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

    def _record(self, result: dict[str, Any]) -> None:
        """Writes down a validation, and keeps the weights if they are the best so far."""
        loss = float(np.mean(self.losses))
        figures = [None if figure is None else round(figure, 4) for figure in self.row(result)]
        self._log.append([self.epoch + 1, round(self.seconds), round(loss, 4), *figures])
        log.info(f"epoch {self.epoch + 1} of {self.config.epochs}: loss {loss:.3f}, {self.line(result)}")
        if result[self.config.score] >= self.best:
            self.best = result[self.config.score]
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
            **self.facts(), "best": self.best, "last": result,
        }  # fmt: skip
        text = json.dumps(report, indent=1)
        replace_file(self.folder / "log.json", lambda file: file.write(text.encode()))
        draw_curves(self.folder, self.config.curves)
