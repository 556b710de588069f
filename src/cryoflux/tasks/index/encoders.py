"""What embeds in a run: by which name it goes, the one that is loaded, and the embeddings of each."""

from __future__ import annotations

__all__ = ["Encoders"]

from cryoflux.config import Settings
from cryoflux.tasks.index.encoding import EncoderName, TextEncoder, dimensions_of, open_encoder
from cryoflux.tasks.index.inputs import encoder_of, used_encoder
from cryoflux.tasks.index.shelf import Shelf
from cryoflux.tasks.index.store import EmbeddingStore
from cryoflux.tasks.interface import Workplace
from cryoflux.tasks.pacing import TrainingFailedError


class Encoders:
    """The encoders of a run.

    Args:
        settings: of the run.
        place: where it works.
        tokens: of a text that are read.
    """

    def __init__(self, settings: Settings, place: Workplace, tokens: int) -> None:
        self._settings, self._place, self._tokens = settings, place, tokens
        self._names: dict[str, EncoderName] = {}
        self._loaded: tuple[str, TextEncoder] | None = None
        self._stores: dict[str, EmbeddingStore] = {}

    def wanted(self) -> EncoderName:
        """What should embed now."""
        return encoder_of(self._settings, self._place.versions, self._tokens, self._names)

    def used(self, shelf: Shelf) -> EncoderName | None:
        """What embedded an index; none where it has no document, or that is not here any more."""
        if not shelf.manifest.documents:
            return None
        return used_encoder(shelf.manifest, self._place.versions, self._names)

    def announced(self, digest: str, base: Shelf) -> EncoderName:
        """What an attempt was announced to embed by.

        Raises:
            TrainingFailedError: it is another model by now.
        """
        for name in (self.wanted(), self.used(base)):
            if name is not None and name.digest == digest:
                return name
        raise TrainingFailedError(
            "What embeds is another model than was announced.",
            why="The head of lora_delta moved meanwhile.",
            hint="Run again.",
        )

    def open(self, name: EncoderName) -> TextEncoder:
        """An encoder, loaded; one at a time stays so."""
        if self._loaded is None or self._loaded[0] != name.digest:
            self._loaded = None  # two would not have to fit
            self._loaded = name.digest, open_encoder(name, self._tokens)
        return self._loaded[1]

    def store(self, name: EncoderName) -> EmbeddingStore:
        """What an encoder has embedded."""
        if name.digest not in self._stores:
            path = self._place.state.cache / "embeddings" / f"{name.digest}.bin"
            self._stores[name.digest] = EmbeddingStore(path, dimensions_of(name.folder))
        return self._stores[name.digest]
