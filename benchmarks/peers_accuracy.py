"""Our file and the peers that know its phrase, on the same test streams: `make peers-accuracy`.

Misses and false alarms are counted by the very functions of the evaluate stage: what is a hit, which hours count, how
intervals are made. Every engine's events keep our refractory time. Where an engine gives scores, its threshold is
swept exactly; Porcupine tells only when it fires, so it hears the streams once for each sensitivity.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import ONE_THREAD, PEERS_PYTHON, ROOT, versions
from wakeword import workers
from wakeword.base.params import Phrases, Section, load
from wakeword.detection.policy import Policy, detect
from wakeword.evaluation.config import EvaluateConfig
from wakeword.evaluation.judging import distinct_keywords, pooled_interval, scored_streams
from wakeword.evaluation.metrics import DetCurve, ScoredStream, Tally, det_curve, frr_at_fah, tally
from wakeword.evaluation.plots import DetLine, DetPoint, plot_det
from wakeword.evaluation.scoring import score_audio
from wakeword.evaluation.summary import rates
from wakeword.features.frontend import HOP
from wakeword.features.store import Stream, StreamSet
from wakeword.runtime.scorer import Scorer

RESULTS = ROOT / "benchmarks" / "results"
MODEL, FEATURES = Path("models/wakeword.onnx"), Path("data/npy")
SENSITIVITIES = 11
PORCUPINE_SENSITIVITY = OPENWAKEWORD_THRESHOLD = 0.5  # their own defaults
NO_FAH = 1e-6  # stands for none at all, which `frr_at_fah` refuses to judge hours by
Times = list[list[float]]


class Params(Section):
    phrases: Phrases
    evaluate: EvaluateConfig = EvaluateConfig()


@dataclass(frozen=True)
class Contestant:
    """An engine that has heard the streams.

    Attributes:
        name: for the table.
        threshold: at its own operating point; for Porcupine, 1 - sensitivity.
        curve: its DET curve on the streams.
        events: for a threshold, the seconds of each stream at which it fires.
    """

    name: str
    threshold: float
    curve: DetCurve
    events: Callable[[float], Times]


def slug(phrase: str) -> str:
    """Return the phrase as the name of a file."""
    return "".join(letter if letter.isalnum() else "_" for letter in phrase.lower())


def listened(**asked: Any) -> Any:
    """Return what `benchmarks.peers_listen.answer` gives in the peers' interpreter."""
    command = [str(PEERS_PYTHON), "-P", str(ROOT / "benchmarks" / "peers_listen.py")]
    ran = subprocess.run(command, input=json.dumps(asked), env=ONE_THREAD, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"{asked.get('engine', 'asking the peers')} failed:\n{ran.stderr}")
    return json.loads(ran.stdout.splitlines()[-1])


def spans(test: StreamSet) -> list[tuple[int, int]]:
    """Return the first sample and the end of each stream in the file that holds them all."""
    return [(stream.first_frame * HOP, (stream.first_frame + stream.frames) * HOP) for stream in test.streams]


def refractory(times: Sequence[float], refractory_ms: int) -> list[float]:
    """Return the events that come no sooner after the last one kept than the refractory time."""
    kept: list[float] = []
    for time in times:
        if not kept or time - kept[-1] >= refractory_ms / 1000 - 1e-9:
            kept.append(time)
    return kept


def truth(streams: Sequence[Stream], phrase: int) -> list[ScoredStream]:
    """Return what is said in each stream, without a score."""
    return scored_streams(streams, [np.zeros((0, phrase + 1), dtype=np.float32)] * len(streams), phrase)


def counted(said: Sequence[ScoredStream], times: Times, tolerance_ms: int) -> Tally:
    """Return what the events of some streams amount to."""
    total = Tally()
    for pair, each in zip(said, times, strict=True):
        total += tally(each, pair.keywords, pair.seconds, tolerance_ms)
    return total


def swept(name: str, pairs: list[ScoredStream], policy: Policy, shift_ms: float, config: EvaluateConfig) -> Contestant:
    """Return an engine that gives scores, `shift_ms` apart; all of `policy` but its threshold is kept."""

    def events(threshold: float) -> Times:
        release = threshold * policy.release / policy.threshold
        shape = Policy.from_dict(asdict(policy) | {"threshold": threshold, "release": release})
        return [[event.time_s for event in detect(pair.scores, shape, shift_ms)] for pair in pairs]

    curve = det_curve(pairs, policy, shift_ms, config.tolerance_ms, config.max_fah)
    return Contestant(name, policy.threshold, curve, events)


