"""A Wyoming server: wake words for Home Assistant and all else that speaks that protocol (`wakeword[serve]`).

Whoever connects is a stranger. Each client has a detector state of its own over models that all share, and bounds on
what it can make the server hold: a header line, the data after it, a chunk of audio, and the time to send them. Audio
is taken from a client only as fast as it is heard, so that a flood waits in the client's own socket. It is heard a
quarter of a second at a time and by turns, so that nobody waits long for another: that is about a millisecond. Handing
each chunk to a thread instead was measured to cost 0.1 ms on top of the 0.2 ms that hearing 30 ms costs.
"""

import asyncio
import itertools
import json
import logging
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from typing import Any, TypeVar

import numpy as np
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, Eventable, async_read_event, async_write_event
from wyoming.info import Attribution, Describe, Info, WakeModel, WakeProgram
from wyoming.ping import Ping, Pong
from wyoming.wake import Detect, Detection, NotDetected

from wakeword.runtime.detector import Detector
from wakeword.runtime.pcm import Layout
from wakeword.runtime.resample import Resampler

_PIECE_S = 0.25
_log = logging.getLogger(__name__)
_E = TypeVar("_E", bound=Eventable)


@dataclass(frozen=True)
class Limits:
    """What a client can make the server hold.

    Attributes:
        clients: most at once; more are told so and turned away.
        line_bytes: longest header line.
        data_bytes: longest data after it.
        payload_bytes: longest audio chunk.
        idle_s: longest time for a client to send what comes next.
        write_s: longest time for it to take what is sent to it.

    Raises:
        ValueError: a limit is not above 0.
    """

    clients: int = 32
    line_bytes: int = 64 * 1024
    data_bytes: int = 64 * 1024
    payload_bytes: int = 1024 * 1024
    idle_s: float = 300.0
    write_s: float = 10.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"{name} is {value}; it must be above 0")


