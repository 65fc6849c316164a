"""What our own validators accept, as far as JSON Schema can say it.

Answers for patterns and choices, and in `$comment` for the word that people have for such a value. What
they cannot say, `validate` does.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, get_args

from pydantic import AfterValidator, BeforeValidator, PlainValidator
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from reconciler.core import replay_spec, scalar, service_config

Json = Any
Check = Callable[..., Any]

_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_AMOUNT = r"[0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h)"


def _last(annotated: Any, kind: type = AfterValidator) -> Check:
    """The function of the last validator of this kind in an annotation."""
    found: list[Any] = [each for each in get_args(annotated) if isinstance(each, kind)]
    check: Check = found[-1].func
    return check


def _item(annotated: Any) -> Any:
    """What a list holds."""
    return get_args(get_args(annotated)[0])[0]


HINTS: Mapping[Check, Mapping[str, Json]] = MappingProxyType(
    {
        _last(scalar.Unique): {"uniqueItems": True},
        _last(scalar.Region): {"$comment": "region", "enum": sorted(scalar.REGIONS)},
        _last(_item(replay_spec.RegionChoice)): {
            "$comment": "region",
            "enum": sorted(scalar.REGIONS | replay_spec.ALIASES),
        },
        _last(scalar.Host): {
            "$comment": "host",
            "pattern": rf"^{_LABEL}(\.{_LABEL})*$",
            "maxLength": scalar.LONGEST_HOST,
        },
        _last(scalar.AppNamePattern): {
            "pattern": r"^([a-z][a-z0-9-]*)?\{name\}([a-z0-9-]*[a-z0-9])?$",
        },
        _last(scalar.Bind): {"pattern": r"^([0-9.]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}$"},
        _last(scalar.Duration, PlainValidator): {
            "$comment": "duration",
            "anyOf": [
                {"type": "string", "pattern": rf"^(0|({_AMOUNT})+)$"},
                {"type": "integer", "anyOf": [{"const": 0}, {"minimum": scalar.SHORTEST_PLAIN_NS}]},
            ],
        },
        _last(replay_spec.Timeout, PlainValidator): {
            "$comment": "duration, or none",
            "type": "string",
            "pattern": "^([0-9]{1,9}(ms|s)|none)$",
        },
        _last(service_config.Autostop, PlainValidator): {"enum": ["off", "stop", "suspend", True, False]},
    }
)
LISTED = _last(replay_spec.RegionChoice, BeforeValidator)  # Fly's comma list


def _one_of(*fields: str) -> Mapping[str, Json]:
    return {"oneOf": [{"required": field.split()} for field in fields]}


_MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:.]+([Zz]|[+-][0-9]{2}:?[0-9]{2})$"
EXTRA: Mapping[tuple[str, str | None], Mapping[str, Json]] = MappingProxyType(
    {  # what belongs to a definition, or to one field of it
        ("SecretFrom", None): {"minProperties": 1, "maxProperties": 1},
        ("SecretFrom", "age"): {"pattern": r"^\s*-----BEGIN AGE ENCRYPTED FILE-----"},
        ("LimitSpec", None): {"anyOf": [{"required": ["max_count"]}, {"required": ["max_percent"]}]},
        ("DeploySpec", "max_unavailable"): {"exclusiveMinimum": 0},
        ("PauseSpec", "until"): {"pattern": _MOMENT},
        ("ServicePort", None): _one_of("port", "start_port end_port"),
        ("File", None): _one_of("raw_value", "secret_name", "image_config"),
        ("RowsSpec", None): _one_of("rows", "csv", "jsonl"),
        ("RowsSpec", "sha256"): {"pattern": "^[0-9a-f]{64}$"},
        ("MountSpec", None): {
            "dependencies": {
                "extend_threshold_percent": ["add_size_gb"],
                "add_size_gb": ["extend_threshold_percent"],
            }
        },
    }
)


class Hinted(GenerateJsonSchema):
    """Pydantic's generator, which also knows what our validators accept."""

    def function_after_schema(self, schema: core_schema.AfterValidatorFunctionSchema) -> JsonSchemaValue:
        found = super().function_after_schema(schema)
        return {**found, **hint(schema["function"]["function"])}

    def function_plain_schema(self, schema: core_schema.PlainValidatorFunctionSchema) -> JsonSchemaValue:
        return {**hint(schema["function"]["function"])} or super().function_plain_schema(schema)

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        found = super().function_before_schema(schema)
        listed = {"$comment": "comma list", "type": "string", "pattern": "^[a-z]+( *, *[a-z]+)*$"}
        return {"anyOf": [found, listed]} if schema["function"]["function"] is LISTED else found


def hint(check: Check) -> Mapping[str, Json]:
    """What JSON Schema says of a value that this check accepts."""
    if isinstance(check, scalar.Matching):
        longest = {} if check.at_most is None else {"maxLength": check.at_most}
        return {"pattern": f"^(?:{check.pattern})$", **longest}
    return HINTS.get(check, {})
