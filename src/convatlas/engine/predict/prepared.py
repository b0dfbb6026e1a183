"""The exported graph as ONNX Runtime optimises it for this machine, kept beside the bundle: a session starts at once.

For ResNet-50 the optimiser takes most of the time from a fresh process to the first answer. What it makes of a graph
holds for one version of ONNX Runtime and one processor alone (operators are fused, weights laid out in blocks of its
vectors' size), so that it is no part of the bundle: `prepared/` may be deleted, is not used on another machine, and is
made anew by an export and by `predict --engine auto`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from convatlas.engine.bundle import HEX_DIGEST, ONNX, ONNX_DATA, PLAIN_NAME, SIZE_NAMES, Bundle
from convatlas.engine.predict.onnx_engine import first_line
from convatlas.engine.processor import processor_key
from convatlas.errors import EngineError
from convatlas.files import new_folder, sha256

FOLDER: Final = "prepared"
GRAPH: Final = "graph.onnx"
WEIGHTS: Final = "weights.bin"  # a file of their own is mapped into memory, not read
RECORD: Final = "prepared.json"
WORTH: Final = 4 * 2**20  # bytes; a smaller graph, weights and all, is optimised in a few milliseconds


@dataclass(frozen=True, kw_only=True)
class PreparedGraph:
    """graph: its file. digests: the SHA-256 of each file that it consists of. onnxruntime: the version it is for."""

    graph: Path
    digests: dict[Path, str]
    onnxruntime: str


def prepare_graph(folder: Path, bundle: Bundle) -> None:
    """Let ONNX Runtime optimise the graph of an exported bundle, and keep the result in `folder / "prepared"`.

    Nothing is kept of a graph of less than 4 MiB, which needs no such help. Raises SaveError when it cannot be written,
    EngineError for a graph that ONNX Runtime does not take.
    """
    if sum((folder / name).stat().st_size for name in (ONNX, ONNX_DATA) if name in bundle.files) < WORTH:
        return
    import onnxruntime  # noqa: PLC0415 - an optional extra

    with new_folder(folder / FOLDER) as place:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # it warns that the result is of this machine, which we know
        for name, length in zip(SIZE_NAMES, bundle.preprocess.shape[1:], strict=True):
            options.add_free_dimension_override_by_name(name, length)
        options.optimized_model_filepath = str(place / GRAPH)
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", WEIGHTS)
        options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "1024")
        try:
            onnxruntime.InferenceSession(folder / ONNX, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors share no narrower class
            raise EngineError(f"{folder / ONNX}: ONNX Runtime cannot load it ({first_line(error)})") from error
        digests = {file.name: sha256(file) for file in place.iterdir()}
        record = {**_holds_for(bundle), "onnxruntime": onnxruntime.__version__, "files": digests}
        (place / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8", newline="\n")


def prepared_graph(folder: Path, bundle: Bundle) -> PreparedGraph | None:
    """What was prepared of this graph on a machine like this, whatever the ONNX Runtime; None where there is none.

    The runtime is not asked, for it is still to be imported: meanwhile the files can be compared with their digests.
    """
    place = folder / FOLDER
    try:
        record = json.loads((place / RECORD).read_text(encoding="utf-8"))
        digests = {place / str(name): str(digest) for name, digest in record.pop("files").items()}
        version = record.pop("onnxruntime")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    plain = all(PLAIN_NAME.fullmatch(path.name) and path.parent == place for path in digests)
    known = plain and all(HEX_DIGEST.fullmatch(digest) for digest in digests.values()) and place / GRAPH in digests
    if not known or record != _holds_for(bundle) or not all(map(Path.is_file, digests)):
        return None
    return PreparedGraph(graph=place / GRAPH, digests=digests, onnxruntime=str(version))


def onnxruntime_version() -> str:
    """The version of the ONNX Runtime that is installed; "" where there is none."""
    try:
        import onnxruntime  # noqa: PLC0415 - an optional extra
    except ImportError:
        return ""
    return str(onnxruntime.__version__)


def _holds_for(bundle: Bundle) -> dict[str, str]:
    return {"graph": bundle.files[ONNX], "processor": processor_key()}
