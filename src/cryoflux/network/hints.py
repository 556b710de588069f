"""What others say of logs, unasked: a reason to look at one, and believed in nothing.

A hint is kept as one small file for each log that is known, so that nobody fills a disk with them. Whoever
pulls looks there first, and removes what it has looked at.
"""

from __future__ import annotations

__all__ = ["HintBody", "HintReply", "Hints"]

import asyncio
from collections.abc import Callable, Collection
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cryoflux.digests import sha256_hex
from cryoflux.files import write_atomic
from cryoflux.network.folder import NetworkFolder
from cryoflux.serving.fairness import Allowances, client_of, too_often
from cryoflux.serving.routing import NotServedError, Reply, Request


class HintBody(BaseModel):
    """`POST /v1/hint`."""

    model_config = ConfigDict(extra="forbid")
    origin: Annotated[str, Field(min_length=1, max_length=200)]
    """of the log that has grown"""
    size: Annotated[int, Field(ge=0, le=2**53, strict=True)]
    """entries that it is said to have"""


class HintReply(BaseModel):
    """What every hint is answered with: whether it is a reason to look is not said."""

    taken: bool = True


class Hints:
    """Takes hints.

    Args:
        folder: of the node's network.
        known: the origins of logs that are pulled; of others nothing is kept.
        allowances: how often a client may say something.
    """

    def __init__(
        self,
        folder: NetworkFolder,
        known: Callable[[], Collection[str]],
        allowances: Allowances | None = None,
    ) -> None:
        self._folder, self._known = folder, known
        self._allowances = allowances or Allowances(1, 1)

    async def take(self, request: Request) -> Reply:
        """Keep a hint.

        Raises:
            NotServedError: the client has said one a moment ago, or this is none.
        """
        if wait_s := self._allowances.take(client_of(request.client)):
            raise too_often(wait_s)
        try:
            hint = HintBody.model_validate_json(request.body)
        except ValidationError as error:
            raise NotServedError(422, 'A hint is {"origin": TEXT, "size": NUMBER}.') from error
        await asyncio.to_thread(self._keep, hint)
        return Reply(HintReply().model_dump_json().encode(), 202)

    def _keep(self, hint: HintBody) -> None:
        if hint.origin in self._known():
            place = self._folder.hints / sha256_hex(hint.origin.encode())
            write_atomic(place, hint.model_dump_json().encode())
