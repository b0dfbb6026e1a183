"""The loops that `benchmarks.training` compares. `main` runs one in a process of its own, an epoch at each order."""

import functools
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from benchmarks.memory import forget_peak, peak_memory, workers_memory
from convatlas.engine.observer import Observer

if TYPE_CHECKING:
    from convatlas.data.picture_set import DataSplits
    from convatlas.engine.plan import Plan
    from convatlas.engine.run import RunFolder
    from convatlas.types import EpochRow

THREADS = 2
RATE, MOMENTUM, DECAY = 0.01, 0.9, 1e-4
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
DIGITS_BATCH = 64
AFFINE = {"rotate": 10.0, "translate": 0.06, "scale": 0.1, "shear": 8.0}  # the recipe's for digits
STEP_BATCH, STEP_SIDE = 16, 112  # of the step that is compared with a bare one: ResNet-18's
PLAIN_RECIPE: dict[str, object] = {
    "optimizer": "sgd", "lr": RATE, "momentum": MOMENTUM, "nesterov": False, "weight_decay": DECAY,
    "schedule": "constant", "warmup_epochs": 0.0, "label_smoothing": 0.0, "clip_norm": None, "ema_decay": 0.0,
    "flip": False, "rotate": 0.0, "translate": 0.0, "scale": 0.0, "shear": 0.0, "elastic": 0.0, "threads": THREADS,
}  # fmt: skip


class Clock:
    """Times an epoch, from before its first picture is read to the end of its last step, and tells of it."""

    def __init__(self, parameters: int, *, channels_last: bool) -> None:
        self.facts = {"parameters": parameters, "channels_last": channels_last}
        self.known = False
        self.begin()

    def begin(self) -> None:
        """No picture of the epoch has been read yet."""
        self.started = self.last = time.perf_counter()
        self.pictures = 0

    def step(self, pictures: int) -> None:
        """After each step. pictures: in this epoch so far."""
        self.last = time.perf_counter()
        self.pictures = pictures

    def epoch(self) -> None:
        """Tell of the epoch, then wait for an order. The first is there to warm up: the peak of memory begins later."""
        peak, workers = (peak_memory(), workers_memory()) if self.known else (None, None)
        speed = self.pictures / (self.last - self.started)
        memory = {"peak_bytes": peak, "workers_bytes": workers}
        print(json.dumps({**self.facts, "pictures_per_second": speed, **memory}), flush=True)
        if not self.known:
            self.known = forget_peak()
        if not sys.stdin.readline():
            raise KeyboardInterrupt
        self.begin()


