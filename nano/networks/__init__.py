"""Torch from a design: build a network, count it by running, look at its signal, keep it."""
