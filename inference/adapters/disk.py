"""What makes a file or a folder's entries outlast a power cut."""

import os
from pathlib import Path


def flush(path: Path) -> None:
    """Forces a file's bytes, or a folder's entries, to the disk: without the latter a new name may be lost."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