def ours(model: Path, test: StreamSet, index: int, phrase: str, config: EvaluateConfig) -> Contestant:
    """Return our file at the operating point that it carries."""
    info = Scorer(model).info
    audio = (np.array(test.audio(stream)) for stream in test.streams)
    scores = list(score_audio(model.read_bytes(), audio, workers.count(None)))
    pairs = scored_streams(test.streams, scores, index)
    return swept("wakeword", pairs, info.policies[phrase], info.frame_shift_ms, config)


def porcupine(test: StreamSet, index: int, phrase: str, audio: Path, count: int, config: EvaluateConfig) -> Contestant:
    """Return Porcupine, which has heard the streams at `count` sensitivities from 0 to 1."""
    thresholds = [float(round(value, 6)) for value in np.linspace(1.0, 0.0, count)]

    def hear(threshold: float) -> Times:
        asked = {"engine": "porcupine", "phrase": phrase, "model": "", "sensitivity": 1 - threshold}
        found = listened(what="streams", audio=str(audio), spans=spans(test), **asked)
        return [refractory(times, config.refractory_ms) for times in found]

    with ThreadPoolExecutor(workers.count(None)) as pool:
        heard = dict(zip(thresholds, pool.map(hear, thresholds), strict=True))
    said = truth(test.streams, index)
    tallies = [counted(said, heard[threshold], config.tolerance_ms) for threshold in thresholds]
    own = min(thresholds, key=lambda threshold: abs(threshold - (1 - PORCUPINE_SENSITIVITY)))
    return Contestant(f"pvporcupine {versions()['pvporcupine']}", own, stepped(thresholds, tallies), heard.__getitem__)


def stepped(thresholds: Sequence[float], tallies: Sequence[Tally]) -> DetCurve:
    """Return the DET curve of an engine that was run at some thresholds, given from high to low."""
    misses = np.array([each.misses for each in tallies])
    alarms = np.array([each.false_alarms for each in tallies])
    keywords, hours = tallies[0].keywords, tallies[0].hours
    highest = float(max(alarms.max() / hours, 1000.0))
    rates = (misses / keywords, alarms / hours)
    return DetCurve(np.array(thresholds), *rates, misses, alarms, 0.0, keywords, hours, highest)


def scored_peer(
    engine: str, model: str, test: StreamSet, index: int, phrase: str, audio: Path, config: EvaluateConfig
) -> Contestant:
    """Return openWakeWord or microWakeWord with its own model of the phrase, or with ours where `model` names one."""
    asked = {"engine": engine, "phrase": phrase, "model": model, "sensitivity": 0.0}
    columns = listened(what="streams", audio=str(audio), spans=spans(test), **asked)
    said = zip(truth(test.streams, index), columns, strict=True)
    pairs = [pair._replace(scores=np.array(column, dtype=np.float32)) for pair, column in said]
    shape, shift_ms = {"threshold": OPENWAKEWORD_THRESHOLD, "smoothing": 1}, 80.0
    if engine == "microwakeword":
        shape = listened(what="policy", phrase=phrase, model=model)
        shift_ms = float(shape["shift_ms"])
    threshold = float(shape["threshold"])
    policy = Policy(
        threshold,
        threshold * config.release_ratio,
        int(shape["smoothing"]),
        refractory_ms=config.refractory_ms,
    )
    package = {"openwakeword": "openwakeword", "microwakeword": "pymicro-wakeword"}[engine]
    name = f"{package} {versions()[package]}" + (f" with {Path(model).name}" if model else "")
    return swept(name, pairs, policy, shift_ms, config)


def figures(test: StreamSet, index: int, times: Times, tolerance_ms: int) -> dict[str, Any]:
    """Return an engine's figures over all streams and under each condition, as `judging.report_policy` has them."""
    said = list(zip(test.streams, truth(test.streams, index), times, strict=True))
    overall = counted([pair for _, pair, _ in said], times, tolerance_ms).figures()
    distinct = distinct_keywords(test.streams, index)
    conditions = {}
    for name in sorted({stream.condition for stream in test.streams}):
        chosen = [(pair, each) for stream, pair, each in said if stream.condition == name]
        conditions[name] = counted([pair for pair, _ in chosen], [each for _, each in chosen], tolerance_ms).figures()
    pooled = {"frr_interval": pooled_interval(overall["frr"], distinct), "distinct_keywords": distinct}
    return {**overall, **pooled, "conditions": conditions}


