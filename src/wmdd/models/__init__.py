"""Networks by name, their checkpoints, their BatchNorm layers, and taps into them; `names` is free of torch."""
