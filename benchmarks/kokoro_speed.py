"""What it saves to speak by products of matrices: `python -m benchmarks.kokoro_speed`.

Processor time of Kokoro's utterances with its network as it comes and as `wakeword.engines.integer_convolution` writes
it: medians of some rounds that take turns. Fails where the two differ in a sample.
"""

import json
import statistics
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np

from wakeword.engines import kokoro

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "kokoro_speed.json"
TEXTS = "hey computer", "compute her", "smart mirror", "yellow", "okay giraffe"
ROUNDS = 7


def main() -> None:
    with mock.patch.object(kokoro, "as_products", lambda content: content):
        networks = {"as_it_comes": kokoro._network.__wrapped__()}
    networks["products"] = kokoro._network.__wrapped__()
    voice = kokoro.Kokoro("af_heart", "en-us", 1.0, 0, ".", "0.1")
    spent: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(ROUNDS + 1):
        heard = []
        for name, network in networks.items():
            with mock.patch.object(kokoro, "_network", lambda network=network: network):
                started = time.process_time()
                said = [voice.say(text, "en").samples for text in TEXTS]
                spent[name].append((time.process_time() - started) / len(TEXTS))
            heard.append(np.concatenate(said))
        if not np.array_equal(*heard):
            sys.exit("products of matrices gave other samples")
    seconds = {name: statistics.median(costs[1:]) for name, costs in spent.items()}  # the first round warms up
    result = {
        **{f"{name}_s": round(cost, 3) for name, cost in seconds.items()},
        "ratio": round(
            statistics.median(b / a for a, b in zip(*(costs[1:] for costs in spent.values()), strict=True)), 2
        ),
        "audio_s": round(heard[0].size / kokoro.RATE / len(TEXTS), 2),
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
