"""Where images come from.

- `named`, `folders` (with `annotations`), `parquet`, `hub`: one kind of source each; `table` lists them.
- `listing`: the product of a source: images with labels, not yet decoded.
- `opening`: from a listing to an `ImageSet`; `decoding` brings any image onto a canvas, `pixels` holds the result.
"""
