"""The evaluation of keypoints: judgements by hand, and a whole one of a network whose every answer is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from scene_understanding.datasets.people import PeopleSample
from scene_understanding.evaluation.keypoint_metrics import figures
from scene_understanding.evaluation.keypoint_pictures import write_people
from scene_understanding.evaluation.keypoints import Judged, evaluate, judge
from scene_understanding.evaluation.timing import EvaluationError, TimedNetwork
from scene_understanding.inference.store import find
from scene_understanding.labels.keypoints import COCO18_NAMES
from scene_understanding.perception.skeletons import NOBODY, Skeletons

People = Callable[..., PeopleSample]


def found_in(sample: PeopleSample) -> Skeletons:
    """Everybody, every keypoint where it is."""
    count = len(sample.pixels)
    return Skeletons(
        sample.pixels.copy(), np.ones((count, 18), np.float32), np.linspace(1, 0.5, count, dtype=np.float32)
    )


@pytest.fixture
def network(tiny_keypoint_model: Callable[..., Path]) -> TimedNetwork:
    return TimedNetwork(find(tiny_keypoint_model()), threads=1)


def test_everything_right(tiny_people: People) -> None:
    sample = tiny_people((6, 3), (15, 4))
    judgement = judge(sample, found_in(sample))
    assert judgement.summary == {"people": 2, "found": 2, "false": 0, "pck": 1.0}
    report = figures([judgement])
    assert report["oks_ap"] == report["ap50"] == report["ap75"] == pytest.approx(1)
    assert report["pck"] == 1 and set(report["pck_by_joint"].values()) == {1.0} and report["people"] == 2
    assert len(report["pck_by_joint"]) == 10 and report["joints_placed"] == 1
    # The depth image is flat, so joints are put half a body behind where they are.
    assert 0.01 < report["joint_error_m"] < report["joint_error_p90_m"] < 0.15


def test_missed_and_false_people(tiny_people: People) -> None:
    """Of two people one is missed, the other one lacks an ankle, and somebody is found who is not there."""
    sample = tiny_people((6, 3), (15, 4))
    found = found_in(sample)
    found.pixels[0] += 500
    found.pixels[1, COCO18_NAMES.index("left_ankle")] = np.nan
    judgement = judge(sample, found)
    assert judgement.summary == {"people": 2, "found": 1, "false": 1, "pck": 17 / 36}
    report = figures([judgement])
    assert report["pck_by_joint"]["ankle"] == pytest.approx(1 / 4) and report["pck_by_joint"]["neck"] == 0.5
    assert report["ap50"] == pytest.approx(0.5 * 51 / 101)  # the false one is the surest
    assert report["joints_placed"] == pytest.approx(17 / 18)  # of the one who is found


def test_only_what_is_seen_is_judged_of_several(tiny_people: People) -> None:
    sample = tiny_people((6, 3))
    sample.seen[0, 4:8] = False
    found = found_in(sample)
    found.pixels[0, :8] = np.nan
    assert judge(sample, found).summary["pck"] == pytest.approx(10 / 14)
    assert judge(sample, found, single=True).summary["pck"] == pytest.approx(10 / 18)


def test_the_only_person_is_the_one_found_however_far_off(tiny_people: People) -> None:
    sample = tiny_people((6, 3))
    far = found_in(sample)
    far.pixels[0, 1:] += 300
    assert judge(sample, far).right.sum() == 0
    assert judge(sample, far, single=True).right.sum() == 1
    assert judge(sample, NOBODY, single=True).summary["pck"] == 0
    small = replace(sample, area=np.full(1, 500, np.float32))
    assert judge(small, found_in(small), single=True).summary == {"people": 0, "found": 0, "false": 0, "pck": 1.0}


def test_joints_beyond_reach_and_images_without_depth(tiny_people: People) -> None:
    sample = tiny_people((6, 3))
    assert not judge(sample, found_in(sample), reach=1.9).near.any()
    flat = replace(sample, depth=None)
    for judgement in (judge(sample, found_in(sample), reach=1.9), judge(flat, found_in(flat))):
        assert not {"joint_error_m", "joint_error_p90_m", "joints_placed"} & figures([judgement]).keys()
    unknown = replace(sample, depth=np.full_like(sample.depth, np.nan))
    report = figures([judge(unknown, found_in(unknown))])
    assert report["joints_placed"] == 0 and np.isnan(report["joint_error_m"])


def test_a_network_that_finds_everybody(network: TimedNetwork, tiny_people: People) -> None:
    two, nobody = tiny_people((6, 3), (15, 4), name="two"), tiny_people(name="nobody")
    shadow = tiny_people((6, 3), (20, 3), name="shadow")
    shadow.rgb[:, 132:] = 0  # whose right half is not to be seen
    done = evaluate(network, [two, nobody, shadow])
    report = figures(list(done.judgements.values()))
    assert list(done.judgements) == ["two", "nobody", "shadow"] and len(done.network_ms) == 3
    assert (done.network_ms < done.total_ms).all()
    assert report["people"] == 4 and report["pck"] == pytest.approx(3 / 4) and report["ap50"] == pytest.approx(76 / 101)
    assert [judged.sample.name for judged in done.worst] == ["shadow", "two"]


def test_one_person_an_image(network: TimedNetwork, tiny_people: People) -> None:
    one = tiny_people((10, 3))
    for x, y in ((10, 9), (9, 13)):  # without hips and knees between, which several people would need
        one.rgb[8 * y : 8 * y + 24, 8 * x - 8 : 8 * x + 16] = 0
    done = evaluate(network, [one], single=True)
    share = figures(list(done.judgements.values()))["pck_by_joint"]
    assert share["wrist"] == share["neck"] == 1 and share["knee"] < 1
    with pytest.raises(EvaluationError, match="image people has 2 people; exactly one is expected"):
        evaluate(network, [tiny_people((6, 3), (15, 4))], single=True)


def test_nothing_to_score_is_one_line(network: TimedNetwork, tiny_people: People) -> None:
    with pytest.raises(EvaluationError, match="the dataset has no images"):
        evaluate(network, [])
    with pytest.raises(EvaluationError, match="no image shows anybody who counts"):
        evaluate(network, [tiny_people()])


def test_pictures(tiny_people: People, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    sample = tiny_people((6, 3), (15, 4))
    found = found_in(sample)[:1]
    write_people(Judged(sample, found, judge(sample, found)), tmp_path / "a.png")
    picture = cv2.imread(str(tmp_path / "a.png"))
    assert picture is not None and picture.shape[1] > picture.shape[0]
