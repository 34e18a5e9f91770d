"""Mean and deviation of every mel band over all training features: `data/cmvn.json`."""

from pathlib import Path

from wakeword.base import log
from wakeword.base.stage import main
from wakeword.features import cmvn
from wakeword.features.store import StreamSet

FEATURES, OUT = Path("data/npy"), Path("data/cmvn.json")


def run() -> None:
    train = StreamSet.open(FEATURES, "train", audio=False)
    blocks = (train.features(stream) for stream in log.progress(train.streams, len(train.streams), "streams"))
    statistics = cmvn.accumulate(blocks, train.frontend)
    cmvn.save(OUT, statistics)
    log.info("computed", frames=statistics.frames, mean=round(float(statistics.mean.mean()), 3))


if __name__ == "__main__":
    main("compute-cmvn", run)
