"""`evaluate` over several views: what it measures, what it says of it, and what it refuses."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image

from convatlas.api.evaluate import evaluate
from convatlas.cli import main
from convatlas.data.preprocess import Preprocess
from convatlas.data.views import ten_crops
from convatlas.engine.bundle import read_bundle, write_bundle
from convatlas.engine.deploy import load_deployed
from convatlas.errors import UsageError
from convatlas.models import create_model
from tests.api.conftest import CLASSES, picture_folder
from tests.engine.bundles import corners

pytestmark = pytest.mark.row("F-01")


def bundle(folder, model, side, **described):
    """A bundle of the network as it starts."""
    torch.manual_seed(0)
    changes = {"num_classes": 3} | described.pop("changes", {})
    tensors = {name: tensor.numpy() for name, tensor in create_model(model, **changes).state_dict().items()}
    fields = {
        "model": model,
        "changes": changes,
        "classes": CLASSES,
        "preprocess": Preprocess(channels=3, height=side, width=side),
        "mean": (0.5,) * 3,
        "std": (0.25,) * 3,
    }
    write_bundle(folder, corners(**(fields | described)), tensors)
    return folder


def lenet(folder, **described):
    return bundle(folder, "lenet5_modern", 32, changes={"in_channels": 3}, **described)


def by_hand(folder, photos):
    """(N, K): the mean over ten crops of the softmax or sigmoid at the bundle's temperature."""
    described, network = load_deployed(folder)
    rows = []
    for path in sorted(photos.rglob("*.png")):
        crops = ten_crops(np.asarray(Image.open(path)), described.preprocess)
        with torch.no_grad():
            logits = torch.cat([network(torch.from_numpy(crop)[None]) for crop in crops]) / described.temperature
        shares = logits.softmax(dim=1) if described.task == "classify" else logits.sigmoid()
        rows.append(shares.mean(dim=0).double().numpy())
    return np.stack(rows)


@pytest.mark.row("B-02")
def test_ten_crops_are_scored_as_by_hand(tmp_path):
    photos = picture_folder(tmp_path / "photos", count=3)
    folder = lenet(tmp_path / "b")
    assert read_bundle(folder).temperature == 1.5
    result = evaluate(folder, photos, views="ten-crop")
    expected = by_hand(folder, photos)
    truths = np.repeat(np.arange(3), 3)
    assert (result.views, result.summary.temperature, result.summary.pictures) == ("ten-crop", 1.0, 9)
    assert result.score == (expected.argmax(axis=1) == truths).mean()
    assert result.summary.loss == pytest.approx(-np.log(expected[np.arange(9), truths]).mean(), rel=1e-5)
    assert result.summary.loss != pytest.approx(evaluate(folder, photos).summary.loss, rel=1e-5)


def test_several_labels_average_their_sigmoids(tmp_path):
    photos = picture_folder(tmp_path / "photos", count=2)
    paths = sorted(photos.rglob("*.png"))
    rows = [f"{path.relative_to(tmp_path).as_posix()},{path.parent.name}" for path in paths]
    (tmp_path / "several.csv").write_text("\n".join(["path,labels", *rows]) + "\n", encoding="utf-8")
    folder = lenet(tmp_path / "b", task="multilabel")
    result = evaluate(folder, tmp_path / "several.csv", views="ten-crop")
    expected = by_hand(folder, photos)
    truths = np.repeat(np.eye(3), 2, axis=0)
    surprise = -np.log(np.where(truths == 1, expected, 1 - expected))
    assert result.summary.loss == pytest.approx(surprise.mean(), rel=1e-5)


def test_dense_evaluation_takes_pictures_of_every_shape(tmp_path):
    photos = picture_folder(tmp_path / "photos", count=2)
    Image.open(photos / "red" / "00.png").resize((100, 33)).save(photos / "red" / "00.png")
    (photos / "red" / "01.png").write_bytes(b"")
    folder = bundle(tmp_path / "b", "resnet18", 32, changes={"width": 8})
    result = evaluate(folder, photos, views="dense")
    assert (result.views, result.summary.pictures, len(result.skipped)) == ("dense", 5, 1)


