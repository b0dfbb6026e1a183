"""How good the answers are: accuracy, calibration, average precision. NumPy only; nothing here imports torch.

One picture, one class or several labels: `summary` (all of it in one record), of `classification`, `calibration`,
`multilabel`.
Objects: each measure takes a `Sample` and a `Detections` of each picture (`convatlas.types`) and the classes' names.

    coco.evaluate_coco               average precision and recall of boxes, masks or keypoints
    voc.evaluate_voc                 VOC's, of 2007 or later, with the curve of each class
    outcomes.picture_outcomes        what was found, wrong and missed in each picture
    error_kinds.error_kinds          of what kind each mistake is, and what mending a kind would gain
    proposals.evaluate_proposals     recall and best overlaps of boxes without a class
"""
