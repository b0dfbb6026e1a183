"""Region proposals: boxes that may hold an object of any class, as detectors before the region proposal network used.

`selective_search`, `randomised_prim`, `objectness`, `parametric_min_cuts`, `category_independent`: each takes a picture
and gives `Proposals`. `felzenszwalb` and `grouping` are what they build on, and `levels` draws a grouping. NumPy, SciPy
and scikit-image only, no torch: pip install 'convatlas[proposals]'.
"""

import importlib.util

from convatlas.errors import MissingExtra

if importlib.util.find_spec("skimage") is None:  # which brings SciPy
    raise MissingExtra("proposing regions", "proposals")
