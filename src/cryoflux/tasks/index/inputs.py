"""What an index begins with, and by what it is embedded."""

from __future__ import annotations

__all__ = ["documents_folder", "encoder_of", "first_queries", "make_beginning", "used_encoder"]

from collections.abc import Callable
from pathlib import Path

from cryoflux.config import Settings
from cryoflux.data.fold import FOLD
from cryoflux.data.lowest_hash import LOWEST_HASH
from cryoflux.data.prepared import render_sets
from cryoflux.digests import sha256_hex
from cryoflux.errors import UsageError
from cryoflux.registry.versions import Version, Versions
from cryoflux.state import FIRST_TASK
from cryoflux.tasks.index.documents import Folder
from cryoflux.tasks.index.encoding import EncoderName, encoder_digest
from cryoflux.tasks.index.known_items import (
    Query,
    given_queries,
    known_items,
    make_sets,
    read_given,
)
from cryoflux.tasks.index.shelf import Manifest, save_empty
from cryoflux.tasks.interface import Beginning
from cryoflux.tasks.lora.base_model import EMBEDDED, resolve

_SETS = 4
"""holdout, audit, one spare, and the queries that an update is tried on"""


def documents_folder(settings: Settings) -> Path:
    """The folder of documents.

    Raises:
        UsageError: none is named.
    """
    if not settings.index.index:
        raise UsageError(
            "No folder of documents is named.",
            why="index_refresh keeps an index of one.",
            hint="Name it: --index DIR.",
        )
    return Path(settings.index.index)


def make_beginning(
    settings: Settings, folder: Folder, progress: Callable[[str, int, int], None]
) -> Beginning:
    """The queries of a new state, and an index without documents.

    Raises:
        DataError: the documents cannot be read, or give too few queries.
    """
    progress("reading the documents", 0, 1)
    folder.look()
    sets = first_queries(settings, folder)
    files, digest = render_sets(sets)
    rules = {"holdout": LOWEST_HASH, "audit": LOWEST_HASH, "copies": FOLD}
    return Beginning(
        data_name=settings.index.queries or folder.path.name or str(folder.path),
        data_digest=digest,
        files=files,
        save=save_empty,
        model_name=settings.index.encoder or EMBEDDED,
        model_source=sha256_hex(b""),
        rules=rules,
        cut=settings.index.document_tokens,
    )


def first_queries(settings: Settings, folder: Folder) -> dict[str, list[bytes]]:
    """The query sets of a new state, as lines.

    Raises:
        DataError: the documents give too few.
    """
    spares = settings.data.spare_holdouts
    return make_sets(_queries(settings, folder, spares), most=settings.index.query_count, spares=spares)


def _queries(settings: Settings, folder: Folder, spares: int) -> list[Query]:
    if not settings.index.queries:
        documents = ((digest, text) for digest, _, text in folder.everything())
        return known_items(documents, settings.index.query_count * (_SETS + spares))
    path = Path(settings.index.queries)
    given = read_given(path)
    named = {one.document for one in given}
    places = {place: digest for digest, place, _ in folder.everything() if place in named}
    return given_queries(path, given, places, folder.names)


def encoder_of(
    settings: Settings, versions: Versions, tokens: int, known: dict[str, EncoderName]
) -> EncoderName:
    """What should embed now: what the settings name, the head of ``lora_delta``, or the embedded model.

    Args:
        settings: of the run.
        versions: of the state.
        tokens: of a text that are read.
        known: encoders by where they lie, so that none is hashed twice; is added to.

    Raises:
        ModelError: it is not there, or cannot embed.
    """
    named, head = settings.index.encoder, versions.head_digest(FIRST_TASK)
    if named or head is None:
        name = named or EMBEDDED
        if name not in known:
            folder = resolve(name)
            known[name] = EncoderName(encoder_digest(folder, tokens), name, "", folder)
        return known[name]
    if head not in known:
        version = versions.open(head)
        known[head] = _of_version(version, tokens)
    return known[head]


def _of_version(version: Version, tokens: int) -> EncoderName:
    digest = encoder_digest(version.folder, tokens, version.entries)
    return EncoderName(digest, FIRST_TASK, version.digest, version.folder)


def used_encoder(manifest: Manifest, versions: Versions, known: dict[str, EncoderName]) -> EncoderName | None:
    """What embedded an index; none where it is not here any more.

    Nothing is fetched: the state may be that of a stranger, who has chosen the name.

    Args:
        manifest: of the index.
        versions: of the state.
        known: encoders by where they lie; is added to.

    Raises:
        ModelError: the model of its name cannot be found.
    """
    place = manifest.version or manifest.model
    if place not in known:
        if manifest.version and not versions.folder(manifest.version).is_dir():
            return None
        own = versions.folder(manifest.version) if manifest.version else None
        folder = own if own is not None else resolve(manifest.model, fetch=False)
        digest = encoder_digest(folder, manifest.tokens)
        known[place] = EncoderName(digest, manifest.model, manifest.version, folder)
    found = known[place]
    return found if found.digest == manifest.encoder else None
