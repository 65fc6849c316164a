"""Doors and attached backends as the command line writes them, and what must not stand side by side.

Answers for the text forms of `--listen` and `--attach`, and for refusing an app behind both kinds of
door. Opening the sockets is `proxy`'s.
"""

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

HIGHEST_PORT = 65535
APP_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class BadFlag(ValueError):  # noqa: N818 - reads as the sentence it is
    """A flag that cannot be followed; its text is one line for the user."""


@dataclass(frozen=True, slots=True)
class Door:
    """A listening socket that stands for one public port of Fly's proxy, public or flycast."""

    host: str
    port: int
    public_port: int
    app: str | None = None  # where unknown hosts go; None: the first app attached on the public port
    is_flycast: bool = False

    def __str__(self) -> str:
        """The door as `--listen` writes it."""
        name = f"@{self.app}" if self.app else ""
        return f"{authority(self.host, self.port)}={self.public_port}{name}{':flycast' * self.is_flycast}"


@dataclass(frozen=True, slots=True)
class Direct:
    """A listening socket that stands for a machine's private address, past Fly's proxy."""

    host: str
    port: int
    app: str
    machine: str | None  # id or name; None: the first of the app that runs
    internal_port: int

    def __str__(self) -> str:
        """The door as `--listen` writes it."""
        machine = f"/{self.machine}" if self.machine else ""
        return f"{authority(self.host, self.port)}=direct:{self.app}{machine}:{self.internal_port}"


@dataclass(frozen=True, slots=True)
class Attached:
    """A backend outside localfly that serves one public port of an app, as if it were its machine."""

    app: str
    org: str
    public_port: int
    host: str
    port: int

    @property
    def machine_id(self) -> str:
        """14 hex digits, the same for the same backend in every run."""
        return hashlib.sha256(f"{self.app}\n{self.host}\n{self.port}".encode()).hexdigest()[:14]

    def __str__(self) -> str:
        """The backend as `--attach` writes it."""
        return f"{self.app}@{self.org}:{self.public_port}={authority(self.host, self.port)}"


def parse_door(text: str) -> Door:
    """`HOST:PORT=PUBLIC_PORT[@APP][:flycast]`; raises BadFlag."""
    match = re.fullmatch(r"(?P<where>[^=]+)=(?P<port>\d+)(?:@(?P<app>[^:@]+))?(?P<flycast>:flycast)?", text)
    if match is None:
        raise BadFlag(f"--listen {text}: not of the form HOST:PORT=PUBLIC_PORT[@APP][:flycast]")
    flag = f"--listen {text}"
    host, port = parse_address(match["where"], flag=flag)
    app = match["app"]
    if app is not None and not APP_NAME.fullmatch(app):
        raise BadFlag(f"{flag}: {app!r} is not an app name")
    return Door(host, port, _public_port(match["port"], flag), app, match["flycast"] is not None)


def parse_direct(text: str) -> Direct | None:
    """`HOST:PORT=direct:APP[/MACHINE]:INTERNAL_PORT`, or None for another kind of door; raises BadFlag."""
    where, separator, rest = text.partition("=direct:")
    if not separator:
        return None
    flag = f"--listen {text}"
    match = re.fullmatch(r"(?P<app>[^/:]+)(?:/(?P<machine>[A-Za-z0-9_.-]+))?:(?P<port>\d{1,5})", rest)
    if match is None or not APP_NAME.fullmatch(match["app"]):
        raise BadFlag(f"{flag}: not of the form HOST:PORT=direct:APP[/MACHINE]:INTERNAL_PORT")
    host, port = parse_address(where, flag=flag)
    return Direct(host, port, match["app"], match["machine"], _public_port(match["port"], flag))


def parse_attached(text: str, *, default_org: str) -> Attached:
    """`APP[@ORG]:PUBLIC_PORT=HOST:PORT`; raises BadFlag."""
    match = re.fullmatch(r"(?P<app>[^@:=]+)(?:@(?P<org>[^:=]+))?:(?P<port>\d+)=(?P<where>.+)", text)
    flag = f"--attach {text}"
    if match is None:
        raise BadFlag(f"{flag}: not of the form APP[@ORG]:PUBLIC_PORT=HOST:PORT")
    for name in (match["app"], match["org"] or default_org):
        if not APP_NAME.fullmatch(name):
            raise BadFlag(f"{flag}: {name!r} is not a name of an app or organisation")
    host, port = parse_address(match["where"], flag=flag)
    if port == 0:
        raise BadFlag(f"{flag}: port 0 is nowhere to connect to")
    org = match["org"] or default_org
    return Attached(match["app"], org, _public_port(match["port"], flag), host, port)


def parse_address(text: str, *, flag: str) -> tuple[str, int]:
    """`HOST:PORT`, `[IPV6]:PORT` or `localhost:PORT`, the host as an IP address; raises BadFlag."""
    match = re.fullmatch(r"(?:\[(?P<six>[0-9a-fA-F:]+)\]|(?P<host>[^:\[\]]+)):(?P<port>\d{1,5})", text)
    if match is None:
        raise BadFlag(f"{flag}: {text!r} is not HOST:PORT")
    host = match["six"] or match["host"]
    host = "127.0.0.1" if host == "localhost" else host
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise BadFlag(f"{flag}: {host!r} is not an IP address; write 127.0.0.1") from None
    if int(match["port"]) > HIGHEST_PORT:
        raise BadFlag(f"{flag}: {match['port']} is above {HIGHEST_PORT}, the highest port")
    return host, int(match["port"])


def authority(host: str, port: int) -> str:
    """HOST:PORT as a URL writes it, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def refuse_beyond_loopback(addresses: Iterable[tuple[str, str]]) -> None:
    """Raise BadFlag for the first (flag, host) of them that other computers could reach."""
    for flag, host in addresses:
        if not ipaddress.ip_address(host).is_loopback:
            raise BadFlag(
                f"{flag}: other computers could reach {host}; use 127.0.0.1, or add --allow-non-loopback"
            )


def refuse_mixed_doors(doors: Sequence[Door], attached: Sequence[Attached]) -> None:
    """Raise BadFlag when an app is behind a public and a flycast door.

    On Fly an app with a public address exposes every service it has, so a private one would be public.
    """
    public = {app: door for door in doors if not door.is_flycast for app in apps_behind(door, attached)}
    for door in doors:
        if not door.is_flycast:
            continue
        for app in apps_behind(door, attached):
            if app in public:
                raise BadFlag(
                    f"--listen {door}: app {app} is also behind the public door {public[app]}, and on Fly "
                    "an app with a public address exposes every service it has; make the private part "
                    "an app of its own, and name each door's app with @APP"
                )


def apps_behind(door: Door, attached: Iterable[Attached]) -> list[str]:
    """The apps that a door leads to by its flags: the one it names, else all attached on its public port."""
    if door.app is not None:
        return [door.app]
    return list(dict.fromkeys(backend.app for backend in attached if backend.public_port == door.public_port))


def _public_port(text: str, flag: str) -> int:
    if not 1 <= int(text) <= HIGHEST_PORT:
        raise BadFlag(f"{flag}: public port {text} is not between 1 and {HIGHEST_PORT}")
    return int(text)
