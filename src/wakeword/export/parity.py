"""The gate that an exported file must pass: the same scores as in training however audio arrives, and the budget."""

import math
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from wakeword.base.errors import UserError
from wakeword.export.config import Budget, ExportConfig
from wakeword.features.frontend import log_mel
from wakeword.models.checkpoint import TrainedModel
from wakeword.models.network import score_stream
from wakeword.runtime.scorer import Scorer

CHUNK_S = 0.08
_LARGEST_CHUNK = 9600


class Recording(NamedTuple):
    """A clip or stream to compare on: its name for messages, and its samples, `(samples,)` int16."""

    name: str
    pcm: np.ndarray


class Counts(NamedTuple):
    """What a detector did on streams, for one phrase."""

    misses: int
    keywords: int
    false_alarms: int
    hours: float


def trained_scores(model: TrainedModel, pcm: np.ndarray) -> np.ndarray:
    """Score a recording, `(samples,)` int16, with training's own code; returns `(frames, phrases)` float32."""
    return score_stream(model.network, log_mel(pcm, model.frontend)).numpy()


def score_in_chunks(scorer: Scorer, pcm: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Score a recording that arrives in chunks of random sizes, from one sample to 0.6 s."""
    stream = scorer.fresh()
    parts, first = [np.zeros((0, len(scorer.info.phrases)), dtype=np.float32)], 0
    while first < len(pcm):
        size = int(rng.integers(1, _LARGEST_CHUNK + 1))
        parts.append(stream.score(pcm[first : first + size]))
        first += size
    return np.concatenate(parts)


def compare(
    model: TrainedModel, scorer: Scorer, recordings: Iterable[Recording], limit: float, seed: int
) -> Iterator[tuple[np.ndarray, float]]:
    """Compare the exported file's scores with training's, on whole recordings and in random chunks.

    Args:
        limit: largest difference allowed.
        seed: of the chunk sizes.

    Yields:
        For each recording the exported file's scores, `(frames, phrases)`, and the largest difference.

    Raises:
        UserError: a difference exceeds `limit`, or the numbers of scores differ; the message names the recording.
    """
    torch.set_num_threads(1)  # faster on clips of seconds, and the report can't depend on the number of cores
    for index, (name, pcm) in enumerate(recordings):
        expected = trained_scores(model, pcm)
        whole = scorer.fresh().score(pcm)
        chunked = score_in_chunks(scorer, pcm, np.random.default_rng([seed, index]))
        largest = 0.0
        for how, scores in (("as a whole", whole), ("in random chunks", chunked)):
            if scores.shape != expected.shape:
                raise UserError(
                    f"the exported file gives {len(scores)} scores for {name} {how}, training's code {len(expected)}; "
                    "this is a defect of the exporter: report it"
                )
            difference = np.abs(scores - expected).max(axis=1, initial=0.0)
            # Written so that NaN fails too.
            if not np.all(difference <= limit):
                frame = int(np.argmax(np.nan_to_num(difference, nan=math.inf)))
                seconds = (frame + 1) * scorer.info.frame_shift_ms / 1000
                raise UserError(
                    f"the exported file differs from the trained model on {name} {how}: by {difference[frame]:.2g} at "
                    f"{seconds:.2f} s, where export.max_difference allows {limit:g}; this is a defect of the exporter "
                    "unless that limit is far below 1e-4"
                )
            largest = max(largest, float(difference.max(initial=0.0)))
        yield whole, largest


def check_evaluated(phrase: str, evaluated: Counts, fp32: Counts) -> None:
    """Refuse a file of another network than the one whose operating point was chosen and whose figures were reported.

    Raises:
        UserError: it misses or fires at another number of things; the message has both.
    """
    if fp32[:3] != evaluated[:3]:
        raise UserError(
            f"the file misses {fp32.misses} of {fp32.keywords} '{phrase}' on the test streams and fires "
            f"{fp32.false_alarms} times by mistake, what was evaluated {evaluated.misses} of {evaluated.keywords} and "
            f"{evaluated.false_alarms}: the network, or what it is tested on, has changed; run `dvc repro evaluate`"
        )


def check_counts(phrase: str, fp32: Counts, int8: Counts, config: ExportConfig) -> None:
    """Refuse a quantized file that detects worse than the bounds allow.

    Raises:
        UserError: FRR or FAH is out of bounds; the message says by how much.
    """
    more_misses = int8.misses - fp32.misses
    allowed = max(1.0, config.int8_frr_points / 100 * fp32.keywords)
    remedy = "train longer, or allow more"
    if more_misses > allowed:
        raise UserError(
            f"the int8 file misses {int8.misses} of {int8.keywords} '{phrase}' on the test streams, the fp32 file "
            f"{fp32.misses}: export.int8_frr_points allows {allowed:.3g} more; {remedy}"
        )
    more_alarms = int8.false_alarms - fp32.false_alarms
    allowed = max(1.0, config.int8_fah * fp32.hours)
    if more_alarms > allowed:
        raise UserError(
            f"the int8 file gives {int8.false_alarms} false alarms of '{phrase}' in {int8.hours:.3g} h of test "
            f"streams, the fp32 file {fp32.false_alarms}: export.int8_fah allows {allowed:.3g} more; {remedy}"
        )


def check_size(name: str, content: bytes, key: str, budget: Budget) -> None:
    """Refuse a file that is larger than the budget's `key`.

    Raises:
        UserError: it is; the message names the file.
    """
    kilobytes, allowed = len(content) / 1000, getattr(budget, key)
    if kilobytes > allowed:
        raise UserError(
            f"{name} has {kilobytes:.1f} kB, export.budget.{key} allows {allowed:g}; use a smaller model or allow more"
        )


def cpu_cost(scorer: Scorer, seconds: float = 4.0, repeats: int = 5) -> float:
    """Return CPU seconds for each second of audio in chunks of 80 ms: the least of some repeats, to keep noise out."""
    rate = scorer.info.sample_rate
    size = round(CHUNK_S * rate)
    chunk = (np.random.default_rng(0).standard_normal(size) * 1000).astype(np.int16)
    chunks = round(seconds / CHUNK_S)
    stream = scorer.fresh()
    stream.score(chunk)
    costs = []
    for _ in range(repeats):
        started = time.process_time()
        for _ in range(chunks):
            stream.score(chunk)
        costs.append((time.process_time() - started) / (chunks * CHUNK_S))
    return min(costs)


def check_cost(name: str, cost: float, budget: Budget) -> None:
    """Refuse a file that is slower than the budget.

    Raises:
        UserError: it is; the message names the file.
    """
    if cost > budget.cpu_s_per_s:
        raise UserError(
            f"{name} takes {cost:.4f} CPU seconds for a second of audio, export.budget.cpu_s_per_s allows "
            f"{budget.cpu_s_per_s:g}; use a smaller model, a machine with less else to do, or allow more"
        )
