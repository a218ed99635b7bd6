"""The distilled set on disk, which needs nothing but pyarrow, Pillow and torch to be read.

`writing`: the folder of a set, and exports for other programs (`folders`: whole or not at all). `reading`: `load`, and
batches to train on. What is read is checked twice: `manifest` and `checked` see that every file is the one that was
written, `image_rows` and `stored_epochs` that what it says is what a set can say (`columns`: types and rules of rows).
`card`: the README of the set (`card.md.j2`). `labels`: an epoch of soft labels as a table and back. `png`: an image as
bytes and back.
"""
