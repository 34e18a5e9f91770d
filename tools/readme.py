"""Write the generated parts of README and docs/ from `metrics/`, `benchmarks/results/` and `dvc dag`: `make readme`.

Each part stands between `<!-- NAME -->` and `<!-- /NAME -->`.
"""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
Figures = dict[str, Any]


def read(path: Path) -> Figures:
    return json.loads(path.read_text())  # type: ignore[no-any-return]


def by_phrase(folder: Path) -> Figures:
    """Return what evaluate reported of each phrase that export names; it reports of all of them together too."""
    reported = read(folder / "evaluate.json")
    return {phrase: reported[phrase] for phrase in read(folder / "export.json")["phrases"]}


def runs() -> dict[str, Path]:
    """Return the name of each run that has figures, and the folder that holds them."""
    presets = sorted(path.parent for path in RESULTS.glob("*/evaluate.json"))
    return {"default": ROOT / "metrics"} | {folder.name: folder for folder in presets}


def rate(value: float | None, interval: list[float], as_percent: bool) -> str:
    """Format a rate with its interval."""
    if value is None:
        return "–"
    low, high = interval
    if as_percent:
        return f"{100 * value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def accuracy() -> str:
    """Return the table of misses and false alarms."""
    rows, notes = [], set()
    for name, folder in runs().items():
        for phrase, figures in by_phrase(folder).items():
            point = figures["operating_point"]["test"]
            half, one = figures["frr_at_fah"]["0.5"], figures["frr_at_fah"]["1"]
            notes |= {row["statement"] for row in (half, one)}
            for condition in ("all", *sorted(point["conditions"])):
                pooled = condition == "all"
                at = point if pooled else point["conditions"][condition]
                best = [row if pooled else row.get("conditions", {}).get(condition) for row in (half, one)]
                rows.append(
                    [
                        f"`{name}`, “{phrase}”" if pooled else "",
                        condition,
                        *(rate(row["frr"], row["frr_interval"], True) if row else "–" for row in best),
                        rate(at["frr"], at["frr_interval"], True),
                        rate(at["fah"], at["fah_interval"], False),
                        f"{at['distinct_keywords'] if pooled else at['keywords']}",
                        f"{at['hours']:.2f}",
                        f"{at['distinct_hours']:.2f}" if pooled else "",
                    ]
                )
    head = [
        "run",
        "condition",
        "FRR@FAH=0.5",
        "FRR@FAH=1",
        "FRR at the operating point",
        "FAH there",
        "keywords",
        "hours",
        "distinct",
    ]
    return table(head, rows) + "\n\n" + "\n".join(f"- {note}." for note in sorted(notes))


def similar() -> str:
    """Return a sentence on the words made up to sound like the default's phrase."""
    told = []
    for phrase, figures in by_phrase(ROOT / "metrics").items():
        row = figures["clips_fired"]["similar"]
        told.append(
            f"Words made up to sound like “{phrase}” lie in no stream, as nobody says them in a day: of {row['clips']} "
            f"in test {row['fired']} set `default` off, {rate(row['share'], row['share_interval'], True)}."
        )
    return " ".join(told)


def people() -> str:
    """Return the table of what each way to begin gives on recordings of people, as recorded."""
    ways = {
        "typed phrase alone": "people+people_typed",
        "typed phrase, every engine that packages give (`presets/voices.yaml`)": "people+voices+people_typed",
        "typed phrase and some 50 recordings of each": "people+people_50",
        "typed phrase and some 200 recordings of each": "people",
        "the same, and speech of Debian's packages (`presets/people_debian.yaml`)": "people+people_debian",
    }
    columns = [(phrase, fah) for phrase in by_phrase(RESULTS / "people") for fah in ("0.5", "1")]
    rows = []
    for way, name in ways.items():
        figures = by_phrase(RESULTS / name)
        clean = [figures[phrase]["frr_at_fah"][fah]["conditions"]["clean"] for phrase, fah in columns]
        rows.append([way, *(rate(row["frr"], row["frr_interval"], True) for row in clean)])
    return table(["trained on", *(f"“{phrase}”, FRR@FAH={fah}" for phrase, fah in columns)], rows)


