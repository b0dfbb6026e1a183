"""What the benchmark of the cold start tells of measurements that are made up here, with its goals."""

import json
from typing import Any

from benchmarks import cold_start

MIB = {"Python": [170, 174, 180], "command line": [180, 185, 175], "torchvision": [900, 800, 1000]}


def measured(python: list[float], command_line: list[float], mib: dict[str, list[int]] | None = None) -> dict[str, Any]:
    seconds = {"Python": python, "command line": command_line, "torchvision": [4.0, 5.0, 4.0]}
    return {"model": "resnet50", "full": False, "seconds": seconds, "mib": MIB if mib is None else mib}


def test_goals_that_are_met():
    python, command_line, memory = cold_start.figures(measured([0.2, 0.2, 0.4], [0.4, 0.4, 0.4]))
    assert (python.measured, python.met) == ("0.050 (0.040 to 0.100) of its time", True)  # ours over theirs
    assert (command_line.measured, command_line.met) == ("0.100 (0.080 to 0.100) of its time", True)
    # 180 of 900, 185 of 800, 180 of 1000
    assert (memory.measured, memory.met) == ("0.200 (0.180 to 0.231) of its 900 MiB", True)


def test_goals_that_are_missed_say_who_takes_what():
    large = {"Python": [100, 100, 100], "command line": [500, 500, 500], "torchvision": [1000, 1000, 900]}
    python, command_line, memory = cold_start.figures(measured([0.8, 0.8, 0.8], [0.6, 0.6, 0.6], large))
    assert (python.measured, python.met) == ("0.200 (0.160 to 0.200) of its time", False)
    assert python.why == "Python 0.80 s, command line 0.60 s, torchvision 4.00 s"
    assert not command_line.met
    assert command_line.why == "command line 0.60 s, Python 0.80 s, torchvision 4.00 s"
    assert (memory.measured, memory.met) == ("0.500 (0.500 to 0.556) of its 1,000 MiB", False)
    assert memory.why == "500 MiB against 1,000 MiB"


def test_memory_that_is_not_known_is_not_met():
    unknown = measured([0.2] * 3, [0.2] * 3, {name: [] for name in MIB})
    *_, memory = cold_start.figures(unknown)
    assert (memory.measured, memory.met, memory.why) == ("not known here", False, "only Linux tells it")
    assert cold_start.lines(unknown)[0] == "Python: 0.20 s (0.20 to 0.20)"
    assert json.loads(json.dumps(unknown)) == unknown


def test_a_line_tells_times_and_memory():
    told = cold_start.lines(measured([0.2, 0.3, 0.4], [0.4, 0.4, 0.4]))
    assert told[0] == "Python: 0.30 s (0.20 to 0.40), 174 MiB (170 to 180)"
    assert told[2] == "torchvision: 4.00 s (4.00 to 5.00), 900 MiB (800 to 1,000)"
