"""What recovery is made of: groups of images, their views, the terms of their loss, the steps."""
