"""The manifest of an edge, `fixtures/edges/NAME/edge.toml`, and the template of its configuration beside it."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from conformance.stage import placeholders
from conformance.stage.edge_variant import FEATURES, EdgeVariant
from conformance.stage.manifest_tables import Command, Install, Manifest, StringList, Table


class EdgeInstall(Install):
    """Where an edge comes from: a Debian package whose program this machine has, or PyPI."""

    debian: str = Field(default="", description="Debian package that holds it, in the version that Debian has")


class EdgeStart(Table):
    """How an edge is started, in the foreground."""

    command: Command = Field(description="argument list; its program goes by its bare name")
    env: dict[str, str] = Field(default={}, description="environment variables")


class EdgeReady(Table):
    """When an edge counts as started: its port accepts."""

    seconds: Annotated[float, Field(gt=0, le=600)] = Field(default=15.0, description="longest start-up, in seconds")


class EdgeManifest(Manifest):
    """A proxy that deployments put before a gateway.

    version: a version, or whose choice it is. cannot: reason by feature (`edge_variant.FEATURES`) that the edge lacks.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="as in --edge; the folder's name")
    install: EdgeInstall = EdgeInstall()
    start: EdgeStart
    template: str = Field(description="jinja2 template of its configuration, in the manifest's folder")
    config: str = Field(description="name under which that configuration is written to {config_dir}")
    version_command: StringList = Field(default=(), description="argument list that prints the version installed")
    ready: EdgeReady = EdgeReady()
    cannot: dict[str, str] = Field(default={}, description="why, by what a variant may ask for and this edge lacks")

    @property
    def program(self) -> str:
        """Name of the program that is started."""
        return self.start.command[0]

    def lacks(self, variant: EdgeVariant) -> str:
        """Return what of a variant this edge cannot do, and why; empty when it can do everything."""
        wanting = (feature for feature in variant.features() if feature in self.cannot)
        return next((f"{self.title} cannot do {feature}: {self.cannot[feature]}" for feature in wanting), "")

    @model_validator(mode="after")
    def _cannot_names_features(self) -> Self:
        if unknown := sorted(set(self.cannot) - FEATURES):
            known = ", ".join(sorted(FEATURES))
            raise ValueError(f"cannot.{unknown[0]!r} is nothing that a variant asks for; known are {known}.")
        return self

    @model_validator(mode="after")
    def _placeholders_are_known(self) -> Self:
        for text in (*self.start.command, *self.start.env.values()):
            placeholders.check(text, placeholders.EDGE_PLACEHOLDERS, "start")
        return self
