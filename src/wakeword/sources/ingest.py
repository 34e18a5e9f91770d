"""Making the corpus: every source found, decoded or spoken, checked, freed of duplicates, written and reported."""

import shutil
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from wakeword.base import files, log
from wakeword.base.errors import UserError
from wakeword.corpus.manifest import SAMPLE_RATE, Origin, Recording, Rejection, content_hash, interned
from wakeword.corpus.shards import ShardWriter
from wakeword.sources import corpora, health
from wakeword.sources.config import IngestConfig
from wakeword.sources.folder import AudioFile, Found, LongRecording, decode_file, find, pieces, readable
from wakeword.sources.pronunciation import transcripts
from wakeword.sources.synthesis import Utterance, speak
from wakeword.sources.typed_phrase import utterances
from wakeword.workers import Crash, ordered_map

SHORTEST_POSITIVE_S = 0.2
SHORTEST_S = 0.1
SILENT_DBFS = -60.0
# A neural voice takes seconds for what espeak-ng says in milliseconds. Long recordings wait on disk, so this is cheap.
_AHEAD = 64


def ingest(
    config: IngestConfig,
    phrases: list[str],
    language: str,
    seed: int,
    workers: int,
    corpus: Path,
    report: Path,
    voices: Path = Path("data/voices"),
    downloads: Path = Path(".cache/downloads"),
) -> None:
    """Gather all sources into the folder `corpus`, then write what was found into the folder `report`.

    Args:
        config: the section `ingest`.
        phrases: the wake phrases.
        language: their language, for synthesis.
        seed: of the random choices of synthesis.
        workers: number of processes that decode and speak; changes no byte of the result.
        corpus: written as `wakeword.corpus.shards.Corpus` reads it.
        report: gets metrics.json and health.png.
        voices: what voices that are files lie below.
        downloads: keeps the corpora that are given by url.

    Raises:
        UserError: a source is not as configured, two labels claim the same audio, or a phrase has no positive clip.
            Neither folder is touched then.
    """
    found = find(config, phrases)
    _say_what_was_found(found, config)
    found.add(corpora.find(config, phrases, downloads))
    _check_read_once(found)
    spoken = []
    if config.synthesis:
        spoken = utterances(config.synthesis, phrases, language, seed, workers, voices)
    with files.replacing_folder(corpus) as temporary:
        scratch = temporary / "scratch"
        scratch.mkdir()
        origins = (file.origin for file in found.files)
        said = {(utterance.language, utterance.text) for utterance in spoken} | {
            text for origin in origins if (text := _text(origin, language))
        }
        collection = _Collection(temporary, found, language, transcripts(said, workers))
        items: deque[AudioFile | Utterance] = deque([*found.files, *spoken])
        found.files.clear()
        spoken.clear()
        with (
            collection.writer,
            closing(_prepared(items, workers, scratch)) as prepared,
        ):
            for result in log.progress(prepared, len(items), "files and utterances"):
                collection.add(result)
            shutil.rmtree(scratch)
            collection.check(phrases, config)
    summary = collection.summary
    health.write(report, summary, phrases)
    for warning in summary.all_warnings(phrases):
        log.warning(warning)
    log.info("corpus written", clips=len(summary.clips), hours=round(sum(c.seconds for c in summary.clips) / 3600, 2))


def _check_read_once(found: Found) -> None:
    """Raise UserError if two entries of the config lead to one file: which of them it follows would be an accident."""
    first: dict[Path, Origin] = {}
    for file in found.files:
        other = first.setdefault(file.file.absolute(), file.origin)
        if other is not file.origin:
            raise UserError(
                f"{readable(file.file)} is read twice, as {_claimed(other)} and as {_claimed(file.origin)}: two "
                "entries of ingest.folders or ingest.corpora lead to it. Move it out of one of them, or remove one"
            )


def _claimed(origin: Origin) -> str:
    return f"{origin.label} of source '{origin.source}', licence {origin.licence}"


Prepared = Recording | LongRecording | Rejection | Crash[AudioFile | Utterance]


def _prepared(items: deque[AudioFile | Utterance], workers: int, scratch: Path) -> Generator[Prepared, None, None]:
    """Yield what becomes of each item, and let go of the item: with 100 000 of them, what is kept of each counts."""
    sent: deque[AudioFile | Utterance] = deque()

    def taken() -> Iterator[AudioFile | Utterance]:
        while items:
            sent.append(items.popleft())
            yield sent[-1]

    with closing(ordered_map(partial(_prepare, scratch=scratch), taken(), workers, ahead=_AHEAD)) as results:
        for result in results:
            item = sent.popleft()
            yield _sharing_strings(result, item) if isinstance(result, Recording | LongRecording) else result


def _sharing_strings(result: Recording | LongRecording, item: AudioFile | Utterance) -> Recording | LongRecording:
    """Return a result whose origin is not a copy: what comes from another process has all its strings to itself."""
    if isinstance(item, AudioFile):
        return replace(result, origin=item.origin)
    return replace(result, origin=interned(result.origin))


