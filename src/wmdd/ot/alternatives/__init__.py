"""What the ablation puts in the place of the exact barycenter: each solves the same `Problem`, and W2² judges all."""
