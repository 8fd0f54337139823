"""Optuna's dashboard over a study of ours: what it gets wrong is put right on the way to it."""