def _prepare(item: AudioFile | Utterance, scratch: Path) -> Recording | LongRecording | Rejection:
    return speak(item) if isinstance(item, Utterance) else decode_file(item, scratch)


def _say_what_was_found(found: Found, config: IngestConfig) -> None:
    counts: dict[str, int] = {}
    for file in found.files:
        counts[file.origin.label] = counts.get(file.origin.label, 0) + 1
    if counts:
        log.info(f"found files below {config.root}", **counts)
    elif config.folders and not config.corpora:
        log.info(f"found no files below {config.root}; only synthesized speech is used")


class _Collection:
    """Takes results in order and keeps those fit to be clips."""

    def __init__(self, folder: Path, found: Found, language: str, phonemes: dict[tuple[str, str], str]) -> None:
        self._language, self._phonemes = language, phonemes
        self.writer = ShardWriter(folder)
        self.summary = health.Summary(rejected=list(found.rejections), warnings=list(found.warnings))
        self._first: dict[str, tuple[Origin, str]] = {}
        self._conflicts: list[str] = []

    def add(self, result: Prepared) -> None:
        match result:
            case Rejection():
                self.summary.rejected.append(result)
            case Crash(item=item, reason=reason):
                path = item.description if isinstance(item, Utterance) else item.origin.path
                self.summary.rejected.append(Rejection(path, f"decoding failed: {reason}"))
            case Recording():
                if unfit := _unfit(result):
                    self.summary.rejected.append(Rejection(result.origin.path, unfit))
                else:
                    text = _text(result.origin, self._language)
                    phonemes = self._phonemes.get(text) if text else None
                    self._keep(replace(result, origin=replace(result.origin, phonemes=phonemes)), result.origin.path)
            case LongRecording():
                self._add_pieces(result)
                result.scratch.unlink()

    def _add_pieces(self, long: LongRecording) -> None:
        silent = total = 0
        for start, piece in pieces(long):
            total += 1
            if _unfit(piece):
                silent += 1
            else:
                self._keep(piece, f"{long.origin.path} from {start:.1f} s")
        if silent:
            share = "it is" if silent == total else f"{silent} of its {total} pieces are"
            self.summary.rejected.append(Rejection(long.origin.path, f"{share} digital silence"))

    def _keep(self, recording: Recording, name: str) -> None:
        identity = content_hash(recording.pcm)
        origin = recording.origin
        if identity not in self._first:
            self._first[identity] = origin, name
            self.summary.add(self.writer.add(recording, identity), recording.pcm)
            return
        first, first_name = self._first[identity]
        says, first_says = (f"{o.label} {o.phrase or ''}".strip() for o in (origin, first))
        # Two texts may sound the same to a synthesizer; of two recordings with two labels, one is wrong.
        if says != first_says and not (origin.synthesis and first.synthesis):
            self._conflicts.append(f"{first_name} ({first_says}) and {name} ({says})")
        self.summary.duplicates.append((name, first_name))

    def check(self, phrases: list[str], config: IngestConfig) -> None:
        """Raise UserError where no corpus can be made of what was kept."""
        self.summary.say_rejected()
        if self._conflicts:
            shown = "; ".join(self._conflicts[:10]) + ("; and more" if len(self._conflicts) > 10 else "")
            raise UserError(f"the same audio stands under two labels: {shown}. Remove the wrong one of each pair")
        for phrase in phrases:
            if not any(clip.origin.phrase == phrase for clip in self.summary.clips):
                refused = len(self.summary.rejected)
                told = f" ({refused} files or utterances were rejected, see above)" if refused else ""
                place = "positive/" if len(phrases) == 1 else f"positive/phrase={phrase}/"
                raise UserError(
                    f"there is no positive clip of '{phrase}'{told}; put recordings of it into "
                    f"{config.root}/{place}, name a folder with `label: positive` in ingest.folders, "
                    "or let ingest.synthesis speak it"
                )


def _text(origin: Origin, language: str) -> tuple[str, str] | None:
    """Return the language and the text that are spoken, as far as both are known; phrases are in `language`."""
    spoken_in = language if origin.phrase is not None else origin.language
    return (spoken_in, origin.text) if origin.text and spoken_in and origin.label not in ("noise", "rir") else None


def _unfit(recording: Recording) -> str | None:
    """Return why a recording can't be a clip, or None."""
    pcm, positive = recording.pcm, recording.origin.label == "positive"
    if recording.origin.label == "rir":
        return None
    shortest = SHORTEST_POSITIVE_S if positive else SHORTEST_S
    if len(pcm) < shortest * SAMPLE_RATE:
        return f"only {len(pcm) / SAMPLE_RATE:.3f} s long; a {recording.origin.label} clip has at least {shortest:g} s"
    peak = health.peak(pcm)
    if peak == 0:
        return "it is digital silence"
    if positive and health.decibels(peak) < SILENT_DBFS:
        return f"silent: its peak is {health.decibels(peak):.0f} dBFS, a positive needs {SILENT_DBFS:.0f}"
    return None