def report(one: Contestant, mine: Contestant, test: StreamSet, index: int, config: EvaluateConfig) -> dict[str, Any]:
    """Return what is told of an engine: at its own operating point, at each `report_fah`, and ours at no more FAH."""
    own = figures(test, index, one.events(one.threshold), config.tolerance_ms)
    at_fah = {}
    for fah in config.report_fah:
        best = frr_at_fah(one.curve, fah)
        at_fah[f"{fah:g}"] = {
            "statement": best.statement,
            "threshold": best.threshold,
            **figures(test, index, _events(one, best.threshold, len(test.streams)), config.tolerance_ms),
        }
    equal = frr_at_fah(mine.curve, min(max(own["fah"], NO_FAH), mine.curve.max_fah))
    there = figures(test, index, _events(mine, equal.threshold, len(test.streams)), config.tolerance_ms)
    return {"engine": one.name, "threshold": one.threshold, "own": own, "at_fah": at_fah, "ours_at_its_fah": there}


def _events(one: Contestant, threshold: float | None, streams: int) -> Times:
    return [[] for _ in range(streams)] if threshold is None else one.events(threshold)


def draw(path: Path, phrase: str, told: Sequence[dict[str, Any]], heard: Sequence[Contestant]) -> None:
    """Draw the DET curve and the operating point of every engine."""
    lines = [DetLine(one.name, one.curve.fah, one.curve.frr, one.curve.keywords, one.curve.hours) for one in heard]
    points = [
        DetPoint(row["engine"], *(row["own"][name] for name in ("fah", "fah_interval", "frr", "frr_interval")))
        for row in told
    ]
    plot_det(path, f"“{phrase}”: the same test streams through every engine", lines, points)


def contest(phrase: str, index: int, options: argparse.Namespace, config: EvaluateConfig) -> None:
    """Run every engine that knows a phrase, and write `peers_accuracy_PHRASE.json` and `.png`."""
    test, audio = StreamSet.open(FEATURES, "test"), (FEATURES / "test.audio.npy").resolve()
    vocabulary = listened(what="phrases")
    known = {name for name, phrases in vocabulary.items() if phrase in phrases}
    peers = []
    if "porcupine" in known:
        peers.append(partial(porcupine, test, index, phrase, audio, options.sensitivities, config))
    for engine in ("openwakeword", "microwakeword"):
        own = [""] if engine in known else []
        ours_for_it = [str(path.resolve()) for path in getattr(options, engine) if path.stem == slug(phrase)]
        peers += [
            partial(scored_peer, engine, model, test, index, phrase, audio, config) for model in own + ours_for_it
        ]
    if not peers:
        lists = "\n".join(f"{name} knows {', '.join(phrases)}" for name, phrases in vocabulary.items())
        raise SystemExit(f"no peer knows '{phrase}'; make a model for one (docs/interchange.md) and name it\n{lists}")
    mine = ours(options.model, test, index, phrase, config)
    heard = [mine, *(peer() for peer in peers)]
    told = [report(one, mine, test, index, config) for one in heard]
    lengths = {segment.clip: segment.end_s - segment.start_s for stream in test.streams for segment in stream.segments}
    result = {
        "phrase": phrase,
        "fingerprints": Scorer(options.model).info.fingerprints,
        "distinct_hours": sum(lengths.values()) / 3600,
        "sensitivities": options.sensitivities if "porcupine" in known else None,
        "engines": told,
    }
    path = options.results / f"peers_accuracy_{slug(phrase)}.json"
    path.write_text(json.dumps(result, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    draw(path.with_suffix(".png"), phrase, told, heard)
    for row in told:
        print(row["engine"], *(f"{name.upper()} {value}" for name, value in rates(row["own"]).items()), sep="; ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--openwakeword", type=Path, nargs="*", default=[], help="our models for it, PHRASE.onnx")
    parser.add_argument("--microwakeword", type=Path, nargs="*", default=[], help="our models for it, PHRASE.json")
    parser.add_argument("--sensitivities", type=int, default=SENSITIVITIES, help="how many Porcupine is tried at")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the figures and the picture")
    options = parser.parse_args()
    if options.sensitivities % 2 == 0:
        parser.error("--sensitivities must be odd, so that pvporcupine's own, 0.5, is among them")
    params = load(Params)
    told = Scorer(options.model).info.phrases
    if list(told) != params.phrases:
        sys.exit(f"{options.model} knows {list(told)}, but the test streams are of {params.phrases}")
    stems = [slug(phrase) for phrase in params.phrases]
    if strangers := [path for path in [*options.openwakeword, *options.microwakeword] if path.stem not in stems]:
        names = " or ".join(stem + strangers[0].suffix for stem in stems)
        sys.exit(f"{strangers[0]} is of no phrase in params.yaml; name it {names}")
    for index, phrase in enumerate(params.phrases):
        contest(phrase, index, options, params.evaluate)


if __name__ == "__main__":
    main()
