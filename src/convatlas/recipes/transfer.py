"""Recipes for networks that start from published weights, or from a bundle."""

from convatlas.recipes.recipe import Recipe


def transfer() -> Recipe:
    """Only the classifier learns, on features that are computed once: pictures are not distorted, so they never change.

    Donahue et al. 2014, "DeCAF" (https://arxiv.org/abs/1310.1531): features of a network trained on ImageNet and a
    linear classifier do well where there are few pictures.
    """
    return Recipe(
        epochs=60,
        batch_size=32,
        optimizer="adamw",
        lr=3e-3,
        weight_decay=0.05,
        schedule="cosine",
        label_smoothing=0.1,
        trainable="classifier",
    )


def fine_tune() -> Recipe:
    """The classifier first, then part by part, the further from the classifier the slower.

    Gradual unfreezing and discriminative rates: Howard and Ruder 2018, "ULMFiT" (https://arxiv.org/abs/1801.06146),
    Sections 3.2 and 3.3. Deviation: a gentler factor than their 1 / 2.6, for these networks have about ten parts where
    theirs had four.
    """
    return Recipe(
        epochs=20,
        batch_size=32,
        optimizer="adamw",
        lr=1e-3,
        weight_decay=0.05,
        schedule="cosine",
        warmup_epochs=1.0,
        label_smoothing=0.1,
        flip=True,
        crop_area=0.35,
        ema_decay=0.98,
        clip_norm=5.0,
        part_decay=1 / 1.5,
        unfreeze_by=0.4,
    )
