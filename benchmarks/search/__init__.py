"""Search for better images: variants of a recipe, judged on development images by successive halving."""
