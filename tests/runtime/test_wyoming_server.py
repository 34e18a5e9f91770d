"""The server, over loopback, with the Wyoming package's own client; and with clients that mean it harm or vanish."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import cache, wraps
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.wake import Detect, Detection, NotDetected

import wakeword
from tests.export.networks import noise, trained, with_policy
from wakeword.runtime.cli import main
from wakeword.runtime.detector import Detector
from wakeword.runtime.resample import Resampler
from wakeword.runtime.wyoming_server import Limits, Service, serving

HOST = "127.0.0.1"
SHORT = Limits(clients=8, idle_s=0.3, write_s=0.3)


@cache
def detectors() -> tuple[Detector, ...]:
    """Return a model of one phrase and one of two, whose first phrase has the same name."""
    return Detector(with_policy(trained())), Detector(with_policy(trained(phrases=2, seed=1)))


def within(seconds: float) -> Callable[[Callable[[], Coroutine[Any, Any, None]]], Callable[[], None]]:
    """Run an asynchronous test, for so long at most."""

    def decorated(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        @wraps(test)
        def run() -> None:
            asyncio.run(asyncio.wait_for(test(), seconds))

        return run

    return decorated


@asynccontextmanager
async def server(limits: Limits | None = None) -> AsyncIterator[tuple[Service, int]]:
    service = Service(detectors(), limits)
    async with serving(service, HOST, 0) as port:
        yield service, port


async def say(client: AsyncTcpClient, pcm: np.ndarray, size: int = 1280, stop: bool = True) -> None:
    await client.write_event(AudioStart(16_000, 2, 1).event())
    for start in range(0, len(pcm), size):
        await client.write_event(AudioChunk(16_000, 2, 1, pcm[start : start + size].tobytes()).event())
    if stop:
        await client.write_event(AudioStop().event())


async def events(client: AsyncTcpClient) -> list[Event]:
    """Return what comes until the server hangs up."""
    received = []
    while (event := await client.read_event()) is not None:
        received.append(event)
    return received


async def ask(port: int, *asked: Event) -> list[Event]:
    """Return what comes after some events, up to the answer to a ping that follows them."""
    async with AsyncTcpClient(HOST, port) as client:
        for event in asked:
            await client.write_event(event)
        await client.write_event(Ping(text="done").event())
        received = []
        while (event := await client.read_event()) is not None and not Pong.is_type(event.type):
            received.append(event)
        return received


async def heard(port: int, pcm: np.ndarray, names: list[str] | None = None, size: int = 1280) -> list[tuple]:
    """Return name and milliseconds of what is detected in a recording."""
    async with AsyncTcpClient(HOST, port) as client:
        if names is not None:
            await client.write_event(Detect(names=names).event())
        reading = asyncio.create_task(until_pong(client))
        await say(client, pcm, size)
        await client.write_event(Ping().event())
        found = [Detection.from_event(event) for event in await reading if Detection.is_type(event.type)]
        return [(detection.name, detection.timestamp) for detection in found]


async def until_pong(client: AsyncTcpClient) -> list[Event]:
    received = []
    while (event := await client.read_event()) is not None and not Pong.is_type(event.type):
        received.append(event)
    return received


def expected(pcm: np.ndarray, names: list[str] | None = None) -> list[tuple]:
    """Return what detectors find that never met a server."""
    first, second = (detector.fresh().process(pcm) for detector in detectors())
    found = [("phrase_0", d.time_s) for d in first]
    found += [("phrase_0_2" if d.phrase == "phrase 0" else "phrase_1", d.time_s) for d in second]
    return sorted((name, round(1000 * at)) for name, at in found if names is None or name in names)


async def refusal(port: int, *pieces: bytes) -> str:
    """Send bytes; return the reason for which the server hangs up, or nothing where it gives none."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        answer = await reader.read()
    except ConnectionError:
        return ""
    finally:
        writer.close()
    if not answer:
        return ""
    header, _, data = answer.partition(b"\n")
    assert json.loads(header)["type"] == "error"
    return str(json.loads(data)["text"])