class Service:
    """What all clients share.

    Args:
        detectors: one for each model.
        limits: for each client.

    Attributes:
        names: what clients call each phrase.
        info: the event that describes all this.
        clients: how many are here now.
    """

    def __init__(self, detectors: Sequence[Detector], limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.names = _names(detectors)
        self.info = _describe(self.names).event()
        self.clients = 0


@dataclass(frozen=True)
class _Word:
    """A phrase that a client can ask for by a name."""

    detector: Detector
    phrase: str


def _names(detectors: Sequence[Detector]) -> dict[str, _Word]:
    """Return the phrases by their names, which are the phrases without spaces; a second one of a name gets a number."""
    names: dict[str, _Word] = {}
    for detector in detectors:
        for phrase in detector.phrases:
            plain = "_".join(phrase.split())
            tries = itertools.chain([plain], (f"{plain}_{number}" for number in itertools.count(2)))
            names[next(name for name in tries if name not in names)] = _Word(detector, phrase)
    return names


def _describe(names: dict[str, _Word]) -> Info:
    try:
        version = metadata.version("wakeword")
    except metadata.PackageNotFoundError:  # run from a checkout
        version = None
    models = [
        WakeModel(
            name=name,
            description=word.phrase,
            phrase=word.phrase,
            attribution=Attribution(name=word.detector.info.licence, url=""),
            installed=True,
            languages=[word.detector.info.language],
            version=str(word.detector.info.fingerprints.get("params", "")) or None,
        )
        for name, word in names.items()
    ]
    program = WakeProgram(
        name="wakeword",
        description="Wake words trained from a typed phrase or recordings",
        attribution=Attribution(name="wakeword", url=""),
        installed=True,
        version=version,
        models=models,
    )
    return Info(wake=[program])


class Refused(Exception):
    """A client asked for what it cannot have; it is told why, and the connection is closed."""


class _Stream:
    """One client's audio from a start to a stop."""

    def __init__(self, wanted: dict[str, _Word], layout: Layout) -> None:
        self.layout = layout
        self.detected = False
        self.timestamp: int | None = None  # the client's own, of its latest chunk
        self._resampler = Resampler(layout.rate)
        models = {id(word.detector): word.detector for word in wanted.values()}
        self._heard_by = {key: detector.fresh() for key, detector in models.items()}
        self._names = {(id(word.detector), word.phrase): name for name, word in wanted.items()}

    def hear(self, audio: bytes) -> list[tuple[str, float]]:
        """Return the name and the time in seconds of what is detected in the next stretch."""
        return self._detected(self._resampler.process(self.layout.samples(audio)))

    def finish(self) -> list[tuple[str, float]]:
        return self._detected(self._resampler.finish())

    def _detected(self, samples: np.ndarray) -> list[tuple[str, float]]:
        found = [
            (self._names[key, detection.phrase], detection.time_s)
            for key, detector in self._heard_by.items()
            for detection in detector.process(samples)
            if (key, detection.phrase) in self._names
        ]
        self.detected = self.detected or bool(found)
        return sorted(found, key=lambda detection: detection[1])


class _BoundedReader:
    """What the package reads an event from, with an end to how much and how long.

    Attributes:
        ended: whether the client has left, as nothing came in place of a header.
    """

    def __init__(self, reader: asyncio.StreamReader, limits: Limits) -> None:
        self._reader, self._limits = reader, limits
        self.ended = False

    async def readline(self) -> bytes:
        try:
            async with asyncio.timeout(self._limits.idle_s):
                line = await self._reader.readline()
        except ValueError:
            raise Refused(f"a header is longer than {self._limits.line_bytes} bytes") from None
        self.ended = not line
        if line:
            self._check(line)
        return line

    def _check(self, line: bytes) -> None:
        try:
            header = json.loads(line)
        except (ValueError, RecursionError):
            raise Refused("a header is no JSON; this is a Wyoming server") from None
        if not isinstance(header, dict) or not isinstance(header.get("type"), str):
            raise Refused("a header is no JSON object with a type")
        if not isinstance(header.get("data") or {}, dict):
            raise Refused("the data of a header is no JSON object")
        for key, most in {"data_length": self._limits.data_bytes, "payload_length": self._limits.payload_bytes}.items():
            length = header.get(key)
            if length is not None and (type(length) is not int or not 0 <= length <= most):
                raise Refused(f"{key} is {length!r:.40}; it must be a whole number up to {most}")

    async def readexactly(self, count: int) -> bytes:
        async with asyncio.timeout(self._limits.idle_s):
            return await self._reader.readexactly(count)


class _Client:
    """One connection."""

    def __init__(self, service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._service, self._writer = service, writer
        self._reader = _BoundedReader(reader, service.limits)
        self._wanted = service.names
        self._stream: _Stream | None = None

    async def run(self) -> None:
        """Answer events until the client leaves, falls silent or asks for what it cannot have."""
        try:
            while (event := await self._next()) is not None:
                await self._answer(event)
                # What has already arrived is read without waiting: without this, a flood would keep the others out.
                await asyncio.sleep(0)
        except Refused as reason:
            _log.warning("%s: %s", self._peer, reason)
            with suppress(OSError, TimeoutError):
                await self._write(Error(text=str(reason), code="refused"))
        except TimeoutError:
            _log.info("%s: gone silent", self._peer)
        except (OSError, asyncio.IncompleteReadError):
            _log.info("%s: gone", self._peer)

    async def refuse(self, reason: str) -> None:
        _log.warning("%s: %s", self._peer, reason)
        with suppress(OSError, TimeoutError):
            await self._write(Error(text=reason, code="busy"))

    async def hang_up(self) -> None:
        """Close the connection, whether or not the client takes what was last sent to it."""
        self._writer.close()
        try:
            async with asyncio.timeout(self._service.limits.write_s):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()

    @property
    def _peer(self) -> str:
        address = self._writer.get_extra_info("peername")
        return ":".join(map(str, address[:2])) if address else "a client"

    async def _next(self) -> Event | None:
        try:
            # The package's annotation asks for a whole StreamReader; it calls these two methods of it.
            event: Event | None = await async_read_event(self._reader)  # type: ignore[arg-type]
        except (AttributeError, TypeError, RecursionError):
            event = None
        # The package gives nothing for data that is no JSON, either.
        if event is None and not self._reader.ended:
            raise Refused("the data of an event is no JSON object")
        if event is not None and event.data is None:  # null is what some write for nothing
            event.data = {}
        return event

    async def _write(self, event: Eventable | Event) -> None:
        try:
            async with asyncio.timeout(self._service.limits.write_s):
                await async_write_event(event.event() if isinstance(event, Eventable) else event, self._writer)
        except UnicodeEncodeError:  # only a pong repeats what the client says, and nothing of it has been sent
            raise Refused("a text holds half of a UTF-16 pair, which UTF-8 cannot write") from None

    async def _answer(self, event: Event) -> None:
        if Describe.is_type(event.type):
            await self._write(self._service.info)
        elif Ping.is_type(event.type):
            await self._write(Pong(text=_parsed(Ping, event).text))
        elif Detect.is_type(event.type):
            self._wanted = self._choose(_parsed(Detect, event).names)
            self._stream = None
        elif AudioStart.is_type(event.type):
            self._stream = None
        elif AudioChunk.is_type(event.type):
            await self._hear(_parsed(AudioChunk, event))
        elif AudioStop.is_type(event.type):
            await self._stop()

    def _choose(self, names: Any) -> dict[str, _Word]:
        """Return what a client asks for by name; without names it is everything."""
        if not names:
            return self._service.names
        if not isinstance(names, list):
            raise Refused("the names to detect are no list")
        unknown = [name for name in names if not isinstance(name, str) or name not in self._service.names]
        if unknown:
            raise Refused(f"there is no wake word {unknown[0]!r:.80}; there is {', '.join(self._service.names)}")
        return {name: self._service.names[name] for name in names}

    async def _hear(self, chunk: AudioChunk) -> None:
        try:
            layout = Layout(chunk.rate, chunk.width, chunk.channels)
        except ValueError as reason:
            raise Refused(str(reason)) from None
        if self._stream is None:
            self._stream = _Stream(self._wanted, layout)
        if layout != self._stream.layout:
            raise Refused("the audio's rate, width or channels changed; send audio-start before another format")
        if len(chunk.audio) % layout.frame_bytes:
            raise Refused(f"a chunk of {len(chunk.audio)} bytes holds no whole number of samples")
        self._stream.timestamp = chunk.timestamp
        step = round(_PIECE_S * layout.rate) * layout.frame_bytes
        for first in range(0, len(chunk.audio), step):
            await self._tell(self._stream.hear(chunk.audio[first : first + step]), chunk.timestamp)
            await asyncio.sleep(0)

    async def _stop(self) -> None:
        if self._stream is not None:
            await self._tell(self._stream.finish(), self._stream.timestamp)
        if self._stream is None or not self._stream.detected:
            await self._write(NotDetected())
        self._stream = None

    async def _tell(self, found: list[tuple[str, float]], timestamp: int | None) -> None:
        for name, time_s in found:
            _log.info("%s: %s", self._peer, name)
            at = timestamp if type(timestamp) is int else round(1000 * time_s)
            await self._write(Detection(name=name, timestamp=at))


def _parsed(kind: type[_E], event: Event) -> _E:
    try:
        return kind.from_event(event)  # type: ignore[return-value]
    except (AttributeError, KeyError, TypeError) as failure:
        raise Refused(f"an event of type {event.type:.40} lacks {failure}") from None


@asynccontextmanager
async def serving(service: Service, host: str, port: int) -> AsyncIterator[int]:
    """Serve while the context lasts, which is the port; port 0 chooses a free one.

    Raises:
        OSError: the address cannot be listened at.
        ValueError: the port is none.
    """
    if not 0 <= port <= 65_535:
        raise ValueError(f"the port is {port}; it must be a whole number from 0 to 65535")
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_attend(service, _Client(service, reader, writer)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, host, port, limit=service.limits.line_bytes)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _attend(service: Service, client: _Client) -> None:
    try:
        if service.clients >= service.limits.clients:
            await client.refuse(f"{service.clients} clients are here already; try again later")
            return
        service.clients += 1
        try:
            await client.run()
        finally:
            service.clients -= 1
    except Exception:
        _log.exception("a client's connection failed; the others go on")
    finally:
        await client.hang_up()


def run(service: Service, host: str, port: int) -> None:
    """Serve until the process is told to stop, by Ctrl-C or SIGTERM.

    Raises:
        OSError: the address cannot be listened at.
        ValueError: the port is none.
    """
    asyncio.run(_until_told(service, host, port))


async def _until_told(service: Service, host: str, port: int) -> None:
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # on Windows Ctrl-C raises KeyboardInterrupt instead
            asyncio.get_running_loop().add_signal_handler(number, told.set)
    async with serving(service, host, port) as chosen:
        _log.info("serving %s at tcp://%s:%d", ", ".join(service.names), host, chosen)
        await told.wait()