def test_symmetric_pictures_of_the_size_of_a_view_have_only_that_view(tmp_path):
    """Dense evaluation adds the parts cut off and the mirror image: here there are none."""
    photos = picture_folder(tmp_path / "photos", count=2)
    for path in photos.rglob("*.png"):
        half = np.asarray(Image.open(path))[:32, :16]
        Image.fromarray(np.concatenate([half, half[:, ::-1]], axis=1)).save(path)
    folder = bundle(tmp_path / "b", "resnet18", 32, changes={"width": 8})
    single, dense = evaluate(folder, photos).summary, evaluate(folder, photos, views="dense").summary
    assert dense.loss == pytest.approx(single.loss, rel=1e-5)
    assert (single.temperature, dense.temperature) == (1.5, 1.0)


# --- What is said


def test_everything_says_which_views(tmp_path, capsys):
    photos = picture_folder(tmp_path / "photos", count=2)
    folder = lenet(tmp_path / "b")
    report, metrics = tmp_path / "r.html", tmp_path / "m.json"
    arguments = ["evaluate", str(folder), str(photos), "--views", "ten-crop"]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--report", str(report), "--metrics", str(metrics)])
    out = capsys.readouterr().out
    assert ended.value.code == 0
    assert "ten crops of each picture (corners, centre, and their mirror images), probabilities averaged\n" in out
    assert "(of the averaged probabilities)" in out
    assert json.loads(metrics.read_text(encoding="utf-8"))["views"] == "ten-crop"
    html = report.read_text(encoding="utf-8")
    assert "ten crops of each picture" in html
    assert "The probabilities are means over several views" in html
    assert "as the network was trained" not in html
    with pytest.raises(SystemExit):
        main([*arguments, "--json"])
    assert json.loads(capsys.readouterr().out)["views"] == "ten-crop"
    evaluate(folder, photos, report=report)
    assert "one view of each picture" in report.read_text(encoding="utf-8")
    assert evaluate(folder, photos).views == "single"


# --- What is refused


def test_an_unknown_name_is_refused_before_anything_is_read(tmp_path, capsys):
    with pytest.raises(UsageError, match='Did you mean "ten-crop"'):
        evaluate(tmp_path / "nowhere", views="10-crop")
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(tmp_path / "nowhere"), "--views", "tencrop"])
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert "views: expected one of single, ten-crop, dense, got 'tencrop'. Did you mean \"ten-crop\"?" in err


@pytest.mark.parametrize("views", ["ten-crop", "dense"])
def test_a_bundle_that_sees_all_of_the_picture_is_refused(tmp_path, views):
    photos = picture_folder(tmp_path / "photos", count=2)
    padded = Preprocess(channels=3, height=32, width=32, fit="pad")
    folder = bundle(tmp_path / "b", "resnet18", 32, changes={"width": 8}, preprocess=padded)
    with pytest.raises(UsageError, match=r'sees all of each picture already \(fit="pad"\)'):
        evaluate(folder, photos, views=views)


def test_a_network_of_one_size_is_refused_with_what_works(tmp_path, capsys):
    photos = picture_folder(tmp_path / "photos", count=2)
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(lenet(tmp_path / "b")), str(photos), "--views", "dense"])
    assert ended.value.code == 2
    assert "LeNet5Modern has no dense evaluation" in capsys.readouterr().err


def test_whole_pictures_smaller_than_vgg_s_crops_are_refused(tmp_path):
    photos = picture_folder(tmp_path / "photos", count=2)
    changes = {"width": 8, "hidden": 16}
    folder = bundle(tmp_path / "b", "vgg11", 64, changes=changes)
    with pytest.raises(UsageError, match="VGG's dense evaluation needs images of at least 224x224, got 64x76"):
        evaluate(folder, photos, views="dense")
    larger = dataclasses.replace(read_bundle(folder).preprocess, height=224, width=224)
    folder = bundle(tmp_path / "larger", "vgg11", 224, changes=changes, preprocess=larger)
    assert evaluate(folder, photos, views="dense").summary.pictures == 6
