"""What the ablation puts in the place of the exact barycenter, with the same signature."""
