"""What the benchmark of training tells of measurements that are made up here, with its goals."""

from benchmarks import training

MEASURED = {
    "side": 160,
    "batch": 16,
    "files": 128,
    "networks": {
        "resnet18": {
            "parameters": 11_178_564,
            "channels_last": {"convatlas": True, "torchvision": False, "timm": True},
            "pictures_per_second": {"convatlas": [30.0, 42.0, 39.0], "torchvision": [20.0, 20.0, 30.0],
                                    "timm": [30.0, 40.0, 40.0]},
            "peak_bytes": {"convatlas": 900 * 2**20, "torchvision": 1000 * 2**20, "timm": 950 * 2**20},
        }
    },
    "digits": {
        "undistorted": {"ours": [1.0, 2.0, 1.0], "plain": [2.0, 5.0, 2.0], "plain_2_workers": [9.0, 9.0, 9.0]},
        "distorted": {"ours": [1.0, 2.0, 1.0], "plain": [8.0, 8.0, 8.0], "plain_2_workers": [3.0, 8.0, 3.5]},
    },
    "overhead": {"ours": [0.204, 0.206, 0.202], "bare": [0.2, 0.2, 0.2]},
}  # fmt: skip


def changed(**changes) -> dict:
    network = {**MEASURED["networks"]["resnet18"], **changes}
    return {**MEASURED, "networks": {"resnet18": network}}


def test_ratios_are_medians_of_pairs_with_their_spread():
    over_torchvision, over_timm, memory, undistorted, distorted, loop = training.figures(MEASURED)
    assert (over_torchvision.measured, over_torchvision.met) == ("1.50 times (1.30 to 2.10)", True)
    assert (
        over_torchvision.what == "training resnet18 (160 px, batches of 16): pictures a second, over torchvision's loop"
    )
    assert (over_timm.measured, over_timm.goal, over_timm.met) == ("1.00 times (0.97 to 1.05)", "at least 1.0", True)
    assert memory.measured == "convatlas 900 MiB, torchvision 1,000 MiB, timm 950 MiB"
    assert memory.met
    assert (undistorted.measured, undistorted.met) == ("2.00 times (2.00 to 2.50)", False)  # the quicker plain loop
    assert undistorted.why
    assert (distorted.measured, distorted.met) == ("3.50 times (3.00 to 4.00)", True)
    assert loop.measured.startswith("+2.0 % (half of the pairs +1.0 to +3.0)")
    assert loop.what == "our loop over a bare loop of the same step (200 ms, 3 pairs)"
    assert loop.met


def test_what_is_missed_says_so():
    slower = {"convatlas": [10.0], "torchvision": [10.0], "timm": [11.0]}
    figures = training.figures(changed(pictures_per_second=slower))
    assert [figure.met for figure in figures[:2]] == [False, False]
    peaks = {"convatlas": 980 * 2**20, "torchvision": 1000 * 2**20, "timm": 950 * 2**20}
    assert not training.figures(changed(peak_bytes=peaks))[2].met
    unknown = training.figures(changed(peak_bytes=dict.fromkeys(peaks)))[2]
    assert (unknown.measured, unknown.met) == ("not known", False)
    short = {**MEASURED, "overhead": {"ours": [0.02, 0.02], "bare": [0.02, 0.02]}}
    assert training.figures(short)[-1].why == "the step was too short"
    long = {**MEASURED, "overhead": {"ours": [0.21, 0.21], "bare": [0.2, 0.2]}}
    assert not training.figures(long)[-1].met


def test_a_line_for_each_figure():
    assert training.lines(MEASURED) == [str(figure) for figure in training.figures(MEASURED)]


def test_the_files_are_real_pictures_in_class_folders(tmp_path):
    training.write_pictures(tmp_path, 8)
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.jpg"))
    assert len(names) == 8 + 4
    assert names[0] == "train/class_0/0000.jpg"
    assert len({(tmp_path / name).read_bytes() for name in names}) == len(names)
