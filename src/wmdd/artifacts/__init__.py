"""Results on disk, without which a run could not be resumed or repeated.

`keys`: the identity of a result → `folder`: where it lives and when it is finished → `formats`: its record as files →
`files` (whole or not at all; free of torch) and `tensors` (safetensors) write and read these.
"""
