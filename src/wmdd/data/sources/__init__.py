"""Where images come from.

- `named`, `folders`, `parquet`, `hub`: one kind of source each; `table` lists them.
- For `folders`: `layouts` tells splits from classes (by the words of `splits`), `walking` goes through folders, `kinds`
  knows the endings of images, `annotations` reads lists of classes, `notes` tells what was left out.
- For `parquet`: `parquet_folders` finds files and their splits, `parquet_schema` and `parquet_columns` choose columns,
  `parquet_labels` and `parquet_store` read them, `parquet_reading` turns every failure into one line.
- `listing`: the product of a source: images with labels, not yet decoded.
- `opening`: from a listing to an `ImageSet`; `holdout` cuts off validation images, `duplicates` finds equal pictures,
  `decoding` brings any image onto a canvas (`deep`: those of more than 8 bits), `pixels` holds the result.
"""
