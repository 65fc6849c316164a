"""The kinds of single value that specs hold: names, hosts, regions, ports, durations.

Answers for what each may look like, with the words for one that does not. Fields are in `kinds`,
`machine_config` and `service_config`.
"""

import ipaddress
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator

from reconciler.core.problem import did_you_mean, one_of, quote, quote_name

# Contract §15, GET /v1/platform/regions; aliases such as "eu" cannot hold a volume.
REGIONS = frozenset(
    {"ams", "arn", "bom", "cdg", "dfw", "ewr", "fra", "gru", "iad"}
    | {"jnb", "lax", "lhr", "nrt", "ord", "sin", "sjc", "syd", "yyz"}
)
LONGEST_APP_NAME = 62  # Fly: under 63
LONGEST_GROUP_NAME = 20
LONGEST_VOLUME_NAME = 30
LONGEST_HOST = 253
LAST_PORT = 65535
FLYS_DOMAINS = ("fly.dev", "fly.io", "flycast", "internal")
_BELOW_FLYS = tuple(f".{domain}" for domain in FLYS_DOMAINS)
LONGEST_DURATION_S = 2**63 // 10**9
SHORTEST_PLAIN_NS = 1_000_000  # nobody means 15 nanoseconds by `interval: 15`


class Strict(BaseModel):
    """Nothing is guessed: an unknown field, a number for text or text for a number is an error."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class FindingError(ValueError):
    """What a validator found; `code` is one of `finding`'s."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


def wrong(message: str, code: str) -> FindingError:
    """An error for a validator to raise, whose text and code reach the person as they are."""
    return FindingError(message, code)


@dataclass(frozen=True, slots=True)
class Matching:
    """A check of text against a pattern; the JSON Schema is told the pattern too."""

    pattern: str
    expected: str
    code: str
    at_most: int | None = None
    may_be_secret: bool = False  # people paste the value where the name belongs

    def __call__(self, value: str) -> str:
        if not re.fullmatch(self.pattern, value):
            raise wrong(f"{self._shown(value)} is not {self.expected}", self.code)
        if self.at_most is not None and len(value) > self.at_most:
            length = f"{len(value)} characters, at most {self.at_most}"
            raise wrong(f"{self._shown(value)} is too long: {length}", "too-long")
        return value

    def _shown(self, value: str) -> str:
        return quote_name(value) if self.may_be_secret else quote(value)


T = TypeVar("T")


def _without_repeats(values: tuple[T, ...]) -> tuple[T, ...]:
    seen: set[Hashable] = set()
    for value in values:
        if value in seen:
            raise wrong(f"{quote(value)} stands here twice", "repeated-value")
        seen.add(value)
    return values


Many = Annotated[tuple[T, ...], Field(strict=False)]  # YAML gives lists; models are frozen
Unique = Annotated[tuple[T, ...], Field(strict=False), AfterValidator(_without_repeats)]

Name = Annotated[
    str,
    AfterValidator(
        Matching(
            r"[a-z0-9]([a-z0-9-]*[a-z0-9])?",
            "a name: small letters, digits and dashes, a letter or digit first and last",
            "bad-name",
            at_most=LONGEST_APP_NAME,
        )
    ),
]
GroupName = Annotated[
    str,
    AfterValidator(
        Matching(
            r"[a-z0-9]([a-z0-9-]*[a-z0-9])?",
            "a name: small letters, digits and dashes, a letter or digit first and last",
            "bad-name",
            at_most=LONGEST_GROUP_NAME,
        )
    ),
]
VariableName = Annotated[
    str,
    AfterValidator(
        Matching(
            r"[A-Za-z_][A-Za-z0-9_]*",
            "the name of an environment variable",
            "bad-variable-name",
            at_most=128,
            may_be_secret=True,
        )
    ),
]
Installation = Annotated[
    str,
    AfterValidator(
        Matching(
            r"[a-z][a-z0-9]{5,11}",
            "an installation: a small letter, then 5 to 11 of a-z and 0-9",
            "bad-installation",
        )
    ),
]
AppName = Annotated[
    str,
    AfterValidator(
        Matching(
            r"[a-z]([a-z0-9-]*[a-z0-9])?",
            "a Fly app name: small letters, digits and dashes, a letter first, no dash last",
            "bad-app-name",
            at_most=LONGEST_APP_NAME,
        )
    ),
]
VolumeName = Annotated[
    str,
    AfterValidator(
        Matching(
            r"[a-z0-9_]+",
            "a volume name: small letters, digits and _",
            "bad-volume-name",
            at_most=LONGEST_VOLUME_NAME,
        )
    ),
]
AbsolutePath = Annotated[str, AfterValidator(Matching(r"/.*", "an absolute path", "bad-path"))]
Port = Annotated[int, Field(ge=1, le=LAST_PORT)]