@within(20)
async def test_info_describes_every_phrase() -> None:
    async with server() as (_, port):
        (event,) = await ask(port, Describe().event())
    (program,) = Info.from_event(event).wake
    assert program.name == "wakeword" and program.installed
    shown = [(model.name, model.phrase, model.languages, model.version) for model in program.models]
    assert shown == [
        ("phrase_0", "phrase 0", ["en"], "def"),
        ("phrase_0_2", "phrase 0", ["en"], "def"),
        ("phrase_1", "phrase 1", ["en"], "def"),
    ]
    assert program.models[0].attribution.name == "CC0-1.0"


@within(20)
async def test_detections_are_those_of_a_detector() -> None:
    pcm = noise(6.0)
    assert len({name for name, _ in expected(pcm)}) == 3
    async with server() as (_, port):
        assert sorted(await heard(port, pcm)) == expected(pcm)
        for names in ([], ["phrase_1"], ["phrase_0_2", "phrase_0"]):
            assert sorted(await heard(port, pcm, names, size=333)) == expected(pcm, names or None)
        assert sorted(await heard(port, pcm, size=len(pcm))) == expected(pcm)


@within(20)
async def test_home_assistant_asks_for_one_word_streams_and_leaves_at_the_detection() -> None:
    """The order of events of its wake word component, whose chunks carry its own time stamps."""
    pcm = noise(6.0)
    at = expected(pcm, ["phrase_1"])[0][1]
    async with server() as (service, port):
        async with AsyncTcpClient(HOST, port) as client:
            await client.write_event(Detect(names=["phrase_1"]).event())
            await client.write_event(AudioStart(16_000, 2, 1).event())
            reading = asyncio.create_task(client.read_event())
            for start in range(0, len(pcm), 160):
                chunk = AudioChunk(16_000, 2, 1, pcm[start : start + 160].tobytes(), timestamp=50_000 + start // 16)
                await client.write_event(chunk.event())
            event = await reading
            assert event is not None
            found = Detection.from_event(event)
        assert found.name == "phrase_1" and found.timestamp == 50_000 + at - 10
        while service.clients:
            await asyncio.sleep(0.01)


@within(20)
async def test_the_end_without_a_detection_is_told_and_another_stream_may_follow() -> None:
    pcm = noise(6.0)
    quiet = np.zeros(16_000, dtype=np.int16)
    assert expected(quiet, ["phrase_1"]) == []
    async with server() as (_, port), AsyncTcpClient(HOST, port) as client:
        await client.write_event(Detect(names=["phrase_1"]).event())
        for _ in range(2):
            await say(client, quiet)
            event = await client.read_event()
            assert event is not None and NotDetected.is_type(event.type)
        for _ in range(2):
            await client.write_event(Detect(names=["phrase_0"]).event())
            await say(client, pcm)
            await client.write_event(Ping().event())
            found = [Detection.from_event(event) for event in await until_pong(client)]
            assert [(d.name, d.timestamp) for d in found] == expected(pcm, ["phrase_0"])


@pytest.mark.parametrize(
    ("rate", "width", "channels"), [(48_000, 4, 2), (44_100, 3, 1), (24_000, 2, 1), (16_000, 1, 1)]
)
def test_other_layouts_are_converted(rate: int, width: int, channels: int) -> None:
    """Against the sound converted here, by other code: detections may lie a frame or two apart."""
    sound = soxr.resample(noise(6.0).astype(np.float64) / 32768, 16_000, rate, quality="VHQ")
    both = np.stack([sound] if channels == 1 else [1.5 * sound, 0.5 * sound], axis=1)
    full = 2 ** (8 * width - 1)
    whole = np.clip(np.rint(both * full), -full, full - 1).astype(np.int64) + (128 if width == 1 else 0)
    audio = whole.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :width].tobytes()
    back = soxr.resample(whole.mean(axis=1) / full - (1 if width == 1 else 0), rate, 16_000, quality="VHQ")
    wanted = expected(np.clip(np.rint(back * 32768), -32768, 32767).astype(np.int16), ["phrase_0"])

    @within(20)
    async def run() -> None:
        size = rate // 10 * width * channels
        chunks = [audio[start : start + size] for start in range(0, len(audio), size)]
        asked = [AudioChunk(rate, width, channels, chunk).event() for chunk in chunks]
        async with server() as (_, port):
            answers = await ask(port, Detect(names=["phrase_0"]).event(), *asked, AudioStop().event())
        found = [Detection.from_event(event) for event in answers if Detection.is_type(event.type)]
        assert len(found) == len(wanted) > 2
        np.testing.assert_allclose([d.timestamp for d in found], [at for _, at in wanted], atol=50)

    run()


