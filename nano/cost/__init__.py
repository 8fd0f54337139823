"""What a design costs: by closed form, by a walk over its layers, a whole population at once."""
