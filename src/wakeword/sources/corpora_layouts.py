"""What lies where in each public corpus, what it is, who made it, what is said, and under which licence.

The layouts are read here rather than through `torchaudio.datasets`: those import torch, which takes longer than the
rest of this stage needs to start, and decode through torchcodec, which is one more package than `decode` needs.
"""

import csv
import gzip
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from wakeword.corpus.manifest import Label
from wakeword.sources.corpora_config import CorpusName


@dataclass(frozen=True, slots=True)
class Item:
    """A file of a corpus. Speech is a negative until its text has been compared with the phrases.

    Attributes:
        part: what `only` chooses by.
        group: who or what made it, within the corpus.
    """

    file: Path
    part: str
    label: Label
    kind: str
    group: str
    licence: str
    text: str | None = None
    language: str | None = None


Reader = Callable[[list[Path]], Iterator[Item]]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a corpus is read.

    Attributes:
        read: from all its audio files, in order, to those that belong to it.
        looks: what its folder must hold, for whoever named another one.
    """

    read: Reader
    looks: str


def _speech_commands(paths: list[Path]) -> Iterator[Item]:
    """Warden, "Speech Commands", arXiv:1804.03209, 2018: WORD/SPEAKER_nohash_NUMBER.wav."""
    licence = "CC-BY-4.0"
    for path in paths:
        word = path.parent.name
        speaker, marked, _ = path.stem.partition("_nohash_")
        if word in ("_background_noise_", "_silence_"):
            yield Item(path, word, "noise", "noise", f"background/{path.stem}", licence)
        elif marked:
            part = _official_part(path.parents[1]).get(speaker, "training")
            text = None if word.startswith("_") else word
            yield Item(path, word, "negative", "word", f"{part}/{speaker}", licence, text, "en")


@lru_cache(maxsize=8)
def _official_part(top: Path) -> dict[str, str]:
    """Return the speakers whom the corpus's own lists put into validation and testing."""
    parts = {}
    for part in ("validation", "testing"):
        listed = top / f"{part}_list.txt"
        for line in listed.read_text(encoding="utf-8").splitlines() if listed.exists() else ():
            parts[line.rpartition("/")[2].partition("_nohash_")[0]] = part
    return parts


def _librispeech(paths: list[Path]) -> Iterator[Item]:
    """Panayotov et al., "Librispeech", ICASSP 2015: SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NUMBER.flac."""
    for path in paths:
        named = re.fullmatch(r"(\d+)-(\d+)-\d+", path.stem)
        if named and path.suffix == ".flac" and len(path.parents) > 2:
            speaker, subset = named[1], path.parents[2].name
            said = _transcripts(path.with_name(f"{speaker}-{named[2]}.trans.txt"))[path.stem]
            yield Item(path, subset, "negative", "speech", f"{subset}/{speaker}", "CC-BY-4.0", said, "en")


@lru_cache(maxsize=8)
def _transcripts(path: Path) -> dict[str, str]:
    rows = (line.partition(" ") for line in path.read_text(encoding="utf-8").splitlines())
    return {name: text.strip().lower() for name, _, text in rows}


def _common_voice(paths: list[Path]) -> Iterator[Item]:
    """Ardila et al., "Common Voice", LREC 2020: LANGUAGE/clips/NAME.mp3 and tables of who says what in them."""
    for path in paths:
        if path.parent.name == "clips":
            row = _common_voice_rows(path.parents[1]).get(path.stem)
            if row is not None:  # what is not validated may be anything
                part, speaker, text, language = row
                yield Item(path, language, "negative", "speech", f"{part}/{speaker}", "CC0-1.0", text, language)


@lru_cache(maxsize=8)
def _common_voice_rows(folder: Path) -> dict[str, tuple[str, str, str, str]]:
    """Return (official part, speaker, sentence, language) of each clip. A speaker's clips are all in one part."""
    rows: dict[str, dict[str, str]] = {}
    part_of: dict[str, str] = {}
    for part in ("test", "dev", "train", "validated"):
        table = folder / f"{part}.tsv"
        if table.exists():
            with table.open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                    rows[Path(row["path"]).stem] = row
                    part_of.setdefault(row["client_id"], "other" if part == "validated" else part)
    return {
        name: (
            part_of[row["client_id"]],
            row["client_id"][:16],
            row["sentence"] or "",
            row.get("locale") or folder.name,
        )
        for name, row in rows.items()
    }


