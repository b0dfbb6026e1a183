"""Pure functions of boxes: overlap, suppression, anchors, coding, regions of interest, proposals.

A box is `xyxy`: x1, y1, x2, y2 in pixels from the picture's top left, continuous edges, x2 and y2 exclusive. Files
named `..._numpy`, `anchor_clusters`, `box_checks`, `windows`, `hog_windows` and `proposals` take arrays and import no
torch; the others take tensors.
"""