def main(loop: str, name: str, pictures: str, side: str, batch: str, folder: str) -> None:
    """Train until nobody asks for another epoch. folder: what the loop writes goes there."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    if not sys.stdin.readline():
        return
    loops: dict[str, Any] = {
        "convatlas": functools.partial(convatlas, Path(folder)),
        "torchvision": torchvision,
        "torchvision_2_workers": functools.partial(torchvision, workers=2),
        "timm": timm,
    }
    try:
        loops[loop](name, Path(pictures), int(side), int(batch))
    except KeyboardInterrupt:
        return


def convatlas(folder: Path, name: str, pictures: Path, side: int, batch: int) -> None:
    """`convatlas.train`, as anyone calls it."""
    from convatlas.api.train import train
    from convatlas.models import create_model

    changes = {**PLAIN_RECIPE, "epochs": 1000, "batch_size": batch, "crop_area": 0.08, "flip": True}
    changes |= {"mean": MEAN, "std": STD}
    options: dict[str, Any] = {"model": name, "strategy": "scratch", "recipe": "photographs", "size": side}
    options |= {"changes": changes, "device": "cpu"}
    classes = len(list((pictures / "train").iterdir()))
    with torch.device("meta"):
        parameters = _count(create_model(name, num_classes=classes))

    class Timed(Observer):
        def planned(self, plan: "Plan", run: "RunFolder", splits: "DataSplits") -> None:
            self.clock = Clock(parameters, channels_last=bool(plan.recipe.channels_last))

        def batch_done(self, epoch: int, batch: int, batches: int, images: int) -> None:
            self.clock.step(images)

        def epoch_done(self, row: "EpochRow", *, best: bool) -> None:
            self.clock.epoch()

    train(pictures, out=folder / "run", observer=Timed(), **options)


def torchvision(name: str, pictures: Path, side: int, batch: int, *, workers: int = 16) -> None:
    """As torchvision's references/classification/train.py does, by default with so many workers.

    They stay from epoch to epoch, which they do not there: to start them would weigh more in a short epoch.
    """
    from torch.utils.data import DataLoader, RandomSampler
    from torchvision import models
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import (
        Compose,
        ConvertImageDtype,
        InterpolationMode,
        Normalize,
        PILToTensor,
        RandomHorizontalFlip,
        RandomResizedCrop,
    )

    crop = RandomResizedCrop(side, interpolation=InterpolationMode.BILINEAR, antialias=True)
    steps = [crop, RandomHorizontalFlip(0.5), PILToTensor(), ConvertImageDtype(torch.float), Normalize(MEAN, STD)]
    dataset = ImageFolder(str(pictures / "train"), Compose(steps))
    loader = DataLoader(
        dataset, batch_size=batch, sampler=RandomSampler(dataset), num_workers=workers, persistent_workers=True
    )
    network = models.get_model(name, weights=None, num_classes=len(dataset.classes)).train()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)
    clock = Clock(_count(network), channels_last=False)
    while True:
        meters: dict[str, list[float]] = {"loss": [], "top-1": [], "top-5": []}
        for number, (images, labels) in enumerate(loader, start=1):
            output = network(images)
            loss = criterion(output, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            for name_, value in zip(meters, (loss, *_accuracies(output, labels)), strict=True):
                meters[name_].append(value.item())
            clock.step(number * batch)
        clock.epoch()


def timm(name: str, pictures: Path, side: int, batch: int) -> None:
    """As timm's train.py does with channels last."""
    from timm import create_model
    from timm.data import create_dataset, create_loader
    from timm.optim import create_optimizer_v2
    from timm.utils import AverageMeter

    dataset = create_dataset("", root=str(pictures / "train"), is_training=True, batch_size=batch)
    loader = create_loader(
        dataset,
        input_size=(3, side, side),
        batch_size=batch,
        is_training=True,
        scale=(0.08, 1.0),
        ratio=(3 / 4, 4 / 3),
        color_jitter=0.0,
        interpolation="bilinear",
        mean=MEAN,
        std=STD,
        num_workers=4,
        device=torch.device("cpu"),
        use_prefetcher=False,
    )
    names = {"mobilenet_v2": "mobilenetv2_100"}
    classes = len(list((pictures / "train").iterdir()))
    network = create_model(names.get(name, name), num_classes=classes).train().to(memory_format=torch.channels_last)
    optimizer = create_optimizer_v2(network, opt="momentum", lr=RATE, weight_decay=DECAY, momentum=MOMENTUM)
    criterion = nn.CrossEntropyLoss()
    clock = Clock(_count(network), channels_last=True)
    while True:
        losses = AverageMeter()
        for number, (images, labels) in enumerate(loader, start=1):
            loss = criterion(network(images.contiguous(memory_format=torch.channels_last)), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.update(loss.item(), len(labels))
            clock.step(number * batch)
        clock.epoch()


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _accuracies(output: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Parts of 1 of pictures whose label is the first, or among the first five (or fewer classes)."""
    right = output.topk(min(5, output.shape[1]), dim=1).indices == labels[:, None]
    return right[:, 0].float().mean(), right.any(dim=1).float().mean()


def digits_ours(epochs: int, *, distorted: bool) -> list[float]:
    """Seconds of each epoch of our loop on the training digits. distorted: by the affine part of the recipe."""
    from convatlas.api.train import train

    class Kept(Observer):
        def __init__(self) -> None:
            self.seconds: list[float] = []

        def epoch_done(self, row: "EpochRow", *, best: bool) -> None:
            self.seconds.append(row.seconds)

    kept = Kept()
    changes = {**PLAIN_RECIPE, "epochs": epochs, "batch_size": DIGITS_BATCH, **(AFFINE if distorted else {})}
    with tempfile.TemporaryDirectory() as folder:
        train(
            "digits",
            model="lenet5_modern",
            recipe="handwriting",
            strategy="scratch",
            changes=changes,
            device="cpu",
            out=Path(folder) / "run",
            export=False,
            observer=kept,
        )
    return kept.seconds


def digits_plain(epochs: int, *, workers: int, distorted: bool) -> list[float]:
    """Seconds of each epoch of a loop as tutorials write it; distorted as far as ours."""
    import numpy as np
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms

    from convatlas.data.source import open_data
    from convatlas.models import create_model

    train = open_data("digits").train
    pictures, labels = [train.read(index)[:, :, 0] for index in range(len(train))], train.targets.tolist()
    mean, std = float(np.mean(pictures)) / 255, float(np.std(pictures)) / 255
    affine = transforms.RandomAffine(
        degrees=AFFINE["rotate"],
        translate=(AFFINE["translate"], AFFINE["translate"]),
        scale=(1 / (1 + AFFINE["scale"]), 1 + AFFINE["scale"]),
        shear=AFFINE["shear"],
        interpolation=transforms.InterpolationMode.BILINEAR,
    )
    steps = [transforms.Pad(2), *([affine] if distorted else []), transforms.ToTensor()]
    transform = transforms.Compose([*steps, transforms.Normalize((mean,), (std,))])

    class Digits(Dataset[tuple[Tensor, int]]):
        def __len__(self) -> int:
            return len(labels)

        def __getitem__(self, index: int) -> tuple[Tensor, int]:
            return transform(Image.fromarray(pictures[index])), labels[index]

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    loader: DataLoader[Any] = DataLoader(Digits(), batch_size=DIGITS_BATCH, shuffle=True, num_workers=workers)
    network = create_model("lenet5_modern", in_channels=1, num_classes=10).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)
    criterion = nn.CrossEntropyLoss()
    seconds = []
    for _ in range(epochs):
        started, total = time.perf_counter(), 0.0
        for images, answers in loader:
            optimizer.zero_grad()
            loss = criterion(network(images), answers)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(answers)
        seconds.append(time.perf_counter() - started)
    return seconds


def digits_bare(epochs: int) -> list[float]:
    """Seconds of each epoch of the steps alone, over and over on one batch that is ready: all that a loop must do."""
    from convatlas.data.source import open_data
    from convatlas.models import create_model

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    network = create_model("lenet5_modern", in_channels=1, num_classes=10).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=DECAY, fused=True)
    criterion = nn.CrossEntropyLoss()
    images, answers = torch.randn(DIGITS_BATCH, 1, 32, 32), torch.arange(DIGITS_BATCH) % 10
    steps = math.ceil(len(open_data("digits").train) / DIGITS_BATCH)
    seconds = []
    for _ in range(epochs):
        started = time.perf_counter()
        for _ in range(steps):
            optimizer.zero_grad()
            criterion(network(images), answers).backward()
            optimizer.step()
        seconds.append(time.perf_counter() - started)
    return seconds


def paired_steps(pairs: int) -> tuple[list[float], list[float]]:
    """Seconds of each step of our loop, and of the same step of a bare loop that is taken right behind it."""
    import numpy as np

    from convatlas.data.loader import read_all
    from convatlas.data.picture_set import ArrayReader, DataSplits, PictureSet
    from convatlas.engine.plan import Wishes, make_plan
    from convatlas.engine.run import RunFolder
    from convatlas.engine.start import start_training
    from convatlas.tasks.make import make_task

    warm_up = 2
    count = STEP_BATCH * (pairs + warm_up)
    array = np.random.default_rng(0).integers(0, 256, (count, STEP_SIDE, STEP_SIDE, 3), dtype=np.uint8)
    pictures = PictureSet(
        origin="made-up pictures",
        classes=("a", "b"),
        names=tuple(f"made-up[{index}]" for index in range(count)),
        targets=np.arange(count, dtype=np.int64) % 2,
        read=ArrayReader(array),
    )
    few = pictures.take(np.arange(STEP_BATCH))
    splits = DataSplits(train=pictures, val=few, test=None, how="for a measurement")
    changes = {**PLAIN_RECIPE, "epochs": 1, "batch_size": STEP_BATCH, "mean": MEAN, "std": STD}
    plan = make_plan(
        splits,
        Wishes(
            model="resnet18", strategy="scratch", recipe="photographs", changes=changes, size=STEP_SIDE, device="cpu",
            val=0.15, test=0.15,
        ),
    )  # fmt: skip
    train, val = (read_all(part, plan.preprocess) for part in (splits.train, splits.val))
    assert train.kept is not None
    bare_step = _bare_steps(torch.from_numpy(train.kept), torch.from_numpy(pictures.targets))
    ours, bare = [], []

    class Pairs(Observer):
        started = 0.0

        def batch_done(self, epoch: int, batch: int, batches: int, images: int) -> None:
            ended = time.perf_counter()
            next(bare_step)
            if batch > warm_up:
                ours.append(ended - self.started)
                bare.append(time.perf_counter() - ended)
            self.started = time.perf_counter()

    with tempfile.TemporaryDirectory() as folder:
        task = make_task(plan.task, plan.model, plan.classes)
        start_training(plan, task, train, val, RunFolder(Path(folder)), observer=Pairs())
    return ours, bare


def _bare_steps(pixels: Tensor, labels: Tensor) -> Iterator[None]:
    """Each is a step on the next pictures, with nothing around it."""
    from convatlas.layers.normalize import Normalize
    from convatlas.models import create_model

    torch.manual_seed(0)
    network = create_model("resnet18", in_channels=3, num_classes=2).train().to(memory_format=torch.channels_last)
    normalize = Normalize(MEAN, STD)
    decayed = [parameter for parameter in network.parameters() if parameter.dim() > 1]
    others = [parameter for parameter in network.parameters() if parameter.dim() == 1]
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": DECAY}, {"params": others}], lr=RATE, momentum=MOMENTUM, fused=True
    )
    for images, answers in zip(pixels.split(STEP_BATCH), labels.split(STEP_BATCH), strict=True):
        output = network(normalize(images.contiguous(memory_format=torch.channels_last)))
        loss = nn.functional.cross_entropy(output, answers)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        yield
