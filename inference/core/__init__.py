"""Pure rules of the model service: no I/O, clock, randomness, logging or async."""
