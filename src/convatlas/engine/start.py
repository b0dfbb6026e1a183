"""Where a run begins: a fresh network, one with published weights, or that of a bundle."""

import dataclasses
import functools
from pathlib import Path

import torch
from torch import nn

from convatlas.data.loader import Readable
from convatlas.engine.allocator import freed_memory_kept
from convatlas.engine.bundle import WEIGHTS, bundle_folder, read_bundle
from convatlas.engine.classifier import answering
from convatlas.engine.deploy import Deployed
from convatlas.engine.device import make_accelerator
from convatlas.engine.features import cache_features, classifier_alone
from convatlas.engine.no_memory import memory_for
from convatlas.engine.observer import Observer
from convatlas.engine.plan import Plan
from convatlas.engine.run import RunFolder
from convatlas.engine.seeding import prepare_torch, seed_all
from convatlas.engine.session import plan_statistics
from convatlas.engine.train import Trained, train_network
from convatlas.errors import CheckpointError
from convatlas.layers.normalize import Normalize
from convatlas.models import create_model
from convatlas.recipes.recipe import change
from convatlas.tasks.family import decode_for
from convatlas.tasks.task import Task
from convatlas.weights import imagenet_classes
from convatlas.weights.download import Progress
from convatlas.weights.fetch import fetch_weights
from convatlas.weights.load import Loaded, load_backbone, load_weight_set, load_weights


def bring_weights(plan: Plan, *, offline: bool | None = None, progress: Progress | None = None) -> None:
    """Have the published weights of the plan on this machine; only those that the user asked for are downloaded.

    Raises the errors of `fetch_weights`.
    """
    if plan.start.weight_set is not None:
        fetch_weights(plan.start.weight_set, offline=offline if plan.start.asked else True, progress=progress)


def initial_network(plan: Plan) -> nn.Module:
    """The network of the plan before its first step, on the CPU; its fresh weights come from torch's random state.

    A classifier that the weights do not bring starts from zeros (Kolesnikov et al. 2020, "Big Transfer",
    https://arxiv.org/abs/1912.11370, Appendix B): any other answers would have to be unlearnt first. Not where more
    follows: a ReLU lets no gradient through zeros.
    Raises WeightsError, BundleError or CheckpointError when the weights are not here any more, or altered.
    """
    network = create_model(plan.model, **plan.changes)
    start = plan.start
    if start.weight_set is not None:
        same_classes = plan.classes == imagenet_classes()
        loaded = load_weight_set(network, start.weight_set, new_head=not same_classes, offline=True)
    elif start.bundle is not None:
        loaded = _load_bundle(network, Path(start.bundle), start.sha256, plan.classes)
    else:
        return network
    zero_new_classifiers(network, loaded, plan.preprocess.shape)
    return network


@torch.no_grad()
def zero_new_classifiers(network: nn.Module, loaded: Loaded, picture: tuple[int, int, int]) -> None:
    """Set those classifiers to zero that the weights did not bring and whose output is the answer to such a picture."""
    for classifier in answering(network, picture):
        for name, parameter in network.get_submodule(classifier).named_parameters(classifier):
            if name in loaded.fresh:
                parameter.zero_()


def _load_bundle(network: nn.Module, folder: Path, sha256: str | None, classes: tuple[str, ...]) -> Loaded:
    known = read_bundle(bundle_folder(folder))
    if known.files[WEIGHTS] != sha256:
        raise CheckpointError(f"{folder}: is no longer what the run started from; put that bundle back, or train anew")
    load = load_weights if known.classes == classes else load_backbone
    return load(network, folder / WEIGHTS)


def start_training(
    plan: Plan,
    task: Task,
    train: Readable,
    val: Readable,
    run: RunFolder,
    *,
    resume: bool = False,
    tensorboard: bool = False,
    observer: Observer,
) -> Trained:
    """Train by the plan from its start: the whole network, or its classifier on features that are computed once.

    Raises the errors of `initial_network` and `train_network`, and OutOfMemoryError.
    """
    with freed_memory_kept(), memory_for(f"the training of {plan.model}"):
        return _start(plan, task, train, val, run, resume=resume, tensorboard=tensorboard, observer=observer)


def _start(
    plan: Plan,
    task: Task,
    train: Readable,
    val: Readable,
    run: RunFolder,
    *,
    resume: bool,
    tensorboard: bool,
    observer: Observer,
) -> Trained:
    recipe = plan.recipe
    prepare_torch(threads=recipe.threads, deterministic=recipe.deterministic)
    seed_all(recipe.seed, epoch=0)  # the network's fresh weights come from it
    # A checkpoint of the whole network needs nothing else to go on from.
    whole = resume and recipe.trainable == "all"
    network = create_model(plan.model, **plan.changes) if whole else initial_network(plan)
    normalize = Normalize(*plan_statistics(plan))
    loop = functools.partial(train_network, resume=resume, tensorboard=tensorboard, observer=observer)
    classifier = classifier_alone(recipe, network, plan.preprocess.shape)
    features = None if classifier is None else _features(plan, network, classifier, normalize, train, val, observer)
    if classifier is None or features is None:
        return loop(plan, task, network, normalize, train, val, run)
    alone = change(
        recipe, {"trainable": "all", "part_decay": 1.0, "unfreeze_by": 0.0, "channels_last": False, "workers": 0}
    )
    trained = loop(dataclasses.replace(plan, recipe=alone), task, classifier, nn.Identity(), *features, run)
    # The classifier is a part of the network, so the network has what it has learnt.
    return dataclasses.replace(trained, deployed=Deployed(normalize, network, decode_for(plan.model)).eval())


def _features(
    plan: Plan,
    network: nn.Module,
    classifier: nn.Module,
    normalize: nn.Module,
    train: Readable,
    val: Readable,
    observer: Observer,
) -> tuple[Readable, Readable] | None:
    """Both sets as the classifier sees them; None where that cannot be had."""
    device = make_accelerator(plan.device, "float32").device
    total = len(train.pictures) + len(val.pictures)
    memory_format = torch.channels_last if plan.recipe.channels_last else torch.contiguous_format
    both = nn.ModuleList([network, normalize])
    both.to(device, memory_format=memory_format)  # type: ignore[call-overload]
    cached = []
    for readable, before in ((train, 0), (val, len(train.pictures))):
        features = cache_features(
            network,
            classifier,
            normalize,
            readable,
            memory_format=memory_format,
            progress=lambda done, before=before: observer.caching(before + done, total),  # type: ignore[misc]
            say=lambda words: observer.halved(plan, words),
        )
        if features is None:
            break
        cached.append(features)
    both.to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return (cached[0], cached[1]) if len(cached) == 2 else None
