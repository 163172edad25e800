"""What a client is: `fixtures/clients/NAME/client.toml`, with the driver that speaks the clients' contract for it."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from conformance.spec.revisions import STREAMABLE_LEGACY
from conformance.stage import placeholders
from conformance.stage.manifest_tables import Command, Install, Manifest, StringList, Table
from conformance.stage.packages import OLDEST_NODE

Step: TypeAlias = Literal["connect", "list", "call", "stream", "idle", "restart", "close"]
"""A step of the contract. connect: open a session. list: name the tools. call: call one. stream: call one and count its
progress. idle: stay open while nothing is asked, then call. restart: go on after a restart of the gateway. close."""

_CALLING: tuple[Step, ...] = ("stream", "idle", "restart")


class ClientInstall(Install):
    """What is installed for a client; it runs on the harness's side, where the machine's Node may be too old for it."""

    node: Annotated[int, Field(ge=OLDEST_NODE)] = Field(
        default=OLDEST_NODE, description="oldest major version of Node that the npm packages run on"
    )


class Driver(Table):
    """The small program that does with the client what the harness asks of it."""

    command: Command = Field(description="argument list; it reads steps as JSON lines and answers each with one")
    env: dict[str, str] = Field(default={}, description="environment variables")
    steps: Annotated[tuple[Step, ...], Field(strict=False, min_length=1)] = Field(
        description="the steps that this client can do; the others are shown as not exercised"
    )
    revisions: StringList = Field(
        default=(STREAMABLE_LEGACY[-1],), description="the revisions that it proposes when asked to, as {revision}"
    )

    @model_validator(mode="after")
    def _steps_fit_together(self) -> Self:
        if self.steps[0] != "connect":
            raise ValueError("steps must begin with 'connect': without it there is nothing to do the others with.")
        if "call" not in self.steps and any(step in self.steps for step in _CALLING):
            raise ValueError(f"steps: {', '.join(_CALLING)} are calls; name 'call' too.")
        return self

    @model_validator(mode="after")
    def _revisions_are_known(self) -> Self:
        for revision in self.revisions:
            if revision not in STREAMABLE_LEGACY:
                raise ValueError(f"there is no revision {revision!r}; known are {', '.join(STREAMABLE_LEGACY)}.")
        return self


class ClientManifest(Manifest):
    """A client that gateways are used with."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="as in --client; the folder's name")
    install: ClientInstall = ClientInstall()
    driver: Driver

    def can(self, step: Step) -> bool:
        """Whether the client can do a step."""
        return step in self.driver.steps

    @model_validator(mode="after")
    def _placeholders_are_known(self) -> Self:
        for text in (*self.driver.command, *self.driver.env.values()):
            placeholders.check(text, placeholders.CLIENT_PLACEHOLDERS, "driver")
        return self
