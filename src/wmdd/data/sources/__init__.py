"""Where images come from.

- `named`, `folders` (with `annotations`), `parquet`, `hub`: one kind of source each; `table` has them all.
- `listing`: what a source makes, images that are listed but not yet decoded.
- `opening`: from a listing to an `ImageSet`; `decoding` brings any image file onto a canvas, `pixels` keeps the result.
"""
