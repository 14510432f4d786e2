"""RGB-D frames with labels and sensor noise, 320x240, of a drive through a building. Prints one JSON object."""

import json
import time

from scene_understanding.messages.memory import keep_freed_memory
from scene_understanding.simulation.robot import RobotLimits
from scene_understanding.simulation.simulator import EmbeddedSimulator
from scene_understanding.simulation.wander import Wander

SEED, FRAMES, STEP = 5, 100, 0.1


def main() -> None:
    keep_freed_memory()
    simulator = EmbeddedSimulator(SEED)
    wander = Wander(simulator.world, RobotLimits(), SEED)
    for i in range(FRAMES + 5):
        if i == 5:  # warm
            started = time.perf_counter()
        command = wander.command(simulator.robot.map_from_base, simulator.crowd.places(), STEP)
        simulator.step(STEP, command)
    fps = FRAMES / (time.perf_counter() - started)
    print(json.dumps({"bench": "simulator", "size": "320x240", "fps": round(fps, 1)}))


if __name__ == "__main__":
    main()
