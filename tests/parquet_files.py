"""Small Parquet files with image features, for tests."""

import io
import json
from zlib import crc32

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from wmdd.data.sources.opening import open_data
from wmdd.settings import DataSettings

LAZY = 1e-9


def png(value, size=(8, 8), mark=None):
    file = io.BytesIO()
    image = Image.new("RGB", size, (value,) * 3)
    if mark is not None:
        image.putpixel((size[0] - 1, size[1] - 1), (mark,) * 3)
    image.save(file, format="PNG")
    return file.getvalue()


def write(path, labels, *, names=("cat", "ant"), column="label", struct=True, group=2, **columns):
    """Write images whose values are 10, 20, ... with the given labels; those of files with other names differ below."""
    images = [png(10 * (number + 1), mark=crc32(path.name.encode()) % 256) for number in range(len(labels))]
    kept = [{"bytes": image, "path": None} for image in images] if struct else images
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())]) if struct else pa.binary()
    table = pa.table({"image": pa.array(kept, kind), column: pa.array(labels), **columns})
    if names is not None:
        features = {"image": {"_type": "Image"}, column: {"names": list(names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=group)
    return path


def opened(root, **settings):
    return open_data(str(root), DataSettings(**settings))


def values(image_set, indices=None):
    return image_set.images.fetch(indices if indices is not None else range(len(image_set)))[:, 0, 0, 0].tolist()
