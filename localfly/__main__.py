"""The `localfly` command: flags and environment in, one line out for everything that is wrong with them.

Answers for flags and exit status. Running is `serve`'s.
"""

import asyncio
import logging
import os
import re
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from localfly.lifecycle import Timings
from localfly.proxy.door import (
    APP_NAME,
    BadFlag,
    parse_address,
    parse_attached,
    parse_direct,
    parse_door,
    refuse_beyond_loopback,
)
from localfly.proxy.edge import ProxySettings
from localfly.proxy.exchange import Choices
from localfly.region import REGIONS
from localfly.runtime import parse_image
from localfly.serve import Setup, serve

DEFAULT_ORG = "personal"
FAST = Timings(
    create_s=0.02, start_s=0.02, stop_s=0.02, reap_s=0.02, replace_s=0.02, destroy_s=0.02, restart_s=0.05
)
TOKENS = ("LOCALFLY_TOKEN", "FLY_API_TOKEN")

cli = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@cli.command()
def run(
    *,
    api: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where the Machines API listens.")
    ] = "127.0.0.1:4280",
    listen: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST:PORT=PUBLIC_PORT[@APP][:flycast]",
            help="A door of the Fly Proxy for a public port. @APP: where unknown hosts go. Or "
            "HOST:PORT=direct:APP[/MACHINE]:INTERNAL_PORT, a door past the proxy. Repeatable.",
        ),
    ] = None,
    attach: Annotated[
        list[str] | None,
        typer.Option(
            metavar="APP[@ORG]:PUBLIC_PORT=HOST:PORT",
            help="A program outside localfly that serves a public port of an app. Repeatable.",
        ),
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REF=COMMAND", help="What runs in machines of an image; else the guest. Repeatable."
        ),
    ] = None,
    org: Annotated[
        list[str] | None, typer.Option(metavar="SLUG", help="An organisation to begin with. Repeatable.")
    ] = None,
    token: Annotated[
        list[str] | None,
        typer.Option(metavar="TOKEN", help="A token the API accepts; else LOCALFLY_TOKEN and FLY_API_TOKEN."),
    ] = None,
    cross_network_replays: Annotated[
        bool,
        typer.Option(
            "--cross-network-replays", help="Let apps replay into every network of their organisation."
        ),
    ] = False,
    allow_replay: Annotated[
        list[str] | None,
        typer.Option(metavar="FROM=TO", help="Let an organisation replay into another one. Repeatable."),
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Machines change state almost at once.")] = False,
    region: Annotated[str, typer.Option(metavar="CODE", help="Where the proxy stands.")] = "iad",
    give_up: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How long the proxy looks for a machine.")
    ] = 7.5,
    autostop_every: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0.1, help="Between two passes that stop unused machines."),
    ] = 300.0,
    replayable_size: Annotated[
        int, typer.Option(metavar="BYTES", min=0, help="The largest request body that can be replayed.")
    ] = 1_000_000,
    keep_forged_replay_src: Annotated[
        bool, typer.Option("--keep-forged-replay-src", help="Pass a client's own fly-replay-src on.")
    ] = False,
    forgetful_cache: Annotated[
        int | None,
        typer.Option(metavar="SEED", help="Let the replay cache forget by chance, the same in every run."),
    ] = None,
    steer_replays: Annotated[
        bool,
        typer.Option("--steer-replays", help="Let fly-prefer-* and fly-force-* act after a replay too."),
    ] = False,
    no_fallback_for_unknown_app: Annotated[
        bool,
        typer.Option("--no-fallback-for-unknown-app", help="A replay to an unknown app has no fallback."),
    ] = False,
    no_rate_limits: Annotated[
        bool, typer.Option("--no-rate-limits", help="Answer the API as fast as it is asked.")
    ] = False,
    retry_after: Annotated[
        bool,
        typer.Option("--retry-after", help="Say in a 429 when to ask again; Fly may not."),
    ] = False,
    seed: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Make ids and the chances of faults repeatable.")
    ] = None,
    state_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep the world in this folder; else it is forgotten at the end."),
    ] = None,
    strict_wait: Annotated[
        bool,
        typer.Option(
            "--strict-wait", help="Refuse to wait for `stopped` without a version, as old servers do."
        ),
    ] = False,
    allow_exec: Annotated[
        bool, typer.Option("--allow-exec", help="Let the API run programs on this computer, inside machines.")
    ] = False,
    allow_non_loopback: Annotated[
        bool, typer.Option("--allow-non-loopback", help="Listen where other computers can connect.")
    ] = False,
) -> None:
    """Stand in for Fly on this laptop: Machines API and Fly Proxy."""
    offered = [value for name in TOKENS if (value := os.environ.pop(name, None))]
    default_org = os.environ.get("FLY_ORG") or (org or [DEFAULT_ORG])[0]
    past = [door for text in listen or () if (door := parse_direct(text)) is not None]
    doors = [parse_door(text) for text in listen or () if "=direct:" not in text]
    setup = Setup(
        api=parse_address(api, flag=f"--api {api}"),
        tokens=token or offered,
        orgs=[_org(slug) for slug in (*(org or ()), default_org)],
        doors=doors,
        past=past,
        attached=[parse_attached(text, default_org=default_org) for text in attach or ()],
        commands=dict(parse_image(text) for text in image or ()),
        allowed_replays=[_pair(text) for text in allow_replay or ()],
        is_cross_network=cross_network_replays,
        allows_any_host=allow_non_loopback,
        allows_exec=allow_exec,
        is_strict_wait=strict_wait,
        state_dir=state_dir,
        timings=FAST if fast else Timings(),
        has_rate_limits=not no_rate_limits,
        tells_retry_after=retry_after,
        seed=seed,
        proxy=ProxySettings(
            region=_region(region),
            give_up_s=give_up,
            autostop_s=autostop_every,
            replayable_size=replayable_size,
            forgetful_cache=forgetful_cache,
            choices=Choices(
                keeps_forged_replay_src=keep_forged_replay_src,
                steers_replays=steer_replays,
                falls_back_for_unknown_app=not no_fallback_for_unknown_app,
            ),
        ),
    )
    if not all(setup.tokens) or not setup.tokens:
        raise BadFlag("--token: the API needs a token to accept; give one, or set FLY_API_TOKEN")
    if not allow_non_loopback:
        addresses = [
            (f"--api {api}", setup.api[0]),
            *((f"--listen {door}", door.host) for door in doors),
            *((f"--listen {door}", door.host) for door in past),
        ]
        refuse_beyond_loopback(addresses)
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    asyncio.run(_run(setup))


