"""`models/README.md`: what the model is, what it was trained on, how good it was measured to be, and its limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wakeword.evaluation.which_phrase import KEY

Report = Mapping[str, Any]


@dataclass(frozen=True)
class Card:
    """What a model card is written from.

    Attributes:
        phrases, language: of the model.
        parameters: how many numbers were trained.
        frame_shift_ms: audio for each score.
        receptive_field_ms: how much audio decides one score.
        sizes: bytes of each exported file, by name.
        licences: licences of the data.
        ingest, evaluate, export: what those stages reported.
        fingerprints: of the data and parameters, of teachers and their other data where there are any, and the commit
            of the code.
    """

    phrases: Sequence[str]
    language: str
    parameters: int
    frame_shift_ms: float
    receptive_field_ms: float
    sizes: Mapping[str, int]
    licences: Sequence[str]
    ingest: Report
    evaluate: Report
    export: Report
    fingerprints: Mapping[str, str]


def render(card: Card) -> str:
    """Return the model card as Markdown."""
    sections = [
        _head(card),
        _use(card),
        *(_figures(card, phrase) for phrase in card.phrases),
        *_which_phrase(card),
        _data(card),
        _limits(card),
    ]
    return "\n\n".join(sections) + "\n"


def licence_line(licences: Sequence[str]) -> str:
    """Return one line about the licences that bind the model, for the files' metadata."""
    return "trained on data under: " + "; ".join(licences)


def _head(card: Card) -> str:
    spoken = " and ".join(f"“{phrase}”" for phrase in card.phrases)
    files = "\n".join(f"- `{name}`: {size / 1000:.0f} kB" for name, size in sorted(card.sizes.items()))
    seconds = card.receptive_field_ms / 1000
    return f"""# Wake word {spoken}

Finds {spoken} (language: {card.language}) in 16 kHz mono audio. {card.parameters} trained parameters; a score every
{card.frame_shift_ms:g} ms, each decided by the last {seconds:.2f} s. The front-end is inside the files, and so is
the policy that turns scores into detections.

{files}{_agreement(card.export)}"""


def _agreement(export: Report) -> str:
    """Return what the gate found: how far the file's scores are from training's own."""
    compared = [
        f"{export[what]['compared']} {what} by {export[what]['largest_difference']:.0e}"
        for what in ("clips", "streams")
        if what in export
    ]
    if not compared:
        return ""
    told = " and ".join(compared)
    return f"\n\nScores differ from those of training's own code, whole or in random chunks, at most: on {told}."


def _use(card: Card) -> str:
    name = sorted(card.sizes)[-1]
    return f"""## How to run it

```python
from wakeword import Detector
detector = Detector("models/{name}")
for event in detector.process(chunk): print(event.phrase, event.time_s, event.score)
```

`chunk` is int16, or float with full scale at 1, of any length. On recordings:
`wakeword detect FILE... --model models/{name}`."""


