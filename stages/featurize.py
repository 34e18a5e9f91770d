"""Assemble the clips of each split into streams: their features, `data/npy/`, and some to hear, `data/samples/`."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from wakeword import workers
from wakeword.base import log
from wakeword.base.errors import UserError
from wakeword.base.files import replacing_folder, write_json
from wakeword.base.params import Phrases, Section, Seed, load
from wakeword.base.stage import main
from wakeword.corpus.manifest import Clip
from wakeword.corpus.shards import Corpus
from wakeword.corpus.splits import SPLITS, SplitName, read_splits
from wakeword.features.frontend import FrontendConfig
from wakeword.features.store import StreamSet, write
from wakeword.runtime_config import RuntimeConfig
from wakeword.streams.assembly import StreamPlan, plan_judged, plan_training, render_features, tasks
from wakeword.streams.config import StreamsConfig
from wakeword.streams.samples import write_samples

CORPUS, SPLIT, OUT, REPORT = Path("data/corpus"), Path("data/splits"), Path("data/npy"), Path("data/reports/featurize")
SAMPLES = Path("data/samples")
TRAIN_AUDIO_S = 600.0  # kept for the calibration of the quantized model; dev and test are kept whole


class Params(Section):
    phrases: Phrases
    seed: Seed
    features: FrontendConfig = FrontendConfig()
    streams: StreamsConfig = StreamsConfig()
    runtime: RuntimeConfig = RuntimeConfig()


def run() -> None:
    params = load(Params)
    corpus = Corpus.open(CORPUS)
    figures = {}
    with replacing_folder(OUT) as folder:
        for split in SPLITS:
            clips = clips_of(split, corpus, params.phrases)
            plans = plan(params, split, clips)
            streams = featurize(params, plans, split, folder)
            if split == "train":
                with replacing_folder(SAMPLES) as samples:
                    write_samples(samples, corpus, clips, plans, params.streams.augment)
            figures[split] = summary(streams)
            log.info(f"{split} done", **{key: figures[split][key] for key in ("hours", "streams", "keywords")})
    with replacing_folder(REPORT) as folder:
        write_json(folder / "metrics.json", {"frontend": params.features.fingerprint, "splits": figures})


def clips_of(split: SplitName, corpus: Corpus, phrases: list[str]) -> list[Clip]:
    """Return the clips of a split."""
    ids = set(read_splits(SPLIT)[split])
    clips = [clip for clip in corpus.clips if clip.id in ids]
    spoken = {clip.origin.phrase for clip in clips if clip.origin.phrase is not None}
    if foreign := sorted(spoken - set(phrases)):
        raise UserError(f"{CORPUS} holds the phrase '{foreign[0]}', which phrases does not; run `dvc repro ingest`")
    return clips


def plan(params: Params, split: SplitName, clips: list[Clip]) -> list[StreamPlan]:
    """Plan the streams of a split."""
    if split == "train":
        return plan_training(params.streams, clips, params.seed)
    return plan_judged(params.streams, split, clips, params.seed)


def featurize(params: Params, plans: list[StreamPlan], split: SplitName, folder: Path) -> StreamSet:
    """Render and write the streams of one split."""
    todo = tasks(plans, CORPUS, params.features, params.phrases)
    results = workers.ordered_map(render_features, todo, workers.count(params.runtime.workers))
    audio_s = TRAIN_AUDIO_S if split == "train" else np.inf
    shown = log.progress(results, len(plans), f"{split} streams")
    return write(folder, split, map(_whole, shown), params.features.fingerprint, params.features.mels, audio_s)


def _whole(result: Any) -> Any:
    if isinstance(result, workers.Crash):
        raise UserError(f"stream {result.item.plan.name}: {result.reason}; free some memory or lower runtime.workers")
    return result


def summary(streams: StreamSet) -> dict[str, Any]:
    """Count what a split's streams hold."""
    segments = [segment for stream in streams.streams for segment in stream.segments]
    return {
        "streams": len(streams.streams),
        "hours": sum(stream.seconds for stream in streams.streams) / 3600,
        "hours_by_condition": _hours_by_condition(streams),
        "keywords": sum(segment.phrase is not None for segment in segments),
        "distinct_keywords": len({segment.clip for segment in segments if segment.phrase is not None}),
        "clips_by_kind": dict(Counter(segment.kind for segment in segments)),
    }


def _hours_by_condition(streams: StreamSet) -> dict[str, float]:
    hours: Counter[str] = Counter()
    for stream in streams.streams:
        hours[stream.condition] += stream.seconds / 3600  # type: ignore[assignment]
    return dict(hours)


if __name__ == "__main__":
    main("featurize", run)