def _musan(paths: list[Path]) -> Iterator[Item]:
    """Snyder et al., "MUSAN", 2015: {speech,noise,music}/COLLECTION/NAME.wav, each file another source."""
    for path in paths:
        part = path.parents[1].name if len(path.parents) > 1 else ""
        if part in ("speech", "noise", "music"):
            label: Label = "negative" if part == "speech" else "noise"
            yield Item(path, part, label, part, f"{part}/{path.stem}", "CC-BY-4.0")


def _esc50(paths: list[Path]) -> Iterator[Item]:
    """Piczak, "ESC: Dataset for Environmental Sound Classification", 2015: audio/FOLD-SOURCE-TAKE-CLASS.wav."""
    for path in paths:
        named = re.fullmatch(r"\d+-(\d+)-[A-Z]-\d+", path.stem)
        if named and path.parent.name == "audio":
            category, in_esc10 = _esc50_rows(path.parents[1] / "meta" / "esc50.csv")[path.name]
            licence = "CC-BY-3.0" if in_esc10 else "CC-BY-NC-3.0"
            yield Item(path, category, "noise", "noise", named[1], licence)


@lru_cache(maxsize=8)
def _esc50_rows(path: Path) -> dict[str, tuple[str, bool]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["filename"]: (row["category"], row["esc10"] == "True") for row in csv.DictReader(file)}


def _demand(paths: list[Path]) -> Iterator[Item]:
    """Thiemann et al., "DEMAND", 2013: ENVIRONMENT/ch01.wav to ch16.wav, sixteen microphones at once."""
    for path in paths:
        if re.fullmatch(r"ch\d\d", path.stem):
            environment = path.parent.name
            yield Item(path, environment, "noise", "noise", environment, "CC-BY-SA-3.0")


def _openslr_rirs(paths: list[Path]) -> Iterator[Item]:
    """Ko et al., "A study on data augmentation of reverberant speech", ICASSP 2017: SLR26, and SLR28 with real rooms.

    Simulated: {small,medium,large}room/RoomNNN/; the same rooms in both. Real rooms and noise in them are told apart
    by the lists beside them; without these, all from one collection count as one room.
    """
    licence = "Apache-2.0"
    for path in paths:
        folder, size = path.parent.name, path.parents[1].name if len(path.parents) > 1 else ""
        if re.fullmatch(r"(small|medium|large)room", size) and folder.startswith("Room"):
            yield Item(path, size, "rir", "room", f"{size}/{folder}", licence)
        elif folder == "pointsource_noises":
            yield Item(path, "pointsource", "noise", "noise", f"pointsource/{path.stem}", licence)
        elif folder == "real_rirs_isotropic_noises":
            room = _listed_rooms(path.parent).get(path.name) or path.stem.partition("_")[0]
            if "_noise_" in path.stem or path.stem.startswith("noise"):
                yield Item(path, "isotropic", "noise", "noise", f"real/{room}", licence)
            else:
                yield Item(path, "real", "rir", "room", f"real/{room}", licence)


@lru_cache(maxsize=8)
def _listed_rooms(folder: Path) -> dict[str, str]:
    """Return the room of each file, from lines such as `--rir-id 1 --room-id hall RIRS_NOISES/.../name.wav`."""
    rooms = {}
    for name, option in (("rir_list", "--room-id"), ("noise_list", "--room-linkage")):
        listed = folder / name
        for line in listed.read_text(encoding="utf-8").splitlines() if listed.exists() else ():
            fields = shlex.split(line)
            if option in fields:
                rooms[Path(fields[-1]).name] = fields[fields.index(option) + 1]
    return rooms


