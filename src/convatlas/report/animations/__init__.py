"""Animations of what convolutional networks do, each a picture that moves by CSS alone: no script, a few tens of KB.

Every kind is a frozen dataclass with checked parameters and computes what it shows (`arithmetic.scratch`,
`ops.nms_numpy`): `Animation.drawing()` is the plain data of all steps, `svg()` a file, `inline(name)` an element for a
page. `presets.PRESETS` has one of each with numbers that explain well.
"""
