"""Entry of the executables that `colcon build` installs: one node as an rclpy lifecycle node.

Nothing heavy is imported at the top, so that a missing Python module becomes one line that says what to install.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence


def main(node: str, arguments: Sequence[str] | None = None) -> int:
    """Runs a node until it is stopped.

    Args:
        node: where its class is, as `scene_understanding.nodes.segmentation:SegmentationNode`.
        arguments: the command line after the program's name; default is that of this process.

    Returns:
        Exit code: 0, or 1 after one line on standard error that says why it cannot run.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    module, _, attribute = node.partition(":")
    try:
        from scene_understanding.hosts.ros2_host import run

        node_type = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        print(f"error: {missing(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return run([node_type], words)


def missing(error: ModuleNotFoundError) -> str:
    """One line that says what is missing and what to do."""
    module = error.name or str(error)
    if module.split(".")[0] in ("rclpy", "rcl_interfaces", "lifecycle_msgs"):
        return f"Python module '{module}' is missing: source the setup.bash of ROS 2"
    return (
        f"Python module '{module}' is missing for {sys.executable}: install what the package needs there with pip, "
        "see docs/ros2.md"
    )