def training_data() -> str:
    """Return the table of what each run was trained on, and what it cost."""
    rows = []
    for name, folder in runs().items():
        cost_file = RESULTS / name / "cost.json"
        cost = read(cost_file) if cost_file.exists() else {}
        export, train, featurize = (read(folder / f"{stage}.json") for stage in ("export", "train", "featurize"))
        ingest, evaluate = read(folder / "ingest.json"), by_phrase(folder)
        labels = ingest["label"]
        eer = ", ".join(
            f"{rate(clips['eer'], clips['intervals']['eer'], True)} ({clips['positives']} and {clips['negatives']})"
            for clips in (figures["clips"] for figures in evaluate.values())
        )
        rows.append(
            [
                f"`{name}`",
                ", ".join(f"{labels[label]['clips']} {label}" for label in labels),
                f"{featurize['splits']['train']['hours']:.1f}",
                f"{train['parameters']:,}",
                " / ".join(f"{size:.0f}" for _, size in sorted(export["size_kb"].items(), key=lambda item: -item[1])),
                eer,
                *(f"{cost.get(key, '–')}" for key in ("wall_s", "peak_memory_gib", "cores", "commit")),
            ]
        )
    head = [
        "run",
        "clips in the corpus",
        "training stream (h)",
        "parameters",
        "fp32 / int8 (kB)",
        "clip EER (phrase and other clips)",
        "wall (s)",
        "peak memory (GiB)",
        "cores",
        "commit",
    ]
    return table(head, rows)


def noop() -> str:
    """Return one sentence on `dvc repro` with nothing to do."""
    path = RESULTS / "noop.json"
    if not path.exists():
        return "not measured"
    cost = read(path)
    return (
        f"`dvc repro` with nothing to do: {cost['project_s']} s, a bare project of eight stages {cost['bare_s']} s, "
        f"ratio {cost['ratio']} (medians of {cost['rounds']} runs each in turn, {cost['cores']} cores; `make noop`)."
    )


def peers() -> str:
    """Return the table of what listening costs, and the sentence that says how it was measured."""
    path = RESULTS / "peers.json"
    if not path.exists():
        return "not measured"
    measured = read(path)
    packages = {"porcupine": "pvporcupine", "microwakeword": "pymicro-wakeword"}
    rows = []
    for cost in measured["engines"]:
        package = packages.get(cost["engine"], cost["engine"])
        release = measured["versions"].get(package)
        more = cost.get("above_onnxruntime_mib")
        rows.append(
            [
                f"{package} {release}" if release else f"**{package}**",
                f"{cost['chunk_ms']:.0f}",
                f"{cost['cpu_s_per_s']:.4f} [{cost['cpu_lowest']:.4f}, {cost['cpu_highest']:.4f}]",
                f"{cost['above_numpy_mib']:.0f}",
                f"{more:.0f}" if more else "–",
                f"{cost['start_s']:.2f}",
            ]
        )
    head = [
        "engine",
        "chunk (ms)",
        "CPU seconds per second of audio",
        "peak MiB above NumPy",
        "above NumPy and onnxruntime",
        "import to first score (s)",
    ]
    ours = measured["versions"]
    how = (
        f"One {measured['processor']} core, one thread, {measured['audio']}; medians of {measured['rounds']} rounds in "
        f"turn, in brackets the least and the most, beside other work (load average {measured['load_average']:.1f} on "
        f"{measured['cores']} cores); ours with onnxruntime {ours['onnxruntime']} and NumPy {ours['numpy']}; "
        "`make peers`."
    )
    return table(head, rows) + "\n\n" + how


