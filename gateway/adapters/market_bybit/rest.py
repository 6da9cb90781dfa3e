"""Asks the public REST endpoints, but not while the address is banned; answers are bounded in size and time."""

from collections.abc import Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Self

import aiohttp

from gateway.adapters.ban import AddressBan, tells_of_ban
from gateway.adapters.market_bybit.messages import BadMessageError, parse_json

ANSWER_SECONDS = 5.0
ANSWER_BYTES_MAX = 1 << 20


class PublicRest:
    """The public market endpoints, category linear, while it is open."""

    def __init__(self, url: str, ban: AddressBan) -> None:
        self._url = url
        self._ban = ban
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def get(self, name: str, query: Mapping[str, str]) -> object:
        """The JSON of one endpoint. Raises BadMessageError, and aiohttp's errors when there is no answer."""
        if self._ban.left_ms():
            raise BadMessageError(f"{name} was not asked for: this address is banned")
        url, full = f"{self._url}/v5/market/{name}", {"category": "linear", **query}
        async with self._session.get(url, params=full, allow_redirects=False) as answer:
            body = bytearray()
            async for chunk in answer.content.iter_chunked(65_536):
                body += chunk
                if len(body) > ANSWER_BYTES_MAX:
                    raise BadMessageError(f"{name} is too long")
        text = body.decode("utf-8", "replace")
        if answer.status == HTTPStatus.FORBIDDEN and tells_of_ban(text):
            self._ban.begin()
        if answer.status != HTTPStatus.OK:
            raise BadMessageError(f"{name} answered HTTP {answer.status}")
        return parse_json(text)
