"""The configuration of an edge, written from its template; both runtimes use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from conformance.errors import CannotJudgeError
from conformance.stage.certificates import Presented
from conformance.stage.edge_manifest import EdgeManifest
from conformance.stage.edge_variant import COOKIE, EdgeVariant
from conformance.stage.launch import Launch
from conformance.stage.placeholders import expand, expand_argv
from conformance.wire.tap_address import TcpAddress

CERTIFICATE_FILE = "server.pem"
"""Name, beside the configuration, of the key and the certificate."""


@dataclass(frozen=True, slots=True)
class EdgePlan:
    """What one start of an edge is to be. replicas: where it dials. path: of the gateway's endpoint."""

    manifest: EdgeManifest
    variant: EdgeVariant
    replicas: Sequence[TcpAddress]
    path: str
    presented: Presented | None = None

    def launch(self, listen: TcpAddress, config_dir: str) -> Launch:
        """Return the start, with the files that the edge reads in `config_dir`. Raises CannotJudgeError."""
        values = {"host": listen.host, "port": str(listen.port), "config_dir": config_dir}
        start = self.manifest.start
        files = [(f"{config_dir}/{self.manifest.config}", self._config(listen, config_dir))]
        if self.presented is not None:
            files.append((f"{config_dir}/{CERTIFICATE_FILE}", self.presented.pem))
        env = {name: expand(value, values) for name, value in start.env.items()}
        return Launch(expand_argv(start.command, values), env, tuple(files))

    def _config(self, listen: TcpAddress, config_dir: str) -> str:
        folder = self.manifest.folder or Path()
        environment = Environment(
            loader=FileSystemLoader(folder),
            autoescape=False,  # noqa: S701 - the configuration of a proxy, not HTML
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            undefined=StrictUndefined,
        )
        try:
            return environment.get_template(self.manifest.template).render(
                host=listen.host,
                port=listen.port,
                config_dir=config_dir,
                replicas=[str(address) for address in self.replicas],
                path=self.path,
                cookie=COOKIE,
                tls=self.presented is not None,
                certificate_name=self.presented.name if self.presented else "",
                milliseconds=lambda seconds: round(seconds * 1000),
                variant=asdict(self.variant),
            )
        except TemplateError as error:
            raise CannotJudgeError(
                f"The configuration of {self.manifest.title} cannot be written from {folder / self.manifest.template} "
                f"({error}); mend the template."
            ) from error
