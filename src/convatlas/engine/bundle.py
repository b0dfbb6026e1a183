"""A bundle: one folder that holds a trained network and all that is needed to use it. No torch.

`bundle.json` describes it, `model.safetensors` holds its tensors; export adds `model.onnx`, quantisation
`model.int8.onnx`. Training writes a bundle; evaluation, prediction, export and serving read it, so that they cannot
disagree. What is read here may come from a stranger: every field is checked, and every other file against its SHA-256.
"""

import contextlib
import dataclasses
import json
import math
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from convatlas.data.preprocess import Preprocess
from convatlas.engine.fields import FieldError, Fields
from convatlas.engine.graph_records import Parity, Quantised, read_parity, read_quantised
from convatlas.errors import BundleError, ConvatlasError, SaveError, UsageError
from convatlas.files import new_file, new_folder, sha256

FORMAT_VERSION = 1
DESCRIPTION = "bundle.json"
WEIGHTS = "model.safetensors"
ONNX = "model.onnx"
ONNX_DATA = "model.onnx.data"  # the weights of a graph beyond the 2 GB of a protocol buffer
ONNX_INT8 = "model.int8.onnx"

Task = Literal["classify", "multilabel"]
TASKS: tuple[Task, ...] = ("classify", "multilabel")

SIZE_NAMES = ("height", "width")  # in a graph for pictures of any size

