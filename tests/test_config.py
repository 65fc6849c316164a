"""Flags and variables: what is taken, what is refused, and what is never shown."""

from pathlib import Path

import pytest

from reconciler.config import ConfigError, api_url, listen_overrides, read_root_key, take_environment

ROOT_KEY = "9e" * 32


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("", "https://api.machines.dev"),
        ("https://api.machines.dev", "https://api.machines.dev"),
        ("api.machines.dev", "https://api.machines.dev"),
        ("https://api.machines.dev/", "https://api.machines.dev"),
        ("http://_api.internal:4280", "http://_api.internal:4280"),
        ("_api.internal:4280", "http://_api.internal:4280"),
        ("127.0.0.1:4280", "http://127.0.0.1:4280"),
        ("[::1]:4280", "http://[::1]:4280"),
    ],
)
def test_the_api_may_be_named_with_or_without_its_scheme(text: str, url: str) -> None:
    """Without a scheme it is https, except where the token crosses no open network."""
    assert api_url(take_environment({"FLY_API_HOSTNAME": text})) == url


@pytest.mark.parametrize(
    "text",
    ["ftp://x", "https://", "https://x/v1", "https://u:p@x", "https://x:port", "http://[::1", "a b:x", "a b"],
)
def test_an_address_that_cannot_be_one_is_refused_without_being_repeated(text: str) -> None:
    """The line names the variable; what stood in it may hold a password."""
    with pytest.raises(ConfigError) as refused:
        api_url(take_environment({"FLY_API_HOSTNAME": text}))
    assert str(refused.value).startswith("FLY_API_HOSTNAME: ")
    assert "u:p" not in str(refused.value)


def test_the_environment_gives_its_secrets_away_to_us_alone() -> None:
    """Tokens and root key are taken out, are no longer offered, and do not show."""
    environ = {"FLY_API_TOKEN": "canary-token", "RECONCILER_ROOT_KEY": ROOT_KEY, "FLEET_SECRET_A": "canary-a"}
    environ["RECONCILER_GIT_TOKEN"] = "canary-git"
    taken = take_environment(environ)
    assert environ == {"FLEET_SECRET_A": "canary-a"}
    assert taken.offered == {"FLEET_SECRET_A": "canary-a"}
    assert "canary" not in repr(taken)
    assert ROOT_KEY not in repr(taken)


def test_a_root_key_may_come_from_a_file_and_the_flag_wins(tmp_path: Path) -> None:
    """The file's key is used although the variable holds another; blank space around it does not matter."""
    file = tmp_path / "root.key"
    file.write_text(f"{ROOT_KEY}\n")
    environment = take_environment({"RECONCILER_ROOT_KEY": "11" * 32})
    by_flag, by_variable = read_root_key(environment, file), read_root_key(environment, None)
    assert by_flag is not None
    assert by_variable is not None
    assert by_flag.kid != by_variable.kid
    assert read_root_key(take_environment({}), None) is None


@pytest.mark.parametrize("content", [b"", b"zz" * 32, b"\xff" * 64, b"12" * 31])
def test_a_file_that_holds_no_root_key_is_refused_without_its_content(tmp_path: Path, content: bytes) -> None:
    """The line says where and what is expected."""
    file = tmp_path / "root.key"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"root\.key: .*64 hex digits") as refused:
        read_root_key(take_environment({}), file)
    assert "zz" not in str(refused.value)


def test_listeners_are_bound_elsewhere_by_name() -> None:
    """One flag a listener; port 0 asks for a free one."""
    assert listen_overrides(["public=127.0.0.1:0", "management=0.0.0.0:9090"]) == {
        "public": ("127.0.0.1", 0),
        "management": ("0.0.0.0", 9090),
    }


@pytest.mark.parametrize(
    "texts",
    [["public"], ["=1.2.3.4:80"], ["p=:80"], ["p=h:x"], ["p=h:65536"], ["p=h:-1"], ["p=h:1", "p=h:2"]],
)
def test_a_listener_flag_that_says_nothing_usable_is_refused(texts: list[str]) -> None:
    """Half an address is not guessed at, and of two for one listener neither wins silently."""
    with pytest.raises(ConfigError, match="--listen"):
        listen_overrides(texts)
