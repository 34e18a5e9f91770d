"""Stage 2: deal the corpus out to train, dev and test: `python stages/split.py`."""

from pathlib import Path

from wakeword.base.params import Phrases, Section, Seed, load
from wakeword.base.stage import main
from wakeword.corpus.shards import Corpus
from wakeword.splitting.config import SplitConfig
from wakeword.splitting.deal import split


class Params(Section):
    phrases: Phrases
    seed: Seed
    split: SplitConfig = SplitConfig()


def run() -> None:
    params = load(Params)
    split(
        Corpus.open(Path("data/corpus")).clips,
        params.split,
        phrases=params.phrases,
        seed=params.seed,
        splits=Path("data/splits"),
        report=Path("data/reports/split"),
    )


if __name__ == "__main__":
    main("split", run)
