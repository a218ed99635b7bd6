"""Where images come from.

- `named`, `folders`, `parquet`, `hub`: one kind of source each; `table` lists them.
- For `folders`: `layouts` tells splits from classes (by the words of `splits`), `walking` goes through folders, `kinds`
  knows the endings of images, `annotations` reads lists of classes, `notes` tells what was left out.
- `listing`: the product of a source: images with labels, not yet decoded.
- `opening`: from a listing to an `ImageSet`; `decoding` brings any image onto a canvas, `pixels` holds the result.
"""