MAX_DESCRIPTION = 64 * 2**20  # bytes; the description of 100,000 classes takes about two megabytes
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
HEX_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What `bundle.json` says. Raises ValueError when its parts contradict each other."""

    task: Task
    model: str  # a name that create_model knows
    changes: Mapping[str, object]  # what differs from that name's config: num_classes, in_channels, ...; JSON values
    classes: tuple[str, ...]  # in the order of the logits
    preprocess: Preprocess
    mean: tuple[float, ...]  # of pixels / 255, one a channel
    std: tuple[float, ...]
    temperature: float = 1.0  # logits are divided by it before softmax or sigmoid
    threshold: float = 0.5  # multi-label: a label is given from this probability on
    metrics: Mapping[str, object] = field(default_factory=dict)
    provenance: Mapping[str, object] = field(default_factory=dict)  # data, seed, recipe, created, ...
    versions: Mapping[str, str] = field(default_factory=dict)
    parity: Parity | None = None  # None until exported
    quantised: Quantised | None = None  # None until quantised, and again after a new export
    files: Mapping[str, str] = field(default_factory=dict)  # SHA-256 of every other file of the folder, by name

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f'task: expected one of {", ".join(TASKS)}, got "{self.task}"')
        if not self.classes or not all(self.classes) or len(set(self.classes)) != len(self.classes):
            raise ValueError("classes: expected at least one name, none of them empty or twice in the list")
        if self.changes.get("num_classes", len(self.classes)) != len(self.classes):
            raise ValueError(f"classes: {len(self.classes)} names for num_classes = {self.changes['num_classes']}")
        channels = self.preprocess.channels
        if self.changes.get("in_channels", channels) != channels:
            raise ValueError(f"preprocess: {channels} channels for in_channels = {self.changes['in_channels']}")
        if len(self.mean) != channels or not all(map(math.isfinite, self.mean)):
            raise ValueError(f"mean: expected {channels} finite numbers, one a channel")
        if len(self.std) != channels or not all(math.isfinite(value) and value > 0 for value in self.std):
            raise ValueError(f"std: expected {channels} numbers above 0, one a channel")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"temperature: expected a number above 0, got {self.temperature}")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold: expected a probability 0..1, got {self.threshold}")

    @property
    def exported(self) -> bool:
        """Whether the folder holds an ONNX graph that was found equal to the network."""
        return self.parity is not None and ONNX in self.files

    @property
    def in_int8(self) -> bool:
        """Whether the folder holds an int8 graph whose loss was measured."""
        return self.quantised is not None and ONNX_INT8 in self.files


def write_bundle(target: Path, bundle: Bundle, tensors: Mapping[str, NDArray[np.generic]]) -> None:
    """Write a new bundle folder, whole or not at all; an earlier bundle in its place is replaced.

    Raises SaveError when the disk is full, or when `target` is a file or a folder that holds something else.
    """
    if target.is_dir() and any(target.iterdir()) and not (target / DESCRIPTION).exists():
        raise SaveError(f"{target}: holds other files; a bundle needs a folder of its own. Name another place")
    with new_folder(target) as folder:
        try:
            # order="C", not ascontiguousarray, which would turn a scalar into an array of one.
            whole = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
            safetensors.numpy.save_file(whole, folder / WEIGHTS)
        except SafetensorError as error:
            raise SaveError(f"{target / WEIGHTS}: could not be written ({error})") from error
        _write_description(folder / DESCRIPTION, dataclasses.replace(bundle, files={WEIGHTS: sha256(folder / WEIGHTS)}))
        # safetensors makes its file private; a bundle is as readable to others as the user's files are.
        shutil.copymode(folder / DESCRIPTION, folder / WEIGHTS)


def update_bundle(folder: Path, bundle: Bundle, extra_files: Mapping[str, Path]) -> Bundle:
    """Add or replace files of a bundle, by name, and write its new description; returns it, digests filled in.

    Everything is written beside its target first, then renamed in an order that leaves a readable bundle at every
    moment: a description that does not mention the extra files, those files, the description that does. Raises
    SaveError when the disk is full; the bundle is then as it was.
    """
    digests = {name: sha256(source) for name, source in extra_files.items()}
    kept = {name: digest for name, digest in bundle.files.items() if name not in digests}
    without = dataclasses.replace(
        bundle,
        files=kept,
        parity=None if ONNX in digests else bundle.parity,
        quantised=None if ONNX_INT8 in digests else bundle.quantised,
    )
    final = dataclasses.replace(bundle, files={**kept, **digests})
    with contextlib.ExitStack() as renames:  # they happen last in, first out
        _write_description(renames.enter_context(new_file(folder / DESCRIPTION)), final)
        for name, source in extra_files.items():
            shutil.copyfile(source, renames.enter_context(new_file(folder / name)))
        _write_description(renames.enter_context(new_file(folder / DESCRIPTION)), without)
    return final


def bundle_folder(path: Path) -> Path:
    """The folder of a bundle: `path` itself, or `path / "bundle"` where `path` is a run.

    Raises UsageError when there is no bundle, with the bundles nearby; BundleError when its description is missing.
    """
    if path.name == DESCRIPTION and path.is_file():
        return path.parent
    for folder in (path, path / "bundle"):
        if (folder / DESCRIPTION).is_file():
            return folder
        if (folder / WEIGHTS).is_file() or (folder / ONNX).is_file():
            raise BundleError(f"{folder / DESCRIPTION}: missing; a bundle cannot be used without it")
    if path.is_file():
        problem = "is a file; a bundle is a folder"
    elif path.is_dir():
        problem = "holds no bundle (a run writes it when training ends)"
    else:
        problem = "no such folder"
    hint = bundles_near(path) or " Train one first: convatlas train DATA --model NAME"
    raise UsageError(f"{path}: {problem}.{hint}")


def holds_bundle(path: Path) -> bool:
    """Whether a bundle is meant by this place, be it a damaged one: `bundle_folder` finds it, or says what it lacks."""
    if path.is_file():
        return path.name == DESCRIPTION
    names = (DESCRIPTION, WEIGHTS, ONNX)
    return any((folder / name).is_file() for folder in (path, path / "bundle") for name in names)


def bundles_near(path: Path) -> str:
    """` Did you mean "runs/digits"?`: up to three bundles inside `path`, beside it, or among the runs here; or ""."""
    found: list[str] = []
    for place in (path, path.parent, Path("runs")):
        try:
            inside = sorted(place.iterdir()) if place.is_dir() else []
        except OSError:
            inside = []
        for folder in inside:
            holds = (folder / DESCRIPTION).is_file() or (folder / "bundle" / DESCRIPTION).is_file()
            if holds and str(folder) not in found:
                found.append(str(folder))
    if not found:
        return ""
    return " Did you mean " + " or ".join(f'"{name}"' for name in found[:3]) + "?"


def read_bundle(path: Path, *, verify: bool = True) -> Bundle:
    """Read and check the description of a bundle or of a run that holds one.

    verify: compare each file with its SHA-256 as well; without it, files need only be there. Raises UsageError when
    there is no bundle at `path`, BundleError when it is incomplete, altered or written by a newer version.
    """
    folder = bundle_folder(path)
    bundle = _from_json(_read_json(folder / DESCRIPTION), folder / DESCRIPTION)
    for name in bundle.files:
        if not (folder / name).is_file():
            raise BundleError(f"{folder / name}: missing; copy the whole folder again, or train or export again")
    if verify:
        for name, digest in bundle.files.items():
            verify_file(folder / name, digest)
    return bundle


def verify_file(file: Path, digest: str) -> None:
    """Raise BundleError unless the file of a bundle has this SHA-256: is as it was written."""
    if sha256(file) != digest:
        raise BundleError(f"{file}: altered since it was written (its SHA-256 differs); copy it again, or train again")


def read_tensors(folder: Path) -> dict[str, NDArray[np.generic]]:
    """The network's tensors by name. Raises BundleError when the file is missing or damaged."""
    try:
        return cast("dict[str, NDArray[np.generic]]", safetensors.numpy.load_file(folder / WEIGHTS))
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{folder / WEIGHTS}: cannot be read ({error}); copy it again, or train again") from error


