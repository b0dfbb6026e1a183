"""A starting point for folders of photographs, trained from scratch."""

from convatlas.recipes.recipe import Recipe


def photographs() -> Recipe:
    """AdamW on a cosine schedule with mild distortions that keep a photograph plausible."""
    return Recipe(
        epochs=40,
        batch_size=32,
        optimizer="adamw",
        weight_decay=0.05,
        schedule="cosine",
        warmup_epochs=2.0,
        label_smoothing=0.1,
        flip=True,
        rotate=8.0,
        translate=0.08,
        scale=0.15,
        ema_decay=0.98,
        clip_norm=5.0,
    )
