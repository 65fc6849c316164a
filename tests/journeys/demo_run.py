"""One run of `make demo` as a visitor sees it: what it prints, and the commands among that, typed in."""

import argparse
import contextlib
import re
import shlex
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests import wire

CONVERGES_WITHIN_S = 60  # the machine may be busy; alone it takes a few seconds


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: str


@dataclass(frozen=True, slots=True)
class DemoRun:
    """A demo on a copy of the sample fleet, in folders of its own."""

    program: wire.Program
    specs: Path
    folder: Path

    def curl_lines(self) -> list[tuple[str, int]]:
        """(command, status it must end in) of every command that it told the visitor to type."""
        lines = [line.strip() for line in self.program.out if line.strip().startswith("curl ")]
        return [(line, int(match[1]) if (match := re.search(r"# (\d{3})$", line)) else 200) for line in lines]

    def settings(self) -> dict[str, str]:
        """What `. .demo/env` sets in a second terminal."""
        words = (self.folder / "env").read_text("utf-8").replace("export ", "").splitlines()
        pairs = (word.partition("=") for word in words)
        return {name: shlex.split(value)[0] for name, _, value in pairs if name != "PATH"}

    def api(self) -> httpx.AsyncClient:
        """A client of its localfly, as the second terminal would have."""
        env = self.settings()
        headers = {"authorization": f"Bearer {env['FLY_API_TOKEN']}"}
        return httpx.AsyncClient(base_url=env["FLY_API_HOSTNAME"], headers=headers, trust_env=False)

    def port(self, host: str) -> int:
        """The port that it printed for that host."""
        return next(
            int(match[1]) for line in self.program.out if (match := re.search(rf"{host}:(\d+)/", line))
        )


@contextlib.asynccontextmanager
async def demo_run(place: Path) -> AsyncIterator[DemoRun]:
    """Start the demo below `place`; it has not converged yet."""
    specs = place / "specs"
    shutil.copytree(
        wire.ROOT / "specs", specs, ignore=shutil.ignore_patterns("images", "*.py", "__pycache__")
    )
    folder = place / "state"
    argv = (wire.PYTHON, wire.ROOT / "specs" / "demo.py", specs, "--folder", folder)
    async with wire.started(*argv) as program:
        yield DemoRun(program, specs, folder)


async def converged(demo: DemoRun) -> None:
    """Wait until it has printed all that there is to type."""
    await demo.program.said("Ctrl-C ends everything", within_s=CONVERGES_WITHIN_S)


async def typed(command: str) -> Answer:
    """What a whole curl line answers, by curl itself, or where there is none by the same request."""
    words = shlex.split(command, comments=True)
    if shutil.which("curl") is None:
        return await _without_curl(words)
    quiet = ("--silent", "--show-error", "--noproxy", "*", "--write-out", "\n%{http_code}")
    done = await wire.finished(*words, *quiet)
    assert done.code == 0, f"{command}: {done.err}"
    body, _, status = done.out.rstrip("\n").rpartition("\n")
    return Answer(int(status), body)


async def asked(host: str, port: int, path: str = "/") -> Answer:
    """GET that host of the public door; names below .localhost are this laptop's, whatever DNS says."""
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{port}{path}", headers={"host": f"{host}:{port}"})
    return Answer(answer.status_code, answer.text)


async def _without_curl(words: list[str]) -> Answer:
    parser = argparse.ArgumentParser()
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("--data-binary", dest="data")
    parser.add_argument("url")
    told = parser.parse_args(words[1:])
    headers = dict(header.split(": ", 1) for header in told.headers)
    address = urlsplit(told.url)
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.request(
            "POST" if told.data else "GET",
            f"http://127.0.0.1:{address.port}{address.path}",
            headers={"host": address.netloc, **headers},
            content=told.data,
        )
    return Answer(answer.status_code, answer.text)