def _asterisk(paths: list[Path]) -> Iterator[Item]:
    """Debian's asterisk-core-sounds-*, asterisk-prompt-it-menardi-* and asterisk-moh-opsound-*.

    sounds/VOICE/NAME.g722 (or .wav), with VOICE as in en_US_f_Allison, and moh/NAME.g722. One person speaks two of the
    languages, so that the group is the person. What is said stands in /usr/share/doc.
    """
    for path in paths:
        folders = [parent.name for parent in path.parents]
        if folders[0] == "moh":
            yield Item(path, "moh", "noise", "music", f"moh/{path.stem}", "CC-BY-SA-3.0")
        elif "sounds" in folders[1:] and not re.search("silence|tone|beep", path.as_posix().rpartition("/sounds/")[2]):
            sounds = path.parents[folders.index("sounds")]
            first, _, name = path.relative_to(sounds).with_suffix("").as_posix().partition("/")
            voice = _linked(sounds / first)
            if described := re.fullmatch(r"([a-z]{2,3})_[A-Z]{2}_[fm]_(\w+)", voice):
                language, person = described.groups()
                licence = "CC-BY-3.0" if language == "ru" else "CC-BY-SA-3.0"
                text = _prompts(sounds.parents[1] / "doc", language).get(name)
                yield Item(path, voice, "negative", "speech", person, licence, text, language)


@lru_cache(maxsize=8)
def _linked(folder: Path) -> str:
    """Return the name of the folder that a link such as en -> /etc/alternatives/... leads to."""
    return folder.resolve().name


@lru_cache(maxsize=8)
def _prompts(documents: Path, language: str) -> dict[str, str]:
    """Return what each prompt of Asterisk says, from lines such as `vm-deleted: Message deleted.`."""
    listed = documents / f"asterisk-core-sounds-{language}" / f"core-sounds-{language}.txt.gz"
    if not listed.exists():
        return {}
    with gzip.open(listed, "rt", encoding="utf-8") as file:
        rows = (line.partition(":") for line in file if not line.startswith(";"))
        # In brackets stands what is heard beside the words.
        said = {name.strip(): re.sub(r"\[.*?\]|\(.*?\)", "", text).strip() for name, _, text in rows}
    return {name: text for name, text in said.items() if text}


_STAMP = re.compile(r"(?P<stamp>.+?)(?P<told>_desc)?(_(?P<language>[a-z]{2}(_[A-Za-z]{2})?))?(\.ogg)?", re.DOTALL)


def _tuxpaint(paths: list[Path]) -> Iterator[Item]:
    """Debian's tuxpaint-stamps-default: stamps/.../NAME_desc_LANGUAGE.ogg, what it says in NAME.txt; NAME.ogg, a sound.

    Some stamps of symbols are spoken in place of a sound: NAME_LANGUAGE.ogg, or without a language.
    """
    for path in paths:
        folders = {parent.name for parent in path.parents}
        named = _STAMP.fullmatch(path.stem) if "stamps" in folders else None
        if named is None:
            continue
        stamp, told, language = named.group("stamp", "told", "language")
        if told or language or "symbols" in folders:
            part = language or "en"
            text = _descriptions(path.with_name(f"{stamp}.txt")).get(part) if told else None
            yield Item(path, part, "negative", "speech", part, "GPL-2.0", text, part[:2])
        else:
            yield Item(path, "sounds", "noise", "noise", f"sounds/{path.stem}", "GPL-2.0")


