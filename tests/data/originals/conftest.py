"""Pictures of many kinds, in a folder a class."""

from pathlib import Path

import pytest

from tests.making.pictures import file_of, photo, put


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Two classes of pictures of many kinds and sizes."""
    return put(
        tmp_path / "pets",
        {
            "cat/1.png": file_of(photo(12, 9)),
            "cat/deep/2.jpg": file_of(photo(20, 14, seed=1), "JPEG"),
            "cat/grey.png": file_of(photo(8, 8, channels=1)),
            "dog/1.webp": file_of(photo(9, 9, channels=4, seed=2), "WEBP", lossless=True, exact=True),
            "dog/2.png": file_of(photo(30, 10, seed=3)),
            "dog/notes.txt": b"good dogs",
            "readme.md": b"my pets",
        },
    )
