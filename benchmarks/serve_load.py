"""What a house costs the server: `python -m benchmarks.serve_load`, about a minute, on this machine's loopback alone.

First a house full of rooms streams audio at its own pace while one more client asks for a pong: how long that takes is
how long anybody waits for anybody. Then as many strangers as are let in send what is worst, all at once.
"""

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
from wyoming.audio import AudioChunk, AudioStart
from wyoming.client import AsyncTcpClient
from wyoming.ping import Ping

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "serve_load.json"
HOST = "127.0.0.1"
ROOMS = 8
STRANGERS = 32
SECONDS = 20
CHUNK_S = 0.03


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "wakeword.onnx")
    program = "import sys; from wakeword.runtime.cli import main; sys.exit(main(sys.argv[1:]))"
    options = ["--model", str(parser.parse_args().model), "--port", "0", "--clients", str(STRANGERS)]
    command = [sys.executable, "-c", program, "serve", *options, "--idle-s", "10"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            found = re.search(r":(\d+)$", process.stderr.readline().strip())
            assert found, "the server did not start"
            # Its log must be read, or it would wait for us.
            with subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL):
                result = asyncio.run(measure(psutil.Process(process.pid), int(found[1])))
                process.terminate()
                process.wait(20)
        finally:
            process.kill()
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
    print(json.dumps(result, sort_keys=True))


async def measure(server: psutil.Process, port: int) -> dict[str, float]:
    peaks = [mib(server)]
    watching = asyncio.create_task(watch(server, peaks))
    empty = peaks[0]
    spent = cpu_s(server)
    *_, waits = await asyncio.gather(*(speak(port, index) for index in range(ROOMS)), ask(port))
    spent = cpu_s(server) - spent
    streaming, before = max(peaks), len(peaks)
    await asyncio.gather(*(attack(port, kind) for kind in range(STRANGERS)), return_exceptions=True)
    attacked = max(peaks[before:])
    watching.cancel()
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu_s_per_s_of_each_room": round(spent / SECONDS / ROOMS, 4),
        "rooms": ROOMS,
        "strangers": STRANGERS,
        "pong_ms_median": round(1000 * statistics.median(waits), 1),
        "pong_ms_p95": round(1000 * statistics.quantiles(waits, n=20)[-1], 1),
        "memory_mib_empty": round(empty),
        "memory_mib_streaming": round(streaming),
        "memory_mib_attacked": round(attacked),
    }


def mib(server: psutil.Process) -> float:
    return float(server.memory_info().rss / 2**20)


def cpu_s(server: psutil.Process) -> float:
    times = server.cpu_times()
    return float(times.user + times.system)


async def watch(server: psutil.Process, peaks: list[float]) -> None:
    while True:
        peaks.append(mib(server))
        await asyncio.sleep(0.05)


async def speak(port: int, index: int) -> None:
    """Stream noise at its own pace, as a microphone does, each client at its own moment."""
    samples = round(CHUNK_S * 16_000)
    rng = np.random.default_rng(index)
    started = time.monotonic() + CHUNK_S * index / ROOMS
    async with AsyncTcpClient(HOST, port) as client:
        await client.write_event(AudioStart(16_000, 2, 1).event())
        for count in range(round(SECONDS / CHUNK_S)):
            await asyncio.sleep(started + count * CHUNK_S - time.monotonic())
            pcm = rng.integers(-3000, 3000, samples).astype(np.int16)
            await client.write_event(AudioChunk(16_000, 2, 1, pcm.tobytes()).event())


async def ask(port: int) -> list[float]:
    """Return how long each of many pings waited for its pong, in seconds."""
    waits, ending = [], time.monotonic() + SECONDS
    async with AsyncTcpClient(HOST, port) as client:
        while time.monotonic() < ending:
            started = time.monotonic()
            await client.write_event(Ping().event())
            await client.read_event()
            waits.append(time.monotonic() - started)
            await asyncio.sleep(0.05)
    return waits


async def attack(port: int, kind: int) -> None:
    """Send 5 MB of one of the worst things, as far as the server takes it, and do not read."""
    data = b'{"a": [' + b"[]," * 21_000 + b"[]]}"
    chunk = b'{"type": "audio-chunk", "data": {"rate": 96000, "width": 4, "channels": 8}, "payload_length": 1048576}\n'
    pieces = [
        b"x" * 100_000,
        b'{"type": "x", "payload_length": 1048576}\n' + bytes(1_048_576),
        b'{"type": "detect", "data_length": %d}\n' % len(data) + data,
        chunk + bytes(1_048_576),
        b'{"type": "describe"}\n' * 5000,
    ]
    piece = pieces[kind % len(pieces)]
    _, writer = await asyncio.open_connection(HOST, port)
    with suppress(OSError):
        for _ in range(5_000_000 // len(piece)):
            writer.write(piece)
            async with asyncio.timeout(15):
                await writer.drain()
    writer.transport.abort()


if __name__ == "__main__":
    main()
