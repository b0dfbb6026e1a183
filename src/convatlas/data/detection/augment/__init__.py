"""Random changes of pictures together with their objects, and batches of them. They bring torch and torchvision along.

`annotated` is what all of them take and give, `random_changes` changes one picture, `mosaic` and `mixup` make one of
several, `batch` makes tensors. Each draws its random numbers from torch, on the CPU: `torch.manual_seed` decides.
"""
