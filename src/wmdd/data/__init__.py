"""Images in, and the form in which networks see them.

- `sources`: where images come from; `sources.opening.open_data` opens any `DATA` as two `ImageSet`s.
- `loading`: orders, batches, normalisation, counts.
- `views`: random crops, flips and CutMix, drawn first and applied later; `dsa`: augmentation with gradients.
- `inputs`: from pixels, or a distilled set, to normalised inputs of a network.
"""
