"""Stage 2: deal the corpus out to train, dev and test: `python stages/split.py`."""

from pathlib import Path

from wakeword.corpus.config import SplitConfig
from wakeword.corpus.shards import Corpus
from wakeword.corpus.splitting import split
from wakeword.params import Phrases, Section, Seed, load
from wakeword.stage import main


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
