"""Generative-synthesis explorer for compact monocular-depth networks."""