@lru_cache(maxsize=1)
def _descriptions(path: Path) -> dict[str, str]:
    """Return what a stamp is in each language: the first line is English, others such as `pt_BR.utf8=Um gato.`."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    other = dict(line.split(".utf8=", 1) for line in lines[1:] if ".utf8=" in line)
    return {language: text for language, text in {"en": "".join(lines[:1]), **other}.items() if text.strip()}


def _fillets(paths: list[Path]) -> Iterator[Item]:
    """Debian's fillets-ng-data, -cs and -nl: sound/LEVEL/LANGUAGE/NAME.ogg, script/LEVEL/dialogs_LANGUAGE.lua, music/.

    Which actor speaks is not told, so that all who speak a language are one group.
    """
    for path in paths:
        folders = [parent.name for parent in path.parents]
        if folders[0] == "music":
            yield Item(path, "music", "noise", "music", f"music/{path.stem}", "GPL-2.0")
        elif "sound" in folders and folders[0] in ("cs", "nl"):
            language, sound = folders[0], path.parents[folders.index("sound")]
            level = path.parents[1].relative_to(sound)
            text = _dialogues(sound.parent / "script" / level / f"dialogs_{language}.lua").get(path.stem)
            yield Item(path, language, "negative", "speech", language, "GPL-2.0", text, language)
        elif "sound" in folders:
            yield Item(path, "sounds", "noise", "noise", f"sounds/{path.stem}", "GPL-2.0")


@lru_cache(maxsize=8)
def _dialogues(path: Path) -> dict[str, str]:
    """Return what is said, from pairs of lines `dialogId("NAME", ...)` and `dialogStr("TEXT")`."""
    script = path.read_text(encoding="utf-8") if path.exists() else ""
    return dict(re.findall(r'^dialogId\("([^"]+)".*\n+dialogStr\("([^"\\]+)"\)', script, re.MULTILINE))


def _hedgewars(paths: list[Path]) -> Iterator[Item]:
    """Debian's hedgewars-data: Sounds/voices/VOICE/NAME.ogg, what players shout; Sounds/NAME.ogg; Music/NAME.ogg."""
    for path in paths:
        folders = [parent.name for parent in path.parents]
        if "voices" in folders[1:2]:
            # An actor may have spoken the translation of a voice, too: Russian and Russian_pl.
            yield Item(path, folders[0], "negative", "word", folders[0].partition("_")[0], "GFDL-1.3")
        elif folders[0] == "Sounds":
            yield Item(path, "sounds", "noise", "noise", f"sounds/{path.stem}", "GFDL-1.3")
        elif folders[0] == "Music":
            yield Item(path, "music", "noise", "music", f"music/{path.stem}", "GPL-2.0")


def _kde_words(paths: list[Path]) -> Iterator[Item]:
    """Debian's ktuberling-data and klettres-data: sounds/LANGUAGE/WORD, and LANGUAGE/{alpha,syllab}/NAME.

    Translators spoke them, perhaps one the words of both, so that a language is one group.
    """
    for path in paths:
        folders = [parent.name for parent in path.parents]
        of = path.parts[-3] if folders[0] in ("alpha", "syllab") else folders[0] if "sounds" in folders[1:2] else ""
        if of:
            language = re.split("[@_]", of)[0]
            yield Item(path, of, "negative", "word", language, "GPL-2.0-or-later", None, language)


LAYOUTS: dict[CorpusName, Layout] = {
    "speech_commands": Layout(_speech_commands, "WORD/SPEAKER_nohash_0.wav and _background_noise_/"),
    "librispeech": Layout(_librispeech, "dev-clean/84/121123/84-121123-0000.flac and the like"),
    "common_voice": Layout(_common_voice, "clips/ and beside it validated.tsv, or train.tsv, dev.tsv and test.tsv"),
    "musan": Layout(_musan, "speech/, noise/ and music/, each with a folder for each of its collections"),
    "esc50": Layout(_esc50, "audio/1-100032-A-0.wav and the like, and meta/esc50.csv"),
    "demand": Layout(_demand, "a folder for each environment with ch01.wav to ch16.wav"),
    "openslr_rirs": Layout(_openslr_rirs, "smallroom/Room001/ and the like, or real_rirs_isotropic_noises/"),
    "asterisk": Layout(_asterisk, "sounds/en_US_f_Allison/ and the like, or moh/, as in /usr/share/asterisk"),
    "tuxpaint": Layout(_tuxpaint, "stamps/, as in /usr/share/tuxpaint"),
    "fillets": Layout(_fillets, "sound/ and music/, as in /usr/share/games/fillets-ng"),
    "hedgewars": Layout(_hedgewars, "Sounds/voices/ and Music/, as in /usr/share/games/hedgewars/Data"),
    "kde_words": Layout(_kde_words, "sounds/en/ or en/alpha/, as in /usr/share/ktuberling and /usr/share/klettres"),
}
