"""Training: recipe, pool, style loss, trainer, and a run in its folder."""
