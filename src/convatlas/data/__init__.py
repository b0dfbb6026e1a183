"""The data room: pictures and their labels, from whatever a user has to arrays of pixels, without torch.

`source` recognises what was named (a folder, IDX files, a CSV manifest, the embedded digits) and splits it; `pictures`
decodes one file; `preprocess` brings it to the network's size; `check` says beforehand what is wrong with a data set.
Only `loader` and `augment`, which feed training, import torch.
"""