def _figures(card: Card, phrase: str) -> str:
    report = card.evaluate[phrase]
    point = report["operating_point"]
    rows = [
        "| file | FRR (95 %) | missed | FAH (95 %) | false alarms | hours |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    rows.append(_row("fp32", point["test"]))
    if int8 := card.export["phrases"][phrase].get("int8"):
        rows.append(_row("int8", int8))
    best = ["| FAH at most | FRR (95 %) | FAH (95 %) | |", "| --- | --- | --- | --- |"]
    for row in sorted(report["frr_at_fah"].values(), key=lambda row: float(row["max_fah"])):
        frr, fah = _percent(row["frr"], row["frr_interval"]), _rate(row["fah"], row["fah_interval"])
        best.append(f"| {row['max_fah']:g} | {frr} | {fah} | {row['statement']} |")
    latency = point["test"]["latency_ms_median"]
    late = (
        f"A detection comes {latency:.0f} ms after the phrase's end in the median, within "
        f"{point['test']['latency_ms_p95']:.0f} ms in 95 % of cases."
        if latency is not None
        else "Nothing was detected, so there is no latency to report."
    )
    return "\n".join(
        [
            f"## How good it is: “{phrase}”",
            "",
            "On test streams that training never heard, at the operating point chosen on others "
            f"for at most {point['target_fah']:g} false alarms an hour ({point['statement']}):",
            "",
            *rows,
            "",
            late,
            "",
            "The best that any threshold reaches on the test streams:",
            "",
            *best,
        ]
    )


def _which_phrase(card: Card) -> list[str]:
    """Return how well the phrases are told apart, as a section; none of a single phrase."""
    if KEY not in card.evaluate:
        return []
    found = card.evaluate[KEY]
    rows = [("all", found), *((f"“{phrase}”", found["phrases"][phrase]) for phrase in card.phrases)]
    counted = {"speech": "speech without a phrase", "noise": "a second of noise"}
    rows += [(counted[kind], row) for kind, row in found["others"].items()]
    lines = [
        "## How well the phrases are told apart",
        "",
        "Test clips heard alone, each given to the phrase of its highest score, or to none if that is not above\n"
        f"{found['threshold']:.3g}, which dev clips chose. The policy in the files decides on streams, with thresholds "
        "of its own:",
        "",
        "| clips | right (95 %) | right | of |",
        "| --- | --- | --- | --- |",
    ]
    for name, row in rows:
        share = _percent(row["accuracy"], row["accuracy_interval"])
        lines.append(f"| {name} | {share} | {row['right']} | {row['clips']} |")
    return ["\n".join(lines)]


def _row(name: str, figures: Report) -> str:
    frr, fah = _percent(figures["frr"], figures["frr_interval"]), _rate(figures["fah"], figures["fah_interval"])
    missed = f"{figures['misses']} of {figures['keywords']}"
    return f"| {name} | {frr} | {missed} | {fah} | {figures['false_alarms']} | {figures['hours']:.2f} |"


def _percent(share: float | None, interval: Sequence[float] | None) -> str:
    if share is None or interval is None:
        return "no keyword"
    return f"{100 * share:.1f} % [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def _rate(rate: float | None, interval: Sequence[float] | None) -> str:
    if rate is None or interval is None:
        return "no hours"
    return f"{rate:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]"


def _data(card: Card) -> str:
    lines = ["## What it was trained and tested on", ""]
    for title, key in (("source", "source"), ("licence", "licence")):
        lines += [f"| {title} | label | clips | hours | groups | synthetic |", "| --- | --- | --- | --- | --- | --- |"]
        for name, labels in sorted(card.ingest[key].items()):
            for label, tally in sorted(labels.items()):
                lines.append(
                    f"| {_cell(name)} | {label} | {tally['clips']} | {tally['hours']:.2f} | {tally['groups']} "
                    f"| {tally['synthetic_clips']} |"
                )
        lines.append("")
    prints = ", ".join(f"{name} `{value}`" for name, value in sorted(card.fingerprints.items()))
    lines.append(f"Fingerprints: {prints or 'none'}.")
    return "\n".join(lines)


def _limits(card: Card) -> str:
    limits = [
        "The figures hold for streams made like the test streams; your room, microphone and voices will differ.",
        "It is no lock: anybody who says the phrase, and any recording of it, sets it off.",
        "What is heard is not understood: words that sound like the phrase are the likeliest false alarms.",
    ]
    for phrase in card.phrases:
        tally = card.ingest["phrase"][phrase]
        judged = card.evaluate[phrase]["slices"]["misses"]["made_by"]
        if tally["clips"] and tally["synthetic_clips"] == tally["clips"]:
            limits.append(
                f"Nobody was recorded saying “{phrase}”: every example, in the test too, comes from a synthesizer. "
                "Expect people to be missed more often than the figures say."
            )
        elif "synthesizer" in judged:
            by = "by synthesizers and people" if "recording" in judged else "by synthesizers alone"
            limits.append(
                f"In the test “{phrase}” is said {by}. Expect people to be missed more often than the figures say."
            )
        if alike := card.evaluate[phrase]["clips_fired"].get("similar"):
            limits.append(
                f"Words made up to sound like “{phrase}”, heard alone, set it off in {alike['fired']} of "
                f"{alike['clips']} test clips, {_percent(alike['share'], alike['share_interval'])}."
            )
        if not card.evaluate[phrase]["operating_point"]["reached"]:
            limits.append(f"The false alarms asked for were not reached for “{phrase}”; see above.")
    if "teacher_data" in card.fingerprints:
        limits.append(
            "It learned from a teacher that was trained on other data, which may hold the very clips of the test: "
            "the figures may flatter."
        )
    if "unknown" in card.licences:
        limits.append("Some of the data has no known licence; find out before you publish the model.")
    limits += [_sentence(warning) for warning in card.ingest["warnings"]]
    return "## Limits\n\n" + "\n".join(f"- {limit}" for limit in limits)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