def architectures() -> str:
    """Return the table of what each architecture costs."""
    measured = read(RESULTS / "architectures.json")
    rows = []
    for row in measured["architectures"]:
        changed = json.dumps({key: value for key, value in row["config"].items() if key != "name"})
        keys = changed.replace('"', "") if changed != "{}" else ""
        rows.append(
            [
                f"`{row['config']['name']}`",
                f"`{keys}`" if keys else "as it comes",
                str(row["parameters"]),
                f"{row['macs_per_s'] / 1e6:.2f}",
                str(row["frame_shift_ms"]),
                f"{row['receptive_field_ms'] / 1000:.2f}",
                f"{row['state_bytes'] / 1000:.1f}",
                f"{1000 * row['fp32_cpu_s_per_s']:.2f}",
                f"{1000 * row['int8_cpu_s_per_s']:.2f}",
                f"{row['fp32_kb']:.0f}",
                f"{row['int8_kb']:.0f}",
            ]
        )
    head = [
        "`model.name`",
        "other keys",
        "parameters",
        "million MACs a second",
        "a score every (ms)",
        "receptive field (s)",
        "state (kB)",
        "CPU ms a second, fp32",
        "int8",
        "file (kB), fp32",
        "int8",
    ]
    how = (
        f"One phrase, 40 mels. CPU time for a second of audio in chunks of 80 ms, front-end included: the least of "
        f"{measured['rounds']} rounds in turn on one {measured['processor']} core, beside other work (load average "
        f"{measured['load_average']:.1f} on {measured['cores']} cores), with onnxruntime "
        f"{measured['versions']['onnxruntime']}; `make architectures`."
    )
    return table(head, rows) + "\n\n" + how


def peers_accuracy() -> str:
    """Return a table and a picture of every phrase that was heard by our file and by peers on the same streams."""
    parts = [_one_contest(path) for path in sorted(RESULTS.glob("peers_accuracy_*.json"))]
    return "\n\n".join(parts) if parts else "Not measured; `make peers-accuracy` does it for the present test streams."


def _one_contest(path: Path) -> str:
    measured = read(path)
    rows = []
    for engine in measured["engines"]:
        for condition in ("all", *sorted(engine["own"]["conditions"])):
            pooled = condition == "all"

            def at(figures: Figures, name: str = condition, pooled: bool = pooled) -> Figures:
                return figures if pooled else figures["conditions"][name]

            own = at(engine["own"])
            shown = [at(engine["at_fah"][fah]) for fah in ("0.5", "1")]
            shown += [own, at(engine["ours_at_its_fah"])]
            frr = [rate(figures["frr"], figures["frr_interval"], True) for figures in shown]
            fah = rate(own["fah"], own["fah_interval"], False)
            mine = engine["engine"] == "wakeword"
            name = f"**{engine['engine']}**" if mine else engine["engine"]
            rows.append(
                [name if pooled else "", condition, *frr[:3], fah, "" if mine else frr[3], str(own["keywords"])]
            )
            rows[-1].append(f"{own['hours']:.2f}")
    head = ["engine", "condition", "FRR@FAH=0.5", "FRR@FAH=1", "FRR at its own operating point", "FAH there"]
    head += ["wakeword's FRR at no more FAH", "keywords", "hours"]
    phrase, prints = measured["phrase"], measured["fingerprints"]
    own = measured["engines"][0]["own"]
    tried = measured["sensitivities"]
    how = (
        f"“{phrase}”: {own['distinct_keywords']} distinct recordings and {measured['distinct_hours']:.2f} h of "
        f"distinct clips; the model is of data `{prints.get('data')}` and parameters `{prints.get('params')}`"
        + (f"; pvporcupine was run at {tried} sensitivities from 0 to 1" if tried else "")
        + "; `make peers-accuracy`."
    )
    picture = f"![DET curves of every engine](../benchmarks/results/{path.stem}.png)"
    return f"{table(head, rows)}\n\n{how}\n\n{picture}"


def dag() -> str:
    """Return the pipeline as DVC draws it."""
    drawn = subprocess.run(["dvc", "dag", "--mermaid"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return f"```mermaid\n{drawn.strip().expandtabs(2)}\n```"


PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {
        "people": people,
        "accuracy": accuracy,
        "similar": similar,
        "cost": training_data,
        "noop": noop,
        "dag": dag,
    },
    "docs/architectures.md": {"architectures": architectures},
    "docs/peers.md": {"peers-accuracy": peers_accuracy, "peers": peers},
}


def updated(page: str, text: str) -> str:
    """Return a page with its generated parts made anew."""
    for name, part in PARTS[page].items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        made = part().replace("\\", r"\\")
        text, count = re.subn(pattern, rf"\g<1>{made}\n\g<2>", text, flags=re.S)
        if count != 1:
            raise SystemExit(f"{page} must hold <!-- {name} --> and <!-- /{name} --> once")
    return text


def main() -> None:
    for page in PARTS:
        path = ROOT / page
        path.write_text(updated(page, path.read_text()))


if __name__ == "__main__":
    main()
