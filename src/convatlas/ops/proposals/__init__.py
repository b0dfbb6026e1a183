"""Region proposals: boxes that may hold an object of any class, as detectors before the region proposal network used.

`felzenszwalb` and `selective_search`, `randomised_prim`, `objectness`, `parametric_min_cuts`, `category_independent`;
`hog_windows` is the classifier of windows that came before networks. Each takes a picture and gives `Proposals`. NumPy,
SciPy and scikit-image only, no torch: pip install 'convatlas[proposals]'.
"""

import importlib.util

from convatlas.errors import MissingExtra

if importlib.util.find_spec("skimage") is None:  # which brings SciPy
    raise MissingExtra("proposing regions", "proposals")
