"""Which split a file or folder belongs to, by the words in its name: one table for folders, Parquet and the hub.

The words are those of Hugging Face's `datasets`; case does not matter, and digits, spaces and signs separate them.
"""

import re

SPLIT_WORDS = {
    "train": ("train", "training"),
    "val": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""Split → the words that name it."""
_SPLIT_OF = {word: split for split, words in SPLIT_WORDS.items() for word in words}
_BETWEEN = re.compile(r"[\W\d_]+")


def split_of(name: str) -> str | None:
    """Return `"train"`, `"val"` or `"test"` for a name with such a word in it, the last one counting; else None."""
    return next((_SPLIT_OF[word] for word in reversed(_words(name)) if word in _SPLIT_OF), None)


def names_a_split(name: str) -> bool:
    """Tell whether a name consists of split words alone: `Training` and `test_1` do, `test_tube` does not."""
    words = _words(name)
    return bool(words) and all(word in _SPLIT_OF for word in words)


def list_words() -> str:
    """Return all words, for messages."""
    return "; ".join(f"{split}: {', '.join(words)}" for split, words in SPLIT_WORDS.items())


def _words(name: str) -> list[str]:
    return [word for word in _BETWEEN.split(name.lower()) if word]
