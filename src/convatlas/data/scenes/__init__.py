"""The embedded scenes: real handwritten digits on textured and photographic grounds, with all that is known of them.

Classes, boxes, instance and semantic masks, keypoints and captions, made from what packages carry, the same on every
machine. `scene` composes one, `scene_set` makes a data set of them.
"""
