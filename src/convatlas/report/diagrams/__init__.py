"""Architecture diagrams: any network, from its own trace, as SVG.

What is drawn, and where it is decided: flow.py follows the tensors, words.py tells operations in a few words, tree.py
puts BatchNorm and activations into their layer's box, folding.py opens one block of each kind and counts what repeats,
layout.py breaks text into lines, dot.py asks Graphviz for places, stacking.py puts parts together, fitting.py chooses
what fits a phone or a slide, svg.py writes.
"""

from convatlas.report.diagrams.diagram import Diagram, diagram
from convatlas.report.diagrams.folding import Box, Frame, Link

__all__ = ["Box", "Diagram", "Frame", "Link", "diagram"]