def at_the_end(detector: Detector, sound: np.ndarray, rate: int) -> np.ndarray:
    """Return a stretch of `sound` in which something is detected only in what the resampler holds back."""
    for start in range(0, len(sound) - rate, rate // 2):
        events = detector.fresh().process(Resampler(rate).process(sound[start:]))
        cut, resampler, heard = sound[start:][: round(events[0].time_s * rate)], Resampler(rate), detector.fresh()
        if not heard.process(resampler.process(cut)) and heard.process(resampler.finish()):
            return cut
    raise AssertionError("nothing is detected so late")


@within(20)
async def test_what_is_detected_at_the_very_end_has_the_time_base_of_the_rest() -> None:
    """A client that stamps its chunks gets its own stamps, also for what comes out at the stop."""
    rate = 48_000
    sound = soxr.resample(noise(20.0).astype(np.float64) / 32768, 16_000, rate)
    pcm = at_the_end(detectors()[0], np.round(np.clip(sound, -1, 1) * 32767).astype("<i2"), rate)
    chunks = [(first, pcm[first : first + rate // 10]) for first in range(0, len(pcm), rate // 10)]
    stamped = [AudioChunk(rate, 2, 1, part.tobytes(), timestamp=5_000_000 + first) for first, part in chunks]
    async with server() as (_, port):
        asked = [Detect(names=["phrase_0"]), *stamped, AudioStop()]
        answers = await ask(port, *(each.event() for each in asked))
    found = [Detection.from_event(event).timestamp for event in answers if Detection.is_type(event.type)]
    assert found == [stamped[-1].timestamp]


@within(60)
async def test_many_clients_at_once_each_hear_their_own() -> None:
    # Only what differs can be told apart.
    sounds = list({tuple(expected(sound)): sound for sound in (noise(4.0, seed=seed) for seed in range(60))}.values())
    sounds = sounds[:24]
    assert len(sounds) == 24
    async with server() as (service, port):
        found = await asyncio.gather(*(heard(port, sound, size=400 + index) for index, sound in enumerate(sounds)))
        assert [sorted(one) for one in found] == [expected(sound) for sound in sounds]
        while service.clients:
            await asyncio.sleep(0.01)


@within(20)
async def test_null_is_taken_for_no_data() -> None:
    async with server() as (_, port):
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(b'{"type": "ping", "data": null}\n')
        assert json.loads(await reader.readline())["type"] == "pong"
        writer.close()


@within(30)
async def test_clients_that_vanish_or_dawdle_do_not_disturb_the_others() -> None:
    pcm = noise(6.0)
    raw = json.dumps({"type": "audio-chunk", "payload_length": 60_000}).encode()
    async with server(SHORT) as (service, port):
        silent, half_header, half_chunk, dead = [await asyncio.open_connection(HOST, port) for _ in range(4)]
        half_header[1].write(raw[:20])
        half_chunk[1].write(raw + b"\n" + bytes(1000))
        async with AsyncTcpClient(HOST, port) as leaving:
            await say(leaving, pcm[:20_000], stop=False)
        dead[1].transport.abort()
        while service.clients > 3:
            await asyncio.sleep(0.01)
        service.limits = Limits()  # for those who connect from now on, however busy the machine is
        assert sorted(await heard(port, pcm)) == expected(pcm)
        for reader, writer in (silent, half_header, half_chunk):
            assert await reader.read() == b""
            writer.close()
        while service.clients:
            await asyncio.sleep(0.01)


@within(30)
async def test_who_does_not_read_is_cut_off() -> None:
    async with server(SHORT) as (service, port):
        reader, writer = await asyncio.open_connection(HOST, port, limit=1024)
        with pytest.raises(ConnectionError):
            while True:
                writer.write(b'{"type": "describe"}\n' * 1000)
                await writer.drain()
        while service.clients:
            await asyncio.sleep(0.01)
        del reader


@within(30)
async def test_too_many_clients_are_told_so() -> None:
    async with server(Limits(clients=2)) as (service, port):
        one, two = [await asyncio.open_connection(HOST, port) for _ in range(2)]
        while service.clients < 2:
            await asyncio.sleep(0.01)
        assert await refusal(port) == "2 clients are here already; try again later"
        one[1].close()
        while service.clients == 2:
            await asyncio.sleep(0.01)
        assert len(await ask(port, Describe().event())) == 1
        two[1].close()


GARBAGE = {
    "no JSON": (b"GET / HTTP/1.1\r\n\r\n", "no JSON"),
    "no UTF-8": (bytes(range(128, 256)) + b"\n", "no JSON"),
    "no object": (b"[1, 2]\n", "no JSON object with a type"),
    "no type": (b"{}\n", "no JSON object with a type"),
    "deep": (b"[" * 60_000 + b"\n", "no JSON"),
    "data": (b'{"type": "detect", "data": [1]}\n', "no JSON object"),
    "data that is no object": (b'{"type": "detect", "data_length": 1}\n5', "no JSON object"),
    "null and data": (b'{"type": "ping", "data": null, "data_length": 2}\n{}', "no JSON object"),
    "list and data": (b'{"type": "ping", "data": [], "data_length": 2}\n{}', "no JSON object"),
    "data that is no JSON": (b'{"type": "ping", "data_length": 3}\nabc', "no JSON object"),
    "data that is no UTF-8": (b'{"type": "ping", "data_length": 2}\n\xff\xfe', "no JSON object"),
    "half a letter": (b'{"type": "ping", "data": {"text": "\\ud800"}}\n', "UTF-8"),
    "long data": (b'{"type": "detect", "data_length": 100000000}\n', "data_length is 100000000"),
    "long payload": (b'{"type": "audio-chunk", "payload_length": 100000000}\n', "payload_length is 100000000"),
    "negative": (b'{"type": "audio-chunk", "payload_length": -1}\n', "payload_length is -1"),
    "fraction": (b'{"type": "audio-chunk", "payload_length": 1.5}\n', "payload_length is 1.5"),
    "text": (b'{"type": "audio-chunk", "data_length": "9"}\n', "data_length is '9'"),
    "no rate": (b'{"type": "audio-chunk", "data": {}}\n', "lacks 'rate'"),
    "unknown word": (b'{"type": "detect", "data": {"names": ["alexa"]}}\n', "no wake word 'alexa'; there is phrase_0"),
    "no list": (b'{"type": "detect", "data": {"names": "phrase_0"}}\n', "no list"),
    "no text": (b'{"type": "detect", "data": {"names": [{}]}}\n', "no wake word {}"),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_refused_with_a_reason(name: str, caplog: pytest.LogCaptureFixture) -> None:
    sent, reason = GARBAGE[name]

    @within(20)
    async def run() -> None:
        async with server() as (_, port):
            assert reason in await refusal(port, sent)
            assert sorted(await heard(port, noise(2.0))) == expected(noise(2.0))

    run()
    assert [record.levelname for record in caplog.records] == ["WARNING"] and reason in caplog.messages[0]


@pytest.mark.parametrize(
    ("layout", "size", "reason"),
    [
        ({"rate": 16_001, "width": 2, "channels": 1}, 2, "rate is 16001; it must be one of 8000"),
        ({"rate": "16000", "width": 2, "channels": 1}, 2, "rate is '16000'"),
        ({"rate": 16_000, "width": 8, "channels": 1}, 8, "width is 8"),
        ({"rate": 16_000, "width": 2, "channels": 0}, 2, "channels is 0"),
        ({"rate": 16_000, "width": 2, "channels": 9}, 18, "channels is 9"),
        ({"rate": 16_000, "width": 2, "channels": 1}, 3, "3 bytes holds no whole number of samples"),
    ],
)
def test_audio_that_cannot_be_converted_is_refused(layout: dict[str, Any], size: int, reason: str) -> None:
    @within(20)
    async def run() -> None:
        async with server() as (_, port):
            (answer,) = await ask(port, Event("audio-chunk", layout, bytes(size)))
            assert reason in Error.from_event(answer).text

    run()


@within(20)
async def test_another_layout_needs_another_start() -> None:
    chunks = [AudioChunk(rate, 2, 1, bytes(200)).event() for rate in (16_000, 48_000)]
    async with server() as (_, port):
        (answer,) = await ask(port, *chunks)
        assert "send audio-start" in Error.from_event(answer).text
        assert await ask(port, chunks[0], AudioStart(48_000, 2, 1).event(), chunks[1]) == []


@within(20)
async def test_unknown_events_are_passed_over() -> None:
    async with server() as (_, port):
        (event,) = await ask(port, Event("select-program", {"name": "x"}), Event("played"), Describe().event())
        assert Info.is_type(event.type)


@pytest.mark.parametrize(
    "opening", [b"", b'{"type": "detect", "data_length": 100000000}\n', b'{"type": "x", "payload_length": 100000000}\n']
)
def test_100_mb_do_not_fill_the_memory(opening: bytes) -> None:
    @within(30)
    async def run() -> None:
        block = b"x" * 100_000
        async with server() as (_, port):
            tracemalloc.start()
            try:
                await refusal(port, opening, *[block] * 1000)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            assert peak < 3_000_000  # the sender's buffers are among them
            assert sorted(await heard(port, noise(2.0))) == expected(noise(2.0))

    run()


@within(30)
async def test_a_flood_of_audio_waits_at_the_sender() -> None:
    """A client that sends much faster than its audio can be heard: the server holds no more than a chunk or two."""
    async with server() as (_, port), AsyncTcpClient(HOST, port) as client:
        reading = asyncio.create_task(until_pong(client))
        tracemalloc.start()
        try:
            await say(client, np.zeros(16_000 * 120, dtype=np.int16), size=16_000 * 10)
            await client.write_event(Ping().event())
            await reading
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 8_000_000  # 120 s are 3.8 MB as sent, and would be 7.7 MB more as float


@within(20)
async def test_stopping_lets_go_of_everybody() -> None:
    service = Service(detectors())
    async with serving(service, HOST, 0) as port:
        reader, writer = await asyncio.open_connection(HOST, port)
        while not service.clients:
            await asyncio.sleep(0.01)
    assert service.clients == 0 and await reader.read() == b""
    writer.close()
    with pytest.raises(ConnectionError):
        await asyncio.open_connection(HOST, port)


def test_the_command_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(with_policy(trained()))
    program = "import sys; from wakeword.runtime.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "serve", "--model", str(model), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(Path(wakeword.__file__).parents[1])}
    for number in (signal.SIGTERM, signal.SIGINT):
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stderr is not None
                line = process.stderr.readline()
                port = int(line.rsplit(":", 1)[1])
                (event,) = asyncio.run(asyncio.wait_for(ask(port, Describe().event()), 20))
                assert Info.from_event(event).wake[0].models[0].name == "phrase_0"
                process.send_signal(number)
                assert process.wait(20) == 0 and process.stderr.read() == ""
            finally:
                process.kill()


def test_what_cannot_be_served_is_said_in_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(with_policy(trained()))
    with socket.create_server((HOST, 0)) as taken:
        for arguments, reason in (
            (["--port", str(taken.getsockname()[1])], "address already in use"),
            (["--port", "70000"], "port is 70000"),
            (["--clients", "0"], "clients is 0"),
        ):
            assert main(["serve", "--model", str(model), *arguments]) == 1
            out, err = capsys.readouterr()
            assert out == "" and reason in err and len(err.splitlines()) == 1
    for name in [name for name in sys.modules if name.split(".")[0] == "wyoming" or name.endswith("wyoming_server")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "wyoming", None)
    assert main(["serve"]) == 1
    assert "pip install 'wakeword[serve]'" in capsys.readouterr().err


def test_limits_and_ports_are_checked() -> None:
    with pytest.raises(ValueError, match="clients is 0"):
        Limits(clients=0)

    @within(5)
    async def run() -> None:
        async with serving(Service(detectors()), HOST, 70_000):
            pass

    with pytest.raises(ValueError, match="port is 70000"):
        run()
