"""A tiny set of training streams whose phrase is a rising tone, and what trains on it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from wakeword.features.cmvn import accumulate
from wakeword.features.frontend import FRAME_MS, FrontendConfig, log_mel
from wakeword.features.store import Segment, Stream, StreamSet, write
from wakeword.models.config import DsTcnConfig
from wakeword.models.network import Network, score_stream
from wakeword.training.config import BatchConfig, LossConfig, PhonemesConfig, SpecAugmentConfig, TrainConfig
from wakeword.training.loop import Judge
from wakeword.training.objective import Objective
from wakeword.training.phonemes import UtteranceSampler
from wakeword.training.sampler import WindowSampler

FRONTEND = FrontendConfig()
MODEL = DsTcnConfig(channels=8, dilations=[1, 2], stacks=2)
BATCHES = BatchConfig(size=8, window_s=1.6, spec_augment=SpecAugmentConfig())
LOSS = LossConfig()
PHONEMES = PhonemesConfig(utterances=4)
RATE = 16_000


class Cut(Exception):
    """Training is interrupted."""


def cut_after(epochs: int, judge: Judge) -> Judge:
    """Return a judge that judges so many epochs and raises `Cut` in the next."""
    judged = 0

    def cut(candidate: Network) -> dict[str, float]:
        nonlocal judged
        judged += 1
        if judged > epochs:
            raise Cut
        return judge(candidate)

    return cut


def tone(rng: np.random.Generator, rising: bool) -> np.ndarray:
    sweep = np.geomspace(400, 2000, int(0.4 * RATE)) if rising else np.geomspace(2000, 400, int(0.4 * RATE))
    return 0.2 * rng.uniform(0.5, 2.0) * np.sin(2 * np.pi * np.cumsum(sweep) / RATE)


def tells_tones_apart(streams: StreamSet, network: Network) -> bool:
    """Say whether a network scores every rising tone of the first stream higher than any falling one."""
    stream = streams.streams[0]
    scores = score_stream(network, streams.features(stream))[:, 0]
    peaks: dict[bool, list[float]] = {True: [], False: []}
    for segment in stream.segments:
        first, last = (int(at_s * 1000 / network.frame_shift_ms) for at_s in (segment.start_s, segment.end_s + 0.3))
        peaks[segment.phrase == 0].append(scores[first:last].max().item())
    return min(peaks[True]) > max(peaks[False])


@pytest.fixture(scope="session")
def streams(tmp_path_factory: pytest.TempPathFactory) -> StreamSet:
    """Ten streams of 20 s with a rising tone (the phrase) and a falling one (a hard negative) every few seconds."""
    rng = np.random.default_rng(0)
    rendered = []
    for number in range(10):
        sound = rng.standard_normal(20 * RATE) * 0.003
        segments = []
        for start in np.arange(1.0, 18.0, 2.0):
            start_s, rising = float(start + rng.uniform(0, 1)), bool(rng.random() < 0.5)
            first = int(start_s * RATE)
            sound[first : first + int(0.4 * RATE)] += tone(rng, rising)
            label = "positive" if rising else "negative"
            segments.append(
                Segment(
                    start_s,
                    start_s + 0.4,
                    label,
                    label,
                    "g",
                    f"{number}",
                    0 if rising else None,
                    True,
                    "low high" if rising else "high low",
                )
            )
        pcm = (np.clip(sound, -1, 1) * 32767).astype(np.int16)
        features = log_mel(pcm, FRONTEND)
        rendered.append((Stream(f"s{number}", "train", 0, len(features), segments), features, pcm))
    assert FRAME_MS == 10
    folder: Path = tmp_path_factory.mktemp("streams")
    return write(folder, "train", rendered, FRONTEND.fingerprint, FRONTEND.mels, 0.0)


@pytest.fixture
def network(streams: StreamSet, request: pytest.FixtureRequest) -> Network:
    """A network of stride 2, or of what a test asks for by indirect parametrization."""
    torch.manual_seed(3)
    config = MODEL.model_copy(update={"stride": getattr(request, "param", 2)})
    return Network(config, accumulate([streams.all_features], FRONTEND.fingerprint), FRONTEND.floor, phrases=1)


@pytest.fixture
def objective(streams: StreamSet, network: Network) -> Objective:
    sampler = WindowSampler(streams, 1, BATCHES, LOSS, network.receptive_field, network.stride, seed=1)
    return Objective(sampler, FRONTEND, BATCHES, LOSS, torch.device("cpu"), None)


def transcribing(
    streams: StreamSet,
    network: Network,
    parts: int = 1,
    batches: BatchConfig = BATCHES,
    phonemes: PhonemesConfig = PHONEMES,
) -> Objective:
    """Return an objective that transcribes the tones of utterances, too."""
    fields = network.receptive_field, network.stride
    return Objective(
        WindowSampler(streams, 1, batches, LOSS, *fields, seed=1),
        FRONTEND,
        batches,
        LOSS,
        torch.device("cpu"),
        None,
        utterances=UtteranceSampler(streams, phonemes, *fields, seed=1),
        accumulate=parts,
    )


@pytest.fixture
def config() -> TrainConfig:
    return TrainConfig(epochs=3, steps_per_epoch=20, threads=1, ema_decay=0.9, batches=BATCHES, loss=LOSS)
