"""A document reads only what the process was told to offer."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.keys import RootKey
from reconciler.core.kinds import SecretSpec
from reconciler.core.secret import LARGEST_BYTES
from reconciler.secret_source import SecretSource, Values

VALUE = "sk-live-canary"


def spec(**source: Any) -> SecretSpec:
    """A Secret's spec as it would be if the document had got past the checks of the spec language."""
    return SecretSpec.model_validate({"from": source}, context={"env_prefix": "F"})


def look_up(source: SecretSource, **secrets: SecretSpec) -> Values:
    return source.values(secrets, secrets, app_name="acme-alice")


def offering(directory: Path | None = None, **environ: str) -> SecretSource:
    return SecretSource(environ=environ, directory=directory)


def revealed(values: Values) -> Mapping[str, str]:
    assert values.missing == {}
    return {name: value.reveal() for name, value in values.known.items()}


def why_not(values: Values) -> str:
    assert values.known == {}
    ((_, reason),) = values.missing.items()
    assert VALUE not in reason
    return reason


def test_a_variable_with_the_prefix_is_read() -> None:
    """Its value is taken as it is."""
    source = offering(FLEET_SECRET_A=f" {VALUE}\n")
    assert revealed(look_up(source, A=spec(env="FLEET_SECRET_A"))) == {"A": f" {VALUE}\n"}


def test_a_variable_without_the_prefix_is_not_read_even_if_a_document_got_through() -> None:
    """The prefix is checked again where the value would be taken."""
    source = offering(FLY_API_TOKEN=VALUE)
    reason = why_not(look_up(source, A=spec(env="FLY_API_TOKEN")))
    assert reason == "the variable FLY_API_TOKEN is not offered; set --secret-env-prefix"


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({}, "the variable FLEET_SECRET_A is not set here"),
        ({"FLEET_SECRET_A": ""}, "the variable FLEET_SECRET_A is empty"),
    ],
)
def test_a_variable_that_is_not_there_is_a_reason_and_not_a_crash(
    environ: dict[str, str], reason: str
) -> None:
    """In CI the values are elsewhere: the name comes with the reason."""
    assert why_not(look_up(SecretSource(environ=environ), A=spec(env="FLEET_SECRET_A"))) == reason


def test_a_variable_of_other_bytes_than_utf_8_is_a_reason_without_its_content() -> None:
    """Python reads such a byte as half a character, which no call to Fly could carry."""
    source = offering(FLEET_SECRET_A=f"{VALUE}\udcff")
    assert why_not(look_up(source, A=spec(env="FLEET_SECRET_A"))).endswith("is not UTF-8 text")


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (VALUE, VALUE),
        (f"{VALUE}\n", VALUE),
        (f"{VALUE}\r\n", VALUE),
        (f"{VALUE}\n\n", f"{VALUE}\n"),
        (f" {VALUE} \n", f" {VALUE} "),
        ("two\nlines\n", "two\nlines"),
        ("é\n", "é"),
    ],
)
def test_one_line_break_at_the_end_of_a_file_is_left_out(tmp_path: Path, content: str, value: str) -> None:
    """Editors add it, nobody means it; everything else is the value."""
    (tmp_path / "key").write_bytes(content.encode())
    assert revealed(look_up(offering(tmp_path), A=spec(file="key"))) == {"A": value}


def test_folders_and_links_below_the_secrets_folder_are_fine(tmp_path: Path) -> None:
    """Kubernetes mounts each secret as a link to a folder of the day."""
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "key").write_text(VALUE)
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "key").symlink_to("..data/key")
    assert revealed(look_up(offering(tmp_path), A=spec(file="key"))) == {"A": VALUE}


def outside(tmp_path: Path) -> Path:
    """A secrets folder with every way out of it."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "key").write_text(VALUE)
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "outside" / "key")
    (folder / "folder").symlink_to(tmp_path / "outside")
    (folder / "environ").symlink_to("/proc/self/environ")
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "sub").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "empty").write_text("")
    (folder / "line").write_text("\n")
    (folder / "nul").write_bytes(VALUE.encode() + b"\0")
    (folder / "bytes").write_bytes(VALUE.encode() + b"\xff")
    (folder / "large").write_bytes(b"x" * (LARGEST_BYTES + 1))
    return folder


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("link", "its file is outside the secrets folder"),
        ("folder/key", "its file is outside the secrets folder"),
        ("environ", "its file is outside the secrets folder"),
        ("loop", "its file cannot be read: its links lead in a circle"),
        ("dangling", "its file cannot be read: No such file or directory"),
        ("missing", "its file cannot be read: No such file or directory"),
        ("sub", "its file cannot be read: it is not an ordinary file"),
        ("pipe", "its file cannot be read: it is not an ordinary file"),
        ("empty", "its file is empty"),
        ("line", "its file is empty"),
        ("nul", "its file holds a NUL byte, which no environment variable can carry"),
        ("bytes", "its file is not UTF-8 text"),
        ("large", f"its file is larger than {LARGEST_BYTES} bytes"),
    ],
)
def test_what_is_no_secret_file_is_a_reason_without_its_content(
    tmp_path: Path, name: str, reason: str
) -> None:
    """Links that lead out, /proc, loops, pipes, folders, binary and huge files: named, never read out."""
    assert why_not(look_up(offering(outside(tmp_path)), A=spec(file=name))) == reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../outside/key", "its file is outside the secrets folder"),
        ("/proc/self/environ", "its file is outside the secrets folder"),
        (".", "its file is outside the secrets folder"),
        ("a\0b", "its file cannot be read: its name holds a NUL byte"),
    ],
)
def test_a_path_that_climbs_out_is_refused_even_if_a_document_got_through(
    tmp_path: Path, name: str, reason: str
) -> None:
    """The file's real place is what counts, not what the document was checked for."""
    folder = outside(tmp_path)
    source = spec(file="x").from_.model_copy(update={"file": name})
    climbing = SecretSpec.model_construct(from_=source)
    assert why_not(look_up(offering(folder), A=climbing)) == reason


def test_without_a_secrets_folder_no_file_is_offered() -> None:
    """A document cannot name the folder."""
    reason = why_not(look_up(offering(), A=spec(file="key")))
    assert reason == "its file is not offered; set --secrets-dir"


def test_derived_secrets_are_the_same_for_ever_and_differ_by_app_and_name() -> None:
    """From the root key, the app and the name; without the root key there is a reason."""
    derive = spec(derive={})
    key = RootKey("0f" * 32)
    source = SecretSource(environ={}, derive=key.derive)
    once = revealed(source.values(["A", "B"], {"A": derive, "B": derive}, app_name="acme-alice"))
    again = revealed(source.values(["A", "B"], {"A": derive, "B": derive}, app_name="acme-alice"))
    other = revealed(source.values(["A"], {"A": derive}, app_name="acme-bob"))
    assert once == again
    assert len({once["A"], once["B"], other["A"]}) == 3
    reason = why_not(look_up(offering(), A=derive))
    assert reason == "it is derived from the root key, and there is none here"


def test_values_do_not_show_themselves() -> None:
    """Neither what is offered nor what was found shows a value."""
    source = offering(FLEET_SECRET_A=VALUE)
    values = look_up(source, A=spec(env="FLEET_SECRET_A"))
    assert VALUE not in repr(source) + repr(values) + str(values)
