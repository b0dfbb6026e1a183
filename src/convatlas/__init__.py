"""convatlas: a runnable atlas of convolutional networks.

>>> import convatlas
>>> run = convatlas.train("photos/", model="lenet5_modern")
>>> convatlas.Predictor(run.path)("cat.jpg")[0].top

Each public name is imported when it is first used, so that `import convatlas` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "COCO_BOXES": "convatlas.metrics.coco",
    "COCO_KEYPOINTS": "convatlas.metrics.coco",
    "COCO_MASKS": "convatlas.metrics.coco",
    "Card": "convatlas.catalog",
    "CocoSettings": "convatlas.metrics.coco",
    "ConvatlasError": "convatlas.errors",
    "Detections": "convatlas.types",
    "Diagram": "convatlas.report.diagrams",
    "Predictor": "convatlas.engine.predict.predictor",
    "Recipe": "convatlas.recipes.recipe",
    "Sample": "convatlas.types",
    "SceneConfig": "convatlas.data.scenes.scene",
    "animate": "convatlas.api.animate",
    "build_atlas": "convatlas.api.atlas",
    "capture": "convatlas.models.contract",
    "card": "convatlas.catalog",
    "check_data": "convatlas.data.check",
    "compare": "convatlas.api.compare",
    "contact_sheet": "convatlas.data.contact_sheet",
    "convert_data": "convatlas.data.detection.convert",
    "costs": "convatlas.api.costs",
    "create_model": "convatlas.api.create",
    "delete_run": "convatlas.engine.run",
    "diagnose": "convatlas.engine.doctor",
    "draw": "convatlas.api.draw",
    "draw_fields": "convatlas.api.draw_fields",
    "draw_objects": "convatlas.data.detection.drawing",
    "effective_receptive_field": "convatlas.arithmetic.field.effective",
    "error_kinds": "convatlas.metrics.error_kinds",
    "evaluate": "convatlas.api.evaluate",
    "evaluate_coco": "convatlas.metrics.coco",
    "evaluate_proposals": "convatlas.metrics.proposals",
    "evaluate_voc": "convatlas.metrics.voc",
    "export_bundle": "convatlas.api.export",
    "fetch_weights": "convatlas.weights.fetch",
    "field": "convatlas.api.field",
    "list_cards": "convatlas.catalog",
    "list_models": "convatlas.catalog",
    "list_runs": "convatlas.engine.run",
    "list_weights": "convatlas.weights",
    "load_weights": "convatlas.weights.load",
    "open_data": "convatlas.data.source",
    "open_objects": "convatlas.data.detection.source",
    "picture_outcomes": "convatlas.metrics.outcomes",
    "plan_training": "convatlas.api.train",
    "plot": "convatlas.api.plot",
    "plot_data": "convatlas.api.plot",
    "predict": "convatlas.api.predict",
    "quantize": "convatlas.api.quantize",
    "receptive_field": "convatlas.arithmetic.field.theoretical",
    "resume": "convatlas.api.train",
    "scene_set": "convatlas.data.scenes.scene_set",
    "show": "convatlas.api.show",
    "trace": "convatlas.arithmetic.tracing.trace",
    "train": "convatlas.api.train",
    "verify_weights": "convatlas.weights.fetch",
    "write_samples": "convatlas.data.samples",
}

__all__ = [
    "COCO_BOXES",
    "COCO_KEYPOINTS",
    "COCO_MASKS",
    "Card",
    "CocoSettings",
    "ConvatlasError",
    "Detections",
    "Diagram",
    "Predictor",
    "Recipe",
    "Sample",
    "SceneConfig",
    "__version__",
    "animate",
    "build_atlas",
    "capture",
    "card",
    "check_data",
    "compare",
    "contact_sheet",
    "convert_data",
    "costs",
    "create_model",
    "delete_run",
    "diagnose",
    "draw",
    "draw_fields",
    "draw_objects",
    "effective_receptive_field",
    "error_kinds",
    "evaluate",
    "evaluate_coco",
    "evaluate_proposals",
    "evaluate_voc",
    "export_bundle",
    "fetch_weights",
    "field",
    "list_cards",
    "list_models",
    "list_runs",
    "list_weights",
    "load_weights",
    "open_data",
    "open_objects",
    "picture_outcomes",
    "plan_training",
    "plot",
    "plot_data",
    "predict",
    "quantize",
    "receptive_field",
    "resume",
    "scene_set",
    "show",
    "trace",
    "train",
    "verify_weights",
    "write_samples",
]

if TYPE_CHECKING:
    from convatlas.api.animate import animate
    from convatlas.api.atlas import build_atlas
    from convatlas.api.compare import compare
    from convatlas.api.costs import costs
    from convatlas.api.create import create_model
    from convatlas.api.draw import draw
    from convatlas.api.draw_fields import draw_fields
    from convatlas.api.evaluate import evaluate
    from convatlas.api.export import export_bundle
    from convatlas.api.field import field
    from convatlas.api.plot import plot, plot_data
    from convatlas.api.predict import predict
    from convatlas.api.quantize import quantize
    from convatlas.api.show import show
    from convatlas.api.train import plan_training, resume, train
    from convatlas.arithmetic.field.effective import effective_receptive_field
    from convatlas.arithmetic.field.theoretical import receptive_field
    from convatlas.arithmetic.tracing.trace import trace
    from convatlas.catalog import Card, card, list_cards, list_models
    from convatlas.data.check import check_data
    from convatlas.data.contact_sheet import contact_sheet
    from convatlas.data.detection.convert import convert_data
    from convatlas.data.detection.drawing import draw_objects
    from convatlas.data.detection.source import open_objects
    from convatlas.data.samples import write_samples
    from convatlas.data.scenes.scene import SceneConfig
    from convatlas.data.scenes.scene_set import scene_set
    from convatlas.data.source import open_data
    from convatlas.engine.doctor import diagnose
    from convatlas.engine.predict.predictor import Predictor
    from convatlas.engine.run import delete_run, list_runs
    from convatlas.errors import ConvatlasError
    from convatlas.metrics.coco import COCO_BOXES, COCO_KEYPOINTS, COCO_MASKS, CocoSettings, evaluate_coco
    from convatlas.metrics.error_kinds import error_kinds
    from convatlas.metrics.outcomes import picture_outcomes
    from convatlas.metrics.proposals import evaluate_proposals
    from convatlas.metrics.voc import evaluate_voc
    from convatlas.models.contract import capture
    from convatlas.recipes.recipe import Recipe
    from convatlas.report.diagrams import Diagram
    from convatlas.types import Detections, Sample
    from convatlas.weights import list_weights
    from convatlas.weights.fetch import fetch_weights, verify_weights
    from convatlas.weights.load import load_weights


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
