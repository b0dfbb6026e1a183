"""Pictures with boxes, masks and keypoints: from the files that annotation tools write to `Sample`s, without torch.

`source` recognises the format of what was named and gives an `ObjectSet`; one module reads each format (`coco`, `voc`,
`yolo`, `createml`, `label_studio`) and lists its faults; `check` reports them all, `convert` writes another format,
`sheet` draws what was read.
"""
