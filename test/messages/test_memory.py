import subprocess
import sys

import pytest

CODE = """
import numpy as np, resource, sys
from scene_understanding.messages.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def work():
    for _ in range(5):
        arrays = [np.ones(1_000_000) for _ in range(4)]
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone is told")
def test_large_arrays_do_not_fault_in_anew():
    def faults(how):
        result = subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True, check=True)
        return int(result.stdout)

    assert faults("keep") <= max(100, faults("leave") // 5)
