"""Archives of the test vectors, unpacked on any Python that CryoFlux runs on."""

from __future__ import annotations

import tarfile
from pathlib import Path


def unpack(archive: Path, into: Path) -> None:
    """Unpack an archive of ours; Python 3.11 knows filters from 3.11.4 on, later ones ask for one."""
    filtered = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(archive) as files:
        files.extractall(into, **filtered)
