"""The distilled set on disk, which needs nothing but pyarrow, Pillow and torch to be read.

`writing`: the folder of a set, and exports for other programs. `reading`: `load`, and batches to train on; `checked`:
no file is used before its checksum holds. `card`: the README of the set (`card.md.j2`). `labels`: an epoch of soft
labels as a table and back. `png`: an image as bytes and back.
"""
