"""How fast a network runs and what power it takes: reading what devices print."""
