"""What recovery is made of: groups of images, their targets and views, the forward pass, the terms of the loss."""
