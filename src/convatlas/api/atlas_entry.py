"""What the site shows of one network, from itself: one run of it, its file, its weights, its recipe."""

import inspect
import types
import typing
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

import convatlas
from convatlas import models
from convatlas.arithmetic.tables.table import layer_table
from convatlas.arithmetic.tables.text import told_bytes
from convatlas.arithmetic.tracing.trace import trace
from convatlas.catalog import card
from convatlas.recipes import named_recipe, recipe_for
from convatlas.report.atlas.figures import network_diagram
from convatlas.report.atlas.network import NetworkEntry, SourceFile, WeightsRow
from convatlas.weights import WeightSet, default_weights, list_weights

SETTINGS = ("epochs", "batch_size", "optimizer", "schedule", "weight_decay", "label_smoothing", "mixup")


def network_entry(name: str) -> NetworkEntry:
    """All of it, from one run without numbers."""
    known = card(name)
    with torch.device("meta"):
        network = models.create_model(name)
    traced = trace(network, torch.empty(1, *known.input, device="meta"))
    return NetworkEntry(
        card=known,
        table=layer_table(traced),
        diagram=network_diagram(traced, known),
        source=source_file(models.MODELS[name].module),
        blocks=block_source(name),
        weights=tuple(_weights(name)),
        recipe=tuple(_recipe(name)),
    )


def source_file(module: str) -> SourceFile:
    """The file of a family. module: as `models.MODELS` has it, such as "classify.resnet"."""
    package = Path(convatlas.__file__).parent
    file = package.joinpath("models", *module.split(".")).with_suffix(".py")
    return SourceFile(
        module=module.rpartition(".")[2],
        path=f"src/convatlas/{file.relative_to(package).as_posix()}",
        text=file.read_text(encoding="utf-8"),
    )


def block_source(name: str) -> str:
    """The source text of what its file builds the network from: modules, and functions that return one.

    Of the network's own class where the file has nothing else.
    """
    module, network = models.family_module(name), models.network_class(name)
    own = [each for each in vars(module).values() if getattr(each, "__module__", "") == module.__name__]
    parts = [each for each in own if each is not network and _is_part(each)]
    ordered = sorted(parts or [network], key=lambda each: inspect.getsourcelines(each)[1])
    return "\n\n".join(inspect.getsource(each) for each in ordered)


def _is_part(value: object) -> typing.TypeGuard[type | types.FunctionType]:
    if isinstance(value, type):
        return issubclass(value, nn.Module)
    if not isinstance(value, types.FunctionType):
        return False
    made = typing.get_type_hints(value).get("return")
    return isinstance(made, type) and issubclass(made, nn.Module)


def _weights(name: str) -> Iterator[WeightsRow]:
    default = default_weights(name)
    for each in list_weights(model=name):
        changes = "".join(f", {field}={value!r}" for field, value in each.changes.items())
        notes = ((each.licence, each.licence_note), (each.data, each.data_terms))
        yield WeightsRow(
            key=each.key + changes,
            address=each.address,
            size="" if each.mebibytes is None else told_bytes(round(each.mebibytes * 2**20)),
            licence=each.licence,
            data=each.data,
            terms=tuple(f"{of}: {note}" for of, note in notes if note),
            score=_score(each),
            default=each == default,
        )


def _score(each: WeightSet) -> str:
    return "" if each.top1 is None else f"{each.top1:.1f} % at {each.transform.crop}"


def _recipe(name: str) -> Iterator[tuple[str, str]]:
    chosen, _ = recipe_for(name, "photos")
    recipe = named_recipe(chosen)
    yield "name", chosen
    for setting in SETTINGS:
        yield setting.replace("_", " "), str(getattr(recipe, setting))
