"""A model for openWakeWord: `make openwakeword`, after the pipeline's featurize.

openWakeWord hears through two fixed networks, so ours cannot be carried over: a small head is trained on what they make
of the same streams, and written as the ONNX file that its `wakeword_models` takes. The threshold is chosen on dev with
the package itself running that file, and the last bias moved so that it is 0.5, the engine's usual one. A file that
the package scores otherwise than it was trained to is refused.
"""

import argparse
import copy
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from benchmarks.peers import PEERS_PYTHON, versions
from benchmarks.peers_accuracy import listened, slug, spans
from scipy import special

from wakeword import workers
from wakeword.base import log
from wakeword.base.errors import UserError
from wakeword.base.files import fingerprint, hash_files, replacing, replacing_folder, write_bytes, write_json
from wakeword.base.params import Phrases, Section, Seed, load
from wakeword.base.stage import main as as_stage
from wakeword.detection.policy import Policy
from wakeword.evaluation import operating_point
from wakeword.evaluation.config import EvaluateConfig, Votes
from wakeword.evaluation.judging import scored_streams
from wakeword.evaluation.metrics import ScoredStream, det_curve, mean_recall, measure
from wakeword.evaluation.summary import rates
from wakeword.features.store import Stream, StreamSet
from wakeword.interchange.openwakeword import CHUNK, FRAMES, WARM_UP, Head, embeddings, head_file, score
from wakeword.interchange.streams import judged_streams, train_streams
from wakeword.runtime_config import RuntimeConfig
from wakeword.streams.config import StreamsConfig

CORPUS, SPLIT, FEATURES = Path("data/corpus"), Path("data/splits"), Path("data/npy")
CACHE, OUT = Path(".cache/openwakeword"), Path("models/openwakeword")
CHUNK_S = CHUNK / 16_000
THRESHOLD = 0.5
# Scores this long after the phrase's end must be high; those before that, from its start on, and after it may be.
FIRES_S, MAY_FIRE_S = (-0.05, 0.3), 0.5
ROUNDS, STEPS, BATCH, LR, WEIGHT_DECAY = 6, 400, 256, 2e-3, 1e-2
HARD_SHARE, SELECTION_FAH = 0.02, 2.0


class Params(Section):
    phrases: Phrases
    seed: Seed
    streams: StreamsConfig = StreamsConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    runtime: RuntimeConfig = RuntimeConfig()


class Heard(NamedTuple):
    """Streams of a split, and the embeddings of each, `(chunks, BANDS)`."""

    streams: list[Stream]
    embeddings: list[np.ndarray]


class Examples(NamedTuple):
    """All embeddings of a split end to end, `(rows, BANDS)`, and the rows at which a phrase must, or must not, fire."""

    rows: torch.Tensor
    positive: np.ndarray
    negative: np.ndarray


def run() -> None:
    params = load(Params)
    # Theirs compares single scores, and knows no votes.
    judging = params.evaluate.model_copy(update={"votes": [Votes()], "smoothing_frames": [1]})
    params = params.model_copy(update={"evaluate": judging})
    torch.set_num_threads(1)
    models = package_models()
    train, dev = heard(params, models, "train"), heard(params, models, "dev")
    with replacing_folder(OUT) as folder:
        for index, phrase in enumerate(params.phrases):
            head = trained(examples(train, index), dev, index, params)
            path = folder / f"{slug(phrase)}.onnx"
            write_bytes(path, head_file(head))
            report = checked(path, head, dev, phrase, index, params)
            write_bytes(path, head_file(centred(head, report["chosen_threshold"])))
            write_json(folder / f"{slug(phrase)}.report.json", report)


def package_models() -> Path:
    """Return the folder of the networks that every openWakeWord model stands on."""
    packages = sorted((PEERS_PYTHON.parents[1] / "lib").glob("python3*/site-packages/openwakeword/resources/models"))
    if not packages:
        raise UserError(f"openwakeword is not installed beside {PEERS_PYTHON}; run `make .cache/peers/installed`")
    return packages[0]


