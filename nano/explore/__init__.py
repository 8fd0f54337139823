"""The search: from a study file to a chosen, trained network."""

import warnings

# In a notebook, Optuna's progress bars, which nothing here uses, ask for widgets when imported.
warnings.filterwarnings("ignore", message="IProgress not found")
