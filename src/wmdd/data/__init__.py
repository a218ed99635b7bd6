"""Images in, and what networks see of them.

- `sources`: where images come from; `sources.opening.open_data` makes two `ImageSet`s of whatever the user names.
- `loading`: orders, batches, normalisation, counts.
- `views`: random crops, flips and CutMix, drawn first and applied after; `dsa`: augmentation with gradients.
- `inputs`: from pixels or a distilled set to normalised inputs of a network.
"""
