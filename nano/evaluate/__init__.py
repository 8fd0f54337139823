"""How good a network is: metrics, protocols, and pictures to look at."""
