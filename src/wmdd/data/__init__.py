"""Images in, views of them, and distilled sets out.

- `names`: what may be called by name, free of torch.
- `sources`: `open_data`, which turns whatever the user names into two `ImageSet`s.
- `folders` with `annotations`, `parquet`, `hub`, `named`: one kind of source each; all make a `Listing`.
- `listing`: images that are listed but not yet decoded.
- `decoding`: any image file onto a canvas; `pixels`: decoded and lazy images.
- `loading`: orders, batches, normalisation, counts.
- `views`, `labels`: augmented looks at images, and what the teacher says of them.
- `distilled`, `export`, `card`, `png`: the product, in memory and as files.
"""