def _app_name_pattern(value: str) -> str:
    if value.count("{name}") != 1 or re.search(r"[{}]", value.replace("{name}", "")):
        raise wrong(
            f'{quote(value)} must contain {{name}} once, as in "acme-{{name}}"', "bad-app-name-pattern"
        )
    if not re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", value.replace("{name}", "a")):
        raise wrong(
            f"{quote(value)} gives no Fly app names: small letters, digits and dashes, "
            "a letter first, no dash last",
            "bad-app-name-pattern",
        )
    if len(value.replace("{name}", "a")) > LONGEST_APP_NAME:
        raise wrong(
            f"{quote(value)} is too long: Fly app names have at most {LONGEST_APP_NAME} characters",
            "bad-app-name-pattern",
        )
    return value


AppNamePattern = Annotated[str, AfterValidator(_app_name_pattern)]


def _region(value: str) -> str:
    if value not in REGIONS:
        every = one_of(sorted(REGIONS), at_most=len(REGIONS))
        guess = did_you_mean(value.lower(), REGIONS)
        raise wrong(
            f"{quote(value)} is not a region of Fly; expected one of {every}{guess}", "unknown-region"
        )
    return value


Region = Annotated[str, AfterValidator(_region)]


def _host(value: str) -> str:
    lowered = value.lower()
    if value != lowered and _is_host(lowered):
        raise wrong(f"{quote(value)} must be in small letters{did_you_mean(value, [lowered])}", "bad-host")
    if value.endswith(".") and _is_host(value[:-1]):
        raise wrong(f"{quote(value)} must not end with a dot{did_you_mean(value, [value[:-1]])}", "bad-host")
    if is_of_fly(value):
        raise wrong(
            f"{quote(value)} is below a domain of Fly's, where a name leads to one app alone and past the "
            "Router; expected a host below a domain of your own",
            "host-of-fly",
        )
    if not _is_host(value):
        raise wrong(
            f"{quote(value)} is not a host name; expected one like alice.example.com, without port or path",
            "bad-host",
        )
    return value


def is_of_fly(host: str) -> bool:
    """Whether Fly alone says where such a name leads."""
    return host in FLYS_DOMAINS or host.endswith(_BELOW_FLYS)


def _is_host(value: str) -> bool:
    labels = value.split(".")
    return (
        len(value) <= LONGEST_HOST
        and all(re.fullmatch(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", label) for label in labels)
        and not labels[-1].isdigit()  # 10.0.0.1 is an address
    )


Host = Annotated[str, AfterValidator(_host)]


def bind_parts(value: str) -> tuple[str, int] | None:
    """`"0.0.0.0:8080"` as host and port; None when it is not HOST:PORT with an IP address."""
    host, _, port = value.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        return None
    if bracketed != isinstance(address, ipaddress.IPv6Address) or not re.fullmatch(r"[0-9]{1,5}", port):
        return None
    return (str(address), int(port)) if int(port) <= LAST_PORT else None


def _bind(value: str) -> str:
    parts = bind_parts(value)
    if parts is None:
        raise wrong(
            f'{quote(value)} is not an address and a port; expected one like "0.0.0.0:8080"', "bad-address"
        )
    address = ipaddress.ip_address(parts[0])
    if isinstance(address, ipaddress.IPv6Address) and (
        address.is_unspecified or (address.ipv4_mapped is not None and address.ipv4_mapped.is_unspecified)
    ):
        raise wrong(
            f"{quote(value)} listens on every IPv6 address, where neighbours on the private network could "
            'read replay headers; expected "0.0.0.0:PORT" or one address',
            "listener-on-every-address",
        )
    return value


Bind = Annotated[str, AfterValidator(_bind)]

_DURATION = re.compile(r"(?:0|(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|ms|s|m|h))+)")
_PARTS = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(duration: str | int) -> float:
    """A duration of a machine config in seconds: Go text such as "1m30s", or whole nanoseconds."""
    if isinstance(duration, int):
        return duration * 1e-9
    return sum(float(amount) * _SECONDS[unit] for amount, unit in _PARTS.findall(duration))


def _duration(value: Any) -> str | int:
    is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if not is_number and not (isinstance(value, str) and _DURATION.fullmatch(value)):
        raise wrong(
            f'{quote(value)} is not a duration; expected text like "15s" or "1m30s", or whole nanoseconds',
            "bad-duration",
        )
    if is_number and 0 < value < SHORTEST_PLAIN_NS:
        raise wrong(f'{value} would be nanoseconds; expected text like "{value}s"', "bad-duration")
    if seconds(value) > LONGEST_DURATION_S:
        raise wrong(
            f"{quote(value)} is too long: Fly counts nanoseconds in 64 bits, 292 years at most",
            "bad-duration",
        )
    return value  # type: ignore[no-any-return]  # text or a whole number, as was just checked


Duration = Annotated[str | int, PlainValidator(_duration, json_schema_input_type=str | int)]


def no_repeats_of(names: Sequence[str], what: str) -> None:
    """Raise when two things of one list carry the same name."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise wrong(f"two {what} are called {quote(name)}; names are unique", "repeated-name")
        seen.add(name)
