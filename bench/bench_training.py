"""Training of `fusenet_nyu13`: the step alone, the data loader alone, both together; images per second.

Prints one JSON object, and a table on standard error. The images are views of the embedded world, so no data is needed;
weights are random, as their values cost no time. `waiting` is the share of the time in which the step has no data.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from scene_understanding.datasets.embedded import EmbeddedBuildings
from scene_understanding.training import processes
from scene_understanding.training.augment import Augmentation
from scene_understanding.training.data import InMemory
from scene_understanding.training.presets import find_config
from scene_understanding.training.run import Run
from scene_understanding.training.segmentation import SegmentationRun
from scene_understanding.training.segmentation_config import SegmentationConfig
from scene_understanding.training.segmentation_data import labelled

IMAGES, WARM, STEPS = 64, 2, 4
LABELS = "nyu40"
SIZES = {"crop": "192x256", "whole": "240x320"}


def make_run(folder: str, config: SegmentationConfig, samples: InMemory, whole: bool, **changes: Any) -> Run:
    """A run of one epoch below `folder`, all of it crops or all of it whole images."""
    config = replace(config, start="", init="", epochs=1, crop_epochs=0 if whole else 1, **changes)
    run = SegmentationRun(config, samples, samples, Path(tempfile.mkdtemp(dir=folder)), LABELS)
    run.network.train()
    for module in run.frozen:
        module.eval()
    return run


def step_rate(run: Run, bf16: bool, channels_last: bool) -> float:
    """Images per second of forward, losses, backward, optimizer and average, with a batch at hand."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    run.network.to(memory_format=layout)
    run.bf16, forward = bf16, run._forward
    if not channels_last:
        run._forward = lambda *inputs: forward(*(tensor.contiguous() for tensor in inputs))
    images = default_collate([run.training_set[i] for i in range(run.config.batch)])
    batch = [tensor.to(run.device) for tensor in images]
    seconds = [timed(lambda: run._train_batch(*batch)) for _ in range(WARM + STEPS)][WARM:]
    run._forward = forward
    return round(run.config.batch / float(np.median(seconds)), 1)


def timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def batches(run: Run, epochs: int) -> Iterator[list[Tensor]]:
    """As `Run` loads them."""
    indices = np.tile(np.arange(len(run.training_set)), epochs).reshape(-1, run.config.batch)
    yield from DataLoader(run.training_set, batch_sampler=indices.tolist(), num_workers=processes.loader_workers())


def loader_rate(run: Run, views: float) -> float:
    """Images per second of the loader with nothing else to do, from the first batch on."""
    run.training_set.augmentation = replace(Augmentation(**run.config.augmentation), views=views)
    loader = batches(run, 2)
    next(loader)
    started = time.perf_counter()
    count = sum(len(batch[0]) for batch in loader)
    return round(count / (time.perf_counter() - started), 1)


def together(run: Run) -> dict[str, float]:
    """Images per second of the loader and the step as in training, from the second batch on."""
    loader, waited, count = batches(run, 1), 0.0, 0
    run._train_batch(*next(loader))
    started = asked = time.perf_counter()
    for batch in loader:
        waited += time.perf_counter() - asked
        run._train_batch(*(tensor.to(run.device) for tensor in batch))
        count += len(batch[0])
        asked = time.perf_counter()
    seconds = time.perf_counter() - started
    return {"images_per_s": round(count / seconds, 1), "waiting": round(waited / seconds, 3)}


def main(folder: str) -> None:
    config = find_config("fusenet_nyu13")
    world = EmbeddedBuildings([5], IMAGES, label_set=LABELS)
    samples = InMemory([world[i] for i in range(IMAGES)], prepare=labelled)
    steps, loaders, both = {}, {}, {}
    for (size, pixels), frozen in product(SIZES.items(), (config.frozen_stages, 0)):
        run = make_run(folder, config, samples, size == "whole", frozen_stages=frozen)
        for bf16, channels_last in product((True, False), repeat=2):
            precision, layout = ("BF16" if bf16 else "FP32"), ("channels-last" if channels_last else "channels-first")
            steps[f"{pixels}, {frozen} frozen, {precision}, {layout}"] = step_rate(run, bf16, channels_last)
    share = config.augmentation["views"]
    for size, pixels in SIZES.items():
        run = make_run(folder, config, samples, size == "whole")
        for views in (0.0, share, 1.0):
            loaders[f"{pixels}, {views:.0%} views"] = loader_rate(run, views)
        run.training_set.augmentation = Augmentation(**config.augmentation)
        both[pixels] = together(run)
    print(json.dumps({
        "bench": "training", "cores": os.cpu_count(), "threads": torch.get_num_threads(), "batch": config.batch,
        "device": str(processes.device()), "step_images_per_s": steps, "loader_images_per_s": loaders,
        "together": both,
    }))  # fmt: skip
    rows = [(f"step: {name}", rate) for name, rate in steps.items()]
    rows += [(f"loader: {name}", rate) for name, rate in loaders.items()]
    rows += [(f"together: {name}, waiting {r['waiting']:.1%}", r["images_per_s"]) for name, r in both.items()]
    for name, rate in [("what", "images/s"), ("---", "---"), *rows]:
        print(f"| {name} | {rate} |", file=sys.stderr)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(temporary)
