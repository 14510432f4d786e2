"""The tiny training as processes to be killed: python killed_training.py, then a folder a line. See test_killed.py.

Answers with the id of a new process (and process group) that trains in the folder, and with its exit status when it has
ended. Forked from here, because importing torch takes longer than all of the training.
"""

import os
import sys
from pathlib import Path

import torch
from conftest import CONFIG, make_tiny_set

from scene_understanding.training import run, segmentation

torch.set_num_threads(1)
torch.optim.AdamW([torch.zeros(1)])  # imports what it needs
run.draw_curves = lambda folder, curves: None  # that also takes longer than the training


def train(folder: Path) -> None:
    samples = make_tiny_set()
    segmentation.SegmentationRun(CONFIG, samples, samples[:4], folder, "nyu13", save_every=0.0).fit()


for line in sys.stdin:
    process = os.fork()
    if process == 0:
        os.setsid()
        train(Path(line.strip()))
        os._exit(0)
    print(process, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