def main() -> None:
    """Run the command; whatever is wrong with its flags is one line on stderr and exit status 1."""
    try:
        status = cli(standalone_mode=False)
    except typer.Abort:
        status = 130
    except BadFlag as error:
        status = _complain(str(error))
    except Exception as error:
        if not hasattr(error, "format_message"):  # click's own errors can say what is wrong with the usage
            raise
        status = _complain(error.format_message())
    sys.exit(status)


async def _run(setup: Setup) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(setup, say=lambda line: print(line, flush=True), stop=stop)


def _complain(why: str) -> int:
    print(f"localfly: {' '.join(why.split())}", file=sys.stderr)
    return 1


def _org(slug: str) -> str:
    if not APP_NAME.fullmatch(slug):
        raise BadFlag(f"--org {slug}: {slug!r} is not an organisation's slug (or FLY_ORG is not)")
    return slug


def _pair(text: str) -> tuple[str, str]:
    match = re.fullmatch(r"([^=]+)=([^=]+)", text)
    if match is None or not all(APP_NAME.fullmatch(slug) for slug in match.groups()):
        raise BadFlag(f"--allow-replay {text}: not of the form FROM=TO, with two organisations")
    return match[1], match[2]


def _region(code: str) -> str:
    if code not in REGIONS:
        raise BadFlag(f"--region {code}: not one of {' '.join(REGIONS)}")
    return code


if __name__ == "__main__":
    main()
