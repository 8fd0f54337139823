"""Learning: recipes, losses, the training loop and its checkpoints."""
