"""The search: from a study file to a chosen, trained network."""
