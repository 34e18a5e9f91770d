"""Stage 1: gather every source into the corpus: `python stages/ingest.py`."""

from pathlib import Path

from wakeword import workers
from wakeword.base.params import Language, Phrases, Section, Seed, load
from wakeword.base.stage import main
from wakeword.runtime_config import RuntimeConfig
from wakeword.sources.config import IngestConfig
from wakeword.sources.ingest import ingest


class Params(Section):
    phrases: Phrases
    language: Language = "en"
    seed: Seed
    ingest: IngestConfig = IngestConfig()
    runtime: RuntimeConfig = RuntimeConfig()


def run() -> None:
    params = load(Params)
    ingest(
        params.ingest,
        phrases=params.phrases,
        language=params.language,
        seed=params.seed,
        workers=workers.count(params.runtime.workers),
        corpus=Path("data/corpus"),
        report=Path("data/reports/ingest"),
        voices=Path("data/voices"),
        downloads=Path(params.runtime.downloads),
    )


if __name__ == "__main__":
    main("ingest", run)
