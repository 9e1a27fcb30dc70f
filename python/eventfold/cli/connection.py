"""How a command reaches its server: the same options for all of them."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec, get_type_hints

import typer

from eventfold import AsyncClient, Client

P = ParamSpec("P")

DEFAULT_SERVER = "127.0.0.1:4141"
_PANEL = "Connection"


@dataclass(frozen=True)
class Target:
    """Which server, and how to get there."""

    server: str
    token: str | None
    tls: bool
    tls_ca: Path | None
    insecure: bool
    timeout: float

    def client(self) -> Client:
        """A client; nothing is sent yet."""
        return Client(self.server, **self._options())

    def async_client(self) -> AsyncClient:
        """A client for asyncio; nothing is sent yet."""
        return AsyncClient(self.server, **self._options())

    def _options(self) -> dict[str, Any]:
        return {
            "token": self.token,
            "tls": self.tls if self.tls_ca is None else self.tls_ca,
            "insecure": self.insecure,
            "timeout": self.timeout,
        }


def _options(
    server: Annotated[
        str,
        typer.Option(envvar="EVENTFOLD_SERVER", help="Address, HOST:PORT.", rich_help_panel=_PANEL),
    ] = DEFAULT_SERVER,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="EVENTFOLD_TOKEN",
            help="Token that says who calls. Better in the environment, where other users of "
            "the machine do not see it.",
            rich_help_panel=_PANEL,
            show_envvar=True,
        ),
    ] = None,
    tls: Annotated[
        bool,
        typer.Option("--tls", help="TLS with the usual authorities.", rich_help_panel=_PANEL),
    ] = False,
    tls_ca: Annotated[
        Path | None,
        typer.Option(
            envvar="EVENTFOLD_TLS_CA",
            help="TLS with the authorities in this PEM file.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure",
            help="Send the token in plain text to another machine.",
            rich_help_panel=_PANEL,
        ),
    ] = False,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.001,
            help="Seconds for a call with its repetitions; for reads, in which something new "
            "has to come.",
            rich_help_panel=_PANEL,
        ),
    ] = 10.0,
) -> Target:
    return Target(server, token, tls, tls_ca, insecure, timeout)


def with_target(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options of the connection; its first parameter gets the target."""
    own = list(inspect.signature(command).parameters.values())
    added = list(inspect.signature(_options).parameters.values())
    hints = get_type_hints(command, include_extras=True)
    first = own[0].name

    @functools.wraps(command)
    def wrapped(**values: Any) -> None:
        target = _options(**{option.name: values.pop(option.name) for option in added})
        command(target, **values)

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [parameter.replace(kind=keyword) for parameter in [*own[1:], *added]]
    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    del hints[first]
    hints.pop("return", None)
    wrapped.__annotations__ = hints | get_type_hints(_options, include_extras=True)
    wrapped.__annotations__["return"] = None
    # `inspect` would look through it, at the options that the command has of its own.
    del wrapped.__wrapped__
    return wrapped


def with_store(command: Callable[Concatenate[Client, P], None]) -> Callable[..., None]:
    """The same for commands that use one client; it is closed when they end."""

    @functools.wraps(command)
    def opened(target: Target, *args: P.args, **kwargs: P.kwargs) -> None:
        with target.client() as store:
            command(store, *args, **kwargs)

    return with_target(opened)
