import subprocess
import sys

import numpy as np
import psutil

from tasks.metric.peak_memory import peak_memory


def test_it_is_at_least_what_the_process_uses_now_and_grows() -> None:
    before = peak_memory("cpu")
    assert before >= 0.9 * psutil.Process().memory_info().rss
    held = np.ones(before + 200_000_000, dtype=np.uint8)  # more than all that was ever held
    assert peak_memory("cpu") >= before + 200_000_000
    del held
    assert peak_memory("cpu") >= before + 200_000_000  # the highest, not the present one


def test_a_new_process_begins_with_its_own() -> None:
    held = np.ones(1_500_000_000, dtype=np.uint8)
    code = "from tasks.metric.peak_memory import peak_memory; print(peak_memory('cpu'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < len(held)
