"""Accuracy beside speed of the shipped segmentation networks; one JSON line for each, with one view and with five.

On one building of the embedded world unless told otherwise, which takes a minute:
    python bench/bench_segmentation_accuracy_speed.py --data nyuv2:DIR [--split val] [--limit 20] [--threads 1]
"""

import argparse
import json
import sys

from scene_understanding.commands.evaluate import evaluate
from scene_understanding.commands.scoring import Wish
from scene_understanding.datasets.rgbd import DatasetError
from scene_understanding.inference.store import find, shipped

VIEWS = (1, 5)
SHOWN = ("model", "views", "images", "oa", "ma", "miou", "ms", "ms_total", "threads", "hardware")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="embedded:5")
    parser.add_argument("--split")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    for name in shipped():
        if find(name).task != "segmentation":
            continue
        for views in VIEWS:
            wish = Wish(name, options.data, options.split, views, threads=options.threads, provider="cpu",
                        limit=options.limit)  # fmt: skip
            try:
                report = evaluate(wish)
            except DatasetError as error:  # labels that the network does not know
                print(f"{name}: {error}", file=sys.stderr)
                break
            figures = {key: round(v, 4) if isinstance(v := report[key], float) else v for key in SHOWN}
            fps = {"fps": round(1000 / report["ms"], 1), "fps_total": round(1000 / report["ms_total"], 1)}
            print(json.dumps({"bench": "segmentation_accuracy_speed", "data": options.data.partition(":")[0],
                              **figures, **fps}), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
