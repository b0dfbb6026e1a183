"""The main job on real photographs: a folder of regions in, a bundle out that names regions it has not seen."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks.photographs import SURFACES, TEST, TRAIN, write_regions

from convatlas.api.predict import predict
from convatlas.api.train import train
from convatlas.data.check import check_data


@pytest.mark.every_variant
@pytest.mark.row("C-10", "F-01")
def test_regions_of_real_photographs_are_named(tmp_path: Path) -> None:
    write_regions(tmp_path / "regions")
    report = check_data(tmp_path / "regions")
    assert report.usable
    assert sum(sum(part.values()) for part in report.counts.values()) == len(SURFACES) * (TRAIN + TEST) >= 300

    run = train(tmp_path / "regions", out=tmp_path / "run", changes={"threads": 1})
    assert run.parity is not None
    assert run.parity.same_top1 == run.parity.pictures
    answers = predict(run.path, tmp_path / "regions" / "test")
    named = [answer.top.label == Path(answer.source).parent.name for answer in answers]
    assert len(named) == len(SURFACES) * TEST
    # Blind guessing is right one time in three; three standard deviations above it are 0.46.
    assert np.mean(named) > 0.65