def heard(params: Params, models: Path, split: str) -> Heard:
    """Return a split's streams as openWakeWord's networks hear them; made once for the same streams."""
    made_of = hash_files([FEATURES / f"{split}.{kind}" for kind in ("json", "features.npy")])
    path = CACHE / f"{fingerprint([CHUNK, made_of])}.npz"
    streams = StreamSet.open(FEATURES, split).streams
    if not path.exists():
        count, hear = workers.count(params.runtime.workers), partial(embeddings, models)
        made = (
            train_streams(CORPUS, SPLIT, FEATURES, params.phrases, params.streams, params.seed, hear, count)
            if split == "train"
            else judged_streams(FEATURES, split, hear, count)
        )
        rows = [found.astype(np.float16) for _, found in log.progress(made, len(streams), f"{split} streams")]
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, *rows)
    with np.load(path) as stored:
        return Heard(streams, [stored[f"arr_{index}"] for index in range(len(streams))])


def examples(split: Heard, phrase: int) -> Examples:
    """Return what a head learns from; the start of a stream, of which their package makes something else, is left."""
    positive, negative, first = [], [], 0
    for stream, found in zip(split.streams, split.embeddings, strict=True):
        times = (np.arange(len(found)) + 1) * CHUNK_S
        fires, may = np.zeros(len(found), bool), np.arange(len(found)) < WARM_UP
        for keyword in stream.keywords(phrase):
            fires |= (times >= keyword.end_s + FIRES_S[0]) & (times <= keyword.end_s + FIRES_S[1]) & ~may
            may |= (times >= keyword.start_s) & (times <= keyword.end_s + MAY_FIRE_S)
        positive.append(first + np.flatnonzero(fires))
        negative.append(first + np.flatnonzero(~fires & ~may))
        first += len(found)
    rows = torch.from_numpy(np.concatenate(split.embeddings).astype(np.float32))
    result = Examples(rows, np.concatenate(positive), np.concatenate(negative))
    if not len(result.positive) or not len(result.negative):
        raise UserError("the training streams hold no phrase, or nothing else; lengthen streams.train_hours")
    return result


def windows(rows: torch.Tensor, ends: np.ndarray) -> torch.Tensor:
    """Return the embeddings up to each end, `(ends, FRAMES, BANDS)`."""
    return rows[torch.from_numpy(ends)[:, None] + torch.arange(1 - FRAMES, 1)]


def trained(given: Examples, dev: Heard, phrase: int, params: Params) -> Head:
    """Train a head: each round half of what is no phrase comes from what the last round took most for one.

    The round of the highest mean recall on dev is kept.
    """
    torch.manual_seed(params.seed)
    head = Head(given.rows.mean(dim=0).numpy(), given.rows.std(dim=0).clamp(min=1e-3).numpy())
    optimizer = torch.optim.AdamW(head.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, ROUNDS * STEPS)
    rng = np.random.default_rng([params.seed, 16])
    hard, best, kept = given.negative, -1.0, {}
    for number in range(1, ROUNDS + 1):
        head.train()
        for _ in range(STEPS):
            drawn = [rng.choice(pool, BATCH) for pool in (given.positive, given.negative, hard)]
            logits = head(windows(given.rows, np.concatenate(drawn)))
            wanted = (torch.arange(3 * BATCH) < BATCH).float()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        head.eval()
        found = recall(head, dev, phrase, params.evaluate)
        log.info(f"round {number}/{ROUNDS}", loss=round(loss.item(), 4), mean_recall=round(found, 4))
        if found >= best:
            best, kept = found, {name: value.clone() for name, value in head.state_dict().items()}
        mistaken = score(head, given.rows.numpy())[given.negative]
        hard = given.negative[np.argsort(-mistaken, kind="stable")[: max(BATCH, int(HARD_SHARE * len(mistaken)))]]
    head.load_state_dict(kept)
    return head


