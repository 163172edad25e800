"""How servers are registered with a gateway while it runs, as a manifest says it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import Field, model_validator

from conformance.stage import placeholders
from conformance.stage.manifest_tables import Headers, Sent, Status, Table

Statuses = Annotated[tuple[Status, ...], Field(strict=False, min_length=1)]


class Registry(Table):
    """The requests by which an owner changes what is registered, and what they are answered.

    In them {server} is the name a server is given, {server_url} its MCP endpoint, and {server_id} what the gateway
    calls it. The search over registrations begins where nothing is registered: without [[registration]].
    """

    add: Sent = Field(description="registers a server that is enabled from then on")
    remove: Sent = Field(description="removes a server for good")
    enable: Sent | None = Field(default=None, description="enables a server that was disabled")
    disable: Sent | None = Field(default=None, description="disables a server, which stays registered")
    id_in: str = Field(
        default="",
        description="member of the answer to `add` (a.b: b of a) that {server_id} stands for; left out where its name "
        "is its id",
    )
    pattern: str = Field(description="name by which a client calls a tool of one: {server} and {tool}")
    refused: Statuses = Field(default=(401, 403), description="statuses of a refusal to those who may not")
    absent: Statuses = Field(default=(404,), description="statuses where no such server is registered")
    repeated: Statuses = Field(
        default=(409,), description="statuses, beside those of a success, of a change that was made before"
    )
    other_headers: Headers = Field(
        default={},
        description="headers, in place of those of each request, of a user who may not change anything",
    )

    @property
    def changes(self) -> dict[str, Sent]:
        """The requests there are, by their keys."""
        given = {"add": self.add, "enable": self.enable, "disable": self.disable, "remove": self.remove}
        return {name: request for name, request in given.items() if request is not None}

    def texts(self) -> Iterator[str]:
        """Yield every string that may hold placeholders; the pattern aside."""
        for request in self.changes.values():
            yield from request.texts()
        yield from self.other_headers.values()

    @model_validator(mode="after")
    def _names_both(self) -> Self:
        if placeholders.names_in(self.pattern) != {"server", "tool"}:
            raise ValueError(f"registry.pattern {self.pattern!r} must hold {{server}} and {{tool}}, and no other.")
        if "server_url" not in {name for text in self.add.texts() for name in placeholders.names_in(text)}:
            raise ValueError("{server_url} does not stand in registry.add; put it where the server is told.")
        return self
