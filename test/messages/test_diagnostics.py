from scene_understanding.messages.diagnostics import Level, diagnostic_array, diagnostic_status, diagnostic_values
from scene_understanding.messages.types import DiagnosticArray, deserialize, serialize


def test_round_trip():
    values = {"rate": 29.97003, "drops": 3, "model": "fusenet"}
    status = diagnostic_status("segmentation", Level.WARN, "slow", values, "gpu0")
    msg = deserialize(serialize(diagnostic_array([status], 1_000_000_002)), DiagnosticArray)
    assert (msg.header.stamp.sec, msg.header.stamp.nanosec, msg.header.frame_id) == (1, 2, "")
    back = msg.status[0]
    assert (back.level, back.name, back.message, back.hardware_id) == (1, "segmentation", "slow", "gpu0")
    assert diagnostic_values(back) == {"rate": "29.97", "drops": "3", "model": "fusenet"}


def test_no_values():
    assert diagnostic_values(diagnostic_status("a", Level.OK, "")) == {}