def paired(dev: Heard, scores: list[np.ndarray], phrase: int) -> list[ScoredStream]:
    """Pair scores with what is said; those of a stream's start are left out."""
    said = scored_streams(dev.streams, [np.zeros((0, phrase + 1))] * len(dev.streams), phrase)
    silent = (np.arange(max(map(len, dev.embeddings), default=0)) >= WARM_UP).astype(np.float32)
    return [
        pair._replace(scores=(each * silent[: len(each)]).astype(np.float32))
        for pair, each in zip(said, scores, strict=True)
    ]


def recall(head: Head, dev: Heard, phrase: int, config: EvaluateConfig) -> float:
    """Return the mean recall over 0 to 2 false alarms an hour on dev."""
    template = Policy(1.0, config.release_ratio, refractory_ms=config.refractory_ms)
    pairs = paired(dev, [score(head, found.astype(np.float32)) for found in dev.embeddings], phrase)
    return mean_recall(det_curve(pairs, template, 1000 * CHUNK_S, config.tolerance_ms, SELECTION_FAH), SELECTION_FAH)


def checked(path: Path, head: Head, dev: Heard, phrase: str, index: int, params: Params) -> dict[str, Any]:
    """Return the threshold for a file and, where that is moved to 0.5, its figures on dev by their package's scores.

    Raises:
        UserError: their package scores otherwise than the head does on the stored sound.
    """
    stored = StreamSet.open(FEATURES, "dev")
    asked = {"phrase": phrase, "model": str(path.resolve()), "sensitivity": 0.0, "spans": spans(stored)}
    audio = str((FEATURES / "dev.audio.npy").resolve())
    theirs = [np.array(column) for column in listened(what="streams", engine="openwakeword", audio=audio, **asked)]
    ours = [score(head, found.astype(np.float32)) for found in dev.embeddings]
    apart = np.concatenate([np.abs(one - two)[WARM_UP:] for one, two in zip(ours, theirs, strict=True)])
    allowed = 0.01  # what half precision of the stored embeddings may do
    if not apart.max(initial=0.0) <= allowed:
        raise UserError(
            f"openwakeword scores {path.name} otherwise than it was trained, by {apart.max():.3g} where {allowed:g} "
            "is allowed; report it, with the release that `make .cache/peers/installed` installed"
        )
    config, shift_ms = params.evaluate, 1000 * CHUNK_S
    point = operating_point.choose(phrase, paired(dev, theirs, index), config, shift_ms)
    moved = [moved_scores(scores, point.policy.threshold) for scores in theirs]
    policy = Policy(THRESHOLD, THRESHOLD * config.release_ratio, refractory_ms=config.refractory_ms)
    figures = measure(paired(dev, moved, index), policy, shift_ms, config.tolerance_ms).figures()
    log.info(f"'{phrase}' on dev through openwakeword", **rates(figures))
    return {
        "bytes": path.stat().st_size,
        "openwakeword": versions()["openwakeword"],
        "chosen_threshold": point.policy.threshold,
        "threshold": THRESHOLD,
        "dev": figures,
        "difference": float(f"{apart.max():.2g}"),
        "statement": point.statement,
    }


def centred(head: Head, threshold: float) -> Head:
    """Return a head that gives 0.5, openWakeWord's usual threshold, where this one gives `threshold`."""
    moved = copy.deepcopy(head)
    with torch.no_grad():
        moved.score.bias.sub_(float(special.logit(threshold)))
    return moved


def moved_scores(scores: np.ndarray, threshold: float) -> np.ndarray:
    """Return what `centred` makes of scores."""
    moved: np.ndarray = special.expit(special.logit(scores.astype(np.float64)) - special.logit(threshold))
    return moved


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    as_stage("openwakeword", run)
