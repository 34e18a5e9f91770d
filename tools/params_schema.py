"""The whole of `params.yaml` as one schema, for editors and for a check before anything runs.

`python tools/params_schema.py --write` regenerates `params.schema.json`; without it, `params.yaml` is checked.
No stage imports this: a stage depends on its own sections only.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from wakeword.base.errors import UserError
from wakeword.base.params import PARAMS_FILE, SECTIONS, Language, Phrases, Section, Seed, load
from wakeword.evaluation.config import EvaluateConfig
from wakeword.export.config import ExportConfig
from wakeword.features.frontend import FrontendConfig
from wakeword.models.config import ModelConfig
from wakeword.runtime_config import RuntimeConfig
from wakeword.sources.config import IngestConfig
from wakeword.splitting.config import SplitConfig
from wakeword.streams.config import StreamsConfig
from wakeword.training.config import FindLrConfig, TrainConfig

SCHEMA_FILE = Path("params.schema.json")


class Params(Section):
    """Every section of params.yaml."""

    phrases: Phrases
    language: Language
    seed: Seed
    ingest: IngestConfig
    split: SplitConfig
    features: FrontendConfig
    streams: StreamsConfig
    model: ModelConfig
    find_lr: FindLrConfig
    train: TrainConfig
    evaluate: EvaluateConfig
    export: ExportConfig
    runtime: RuntimeConfig


def schema() -> dict[str, Any]:
    """Return the JSON Schema of params.yaml."""
    return Params.model_json_schema()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"regenerate {SCHEMA_FILE}")
    assert set(Params.model_fields) == set(SECTIONS)
    if parser.parse_args().write:
        SCHEMA_FILE.write_text(json.dumps(schema(), indent=2) + "\n")
        return
    try:
        load(Params, PARAMS_FILE)
    except UserError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