def _write_description(staged: Path, bundle: Bundle) -> None:
    text = json.dumps(_to_json(bundle), indent=2, ensure_ascii=False, allow_nan=False)
    staged.write_text(text + "\n", encoding="utf-8", newline="\n")


def _to_json(bundle: Bundle) -> dict[str, object]:
    any_size = bundle.parity is not None and bundle.parity.any_size
    size = SIZE_NAMES if any_size else (bundle.preprocess.height, bundle.preprocess.width)
    return {
        "format_version": FORMAT_VERSION,
        "task": bundle.task,
        "architecture": {"name": bundle.model, "changes": dict(bundle.changes)},
        "classes": list(bundle.classes),
        "preprocess": bundle.preprocess.to_dict(),
        "normalize": {"mean": list(bundle.mean), "std": list(bundle.std)},
        "input": {"name": "pixels", "dtype": "uint8", "shape": ["N", bundle.preprocess.channels, *size]},
        "output": {"name": "logits", "dtype": "float32", "shape": ["N", len(bundle.classes)]},
        "decode": {
            "activation": "softmax" if bundle.task == "classify" else "sigmoid",
            "temperature": bundle.temperature,
            "threshold": bundle.threshold,
        },
        "metrics": dict(bundle.metrics),
        "provenance": dict(bundle.provenance),
        "versions": dict(bundle.versions),
        "parity": None if bundle.parity is None else dataclasses.asdict(bundle.parity),
        "quantised": None if bundle.quantised is None else dataclasses.asdict(bundle.quantised),
        "files": dict(bundle.files),
    }


def _read_json(path: Path) -> object:
    try:
        if path.stat().st_size > MAX_DESCRIPTION:
            raise BundleError(f"{path}: larger than {MAX_DESCRIPTION} bytes; this is not a bundle's description")
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_finite, parse_float=_finite)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: not valid JSON ({error}); copy it again, or train again") from error


def _finite(text: str) -> float:
    """Python's reader would take NaN, Infinity and 1e999, which JSON does not have."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def _from_json(value: object, path: Path) -> Bundle:
    top = Fields(value, path)
    version = top.integer("format_version")
    if version > FORMAT_VERSION:
        raise BundleError(
            f"{path}: format_version {version} was written by a newer convatlas (this one reads up to "
            f"{FORMAT_VERSION}): pip install --upgrade convatlas"
        )
    if version < 1:
        raise BundleError(f"{path}: format_version {version} does not exist")
    architecture, normalize, decode = top.inner("architecture"), top.inner("normalize"), top.inner("decode")
    parity = None if top.take("parity") is None else read_parity(top.inner("parity"))
    # Bundles that were written before there was an int8 graph lack the field.
    quantised = None if top.value.get("quantised") is None else read_quantised(top.inner("quantised"))
    files = _files(top, path)
    try:
        return Bundle(
            task=cast("Task", top.text("task")),  # Bundle checks it
            model=architecture.text("name"),
            changes={name: _tuples(item) for name, item in architecture.mapping("changes").items()},
            classes=top.texts("classes"),
            preprocess=Preprocess.from_dict(top.mapping("preprocess")),  # its errors do not know the file
            mean=normalize.numbers("mean"),
            std=normalize.numbers("std"),
            temperature=decode.number("temperature"),
            threshold=decode.number("threshold"),
            metrics=top.mapping("metrics"),
            provenance=top.mapping("provenance"),
            versions=top.text_mapping("versions"),
            parity=parity,
            quantised=quantised,
            files=files,
        )
    except FieldError:
        raise
    except (ConvatlasError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise BundleError(f"{path}: {error}") from error


def _files(top: Fields, path: Path) -> dict[str, str]:
    files = top.text_mapping("files")
    for name, digest in files.items():
        if not PLAIN_NAME.fullmatch(name) or name == DESCRIPTION:
            raise BundleError(f'{path}: field "files": "{name}" is not the plain name of a file in this folder')
        if not HEX_DIGEST.fullmatch(digest):
            raise BundleError(f'{path}: field "files.{name}" should be a SHA-256, 64 hexadecimal digits')
    if WEIGHTS not in files:
        raise BundleError(f'{path}: field "files" does not list {WEIGHTS}')
    return files


def _tuples(value: object) -> object:
    """Lists as tuples, all the way down: configs are frozen, and JSON knows lists only."""
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {name: _tuples(item) for name, item in value.items()}
    return value
