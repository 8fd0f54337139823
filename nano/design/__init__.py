"""What a network is: a value without weights, its presets, and the family around each."""
