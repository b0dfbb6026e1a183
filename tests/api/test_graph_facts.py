"""What a later export or quantisation writes into the run's report."""

from pathlib import Path

import pytest

import convatlas
from convatlas.engine.bundle import read_bundle
from convatlas.report.graph_rows import BEGIN, END, replace_graph_rows


def rows(report: Path) -> str:
    page = report.read_text(encoding="utf-8")
    assert (page.count(BEGIN), page.count(END)) == (1, 1)
    return page[page.index(BEGIN) : page.index(END)]


@pytest.mark.row("J-01")
@pytest.mark.row("J-02")
def test_each_graph_s_record_stands_in_the_report(tmp_path: Path) -> None:
    run = convatlas.train("digits", model="lenet5_modern", out=tmp_path / "run", changes={"epochs": 1}, export=False)
    assert "ONNX graph" not in rows(run.path / "report.html")
    before = (run.path / "report.html").read_text(encoding="utf-8")
    parity = convatlas.export_bundle(run.path, pictures=20)
    assert f"same answer on {parity.same_top1} of 20 pictures (digits test)" in rows(run.path / "report.html")
    record = convatlas.quantize(run.path, pictures=40, calibration=32, most_loss=100)
    shown = rows(run.path / "report.html")
    assert "ONNX graph" in shown
    assert f"{record.loss:.2f} points lost (allowed 100)" in shown
    assert f"largest difference of logits {record.max_difference:.2g}" in shown
    convatlas.export_bundle(run.path, pictures=20)
    assert "int8" not in rows(run.path / "report.html")  # it was of the earlier graph
    after = (run.path / "report.html").read_text(encoding="utf-8")
    assert after.replace(rows(run.path / "report.html"), BEGIN + "\n") == before
    assert read_bundle(run.path).exported


def test_a_report_without_the_place_stays_as_it_is(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_text("<p>old</p>", encoding="utf-8")
    replace_graph_rows(report, (("ONNX graph", "the same"),))
    assert report.read_text(encoding="utf-8") == "<p>old</p>"


def test_what_is_written_is_text(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_text(f"<dl>{BEGIN}{END}</dl>", encoding="utf-8")
    replace_graph_rows(report, (("ONNX graph", "<b> & \\1"),))
    assert "<dd>&lt;b&gt; &amp; \\1</dd>" in report.read_text(encoding="utf-8")
