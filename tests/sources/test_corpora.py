"""Public corpora by name, as small trees that look like them."""

import gzip
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.sounds import word, write
from tests.sources.test_download import Site, serving, tar_of
from wakeword.base.errors import UserError
from wakeword.corpus.manifest import Origin
from wakeword.corpus.shards import Corpus
from wakeword.sources import health, pronunciation
from wakeword.sources import ingest as ingest_module
from wakeword.sources.config import FolderConfig, IngestConfig
from wakeword.sources.corpora import find
from wakeword.sources.corpora_config import CorpusConfig
from wakeword.sources.folder import Found
from wakeword.sources.ingest import ingest
from wakeword.splitting.config import SplitConfig
from wakeword.splitting.deal import assign

PHRASES = ["hey marvin"]


def tree(top: Path, *names: str, **texts: str) -> None:
    for name in [*names, *texts]:
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts.get(name, ""), encoding="utf-8")


def look(tmp_path: Path, *corpora: CorpusConfig, phrases: list[str] = PHRASES) -> Found:
    config = IngestConfig(root=str(tmp_path), folders=[], corpora=list(corpora))
    return find(config, phrases, tmp_path / "downloads")


def origins(found: Found) -> dict[str, Origin]:
    return {file.origin.path: file.origin for file in found.files}


def refusal(tmp_path: Path, corpus: CorpusConfig) -> str:
    with pytest.raises(UserError) as caught:
        look(tmp_path, corpus)
    return str(caught.value)


def speech_commands(top: Path) -> None:
    tree(top, "marvin/0a_nohash_0.wav", "marvin/0a_nohash_1.wav", "yes/0a_nohash_0.wav", "yes/1b_nohash_0.wav")
    tree(top, "no/2c_nohash_0.wav", "_background_noise_/pink_noise.wav", "LICENSE", "README.md")
    tree(top, **{"testing_list.txt": "yes/1b_nohash_0.wav\n", "validation_list.txt": "no/2c_nohash_0.wav\n"})


def test_speech_commands_knows_speakers_words_and_official_parts(tmp_path: Path) -> None:
    speech_commands(tmp_path / "sc")
    found = origins(look(tmp_path, CorpusConfig(name="speech_commands", path="sc")))
    assert {path.split("/", 1)[1]: (o.label, o.kind, o.text, o.group) for path, o in found.items()} == {
        "marvin/0a_nohash_0.wav": ("hard_negative", "part", "marvin", "speech_commands/training/0a"),
        "marvin/0a_nohash_1.wav": ("hard_negative", "part", "marvin", "speech_commands/training/0a"),
        "yes/0a_nohash_0.wav": ("negative", "word", "yes", "speech_commands/training/0a"),
        "yes/1b_nohash_0.wav": ("negative", "word", "yes", "speech_commands/testing/1b"),
        "no/2c_nohash_0.wav": ("negative", "word", "no", "speech_commands/validation/2c"),
        "_background_noise_/pink_noise.wav": ("noise", "noise", None, "speech_commands/background/pink_noise"),
    }
    assert {(o.source, o.licence, o.group_known) for o in found.values()} == {("speech_commands", "CC-BY-4.0", True)}
    # The official parts can be pinned with a pattern each.
    pins = {"speech_commands/testing/*": "test", "speech_commands/validation/*": "dev", "speech_commands/*": "train"}
    split = assign({o.group for o in found.values()}, SplitConfig.model_validate({"pins": pins}), seed=1)
    assert {group: name for group, name in split.items() if name != "train"} == {
        "speech_commands/testing/1b": "test",
        "speech_commands/validation/2c": "dev",
    }


def test_a_word_that_is_the_phrase_is_a_positive(tmp_path: Path) -> None:
    speech_commands(tmp_path / "sc")
    corpus = CorpusConfig(name="speech_commands", path="sc", only=["marvin", "no"])
    found = origins(look(tmp_path, corpus, phrases=["stop it", "Marvin"]))
    assert {(o.label, o.phrase, o.text) for o in found.values()} == {
        ("positive", "Marvin", "marvin"),
        ("negative", None, "no"),
    }
    assert len(found) == 3


def test_librispeech_has_speakers_subsets_and_texts(tmp_path: Path) -> None:
    top = tmp_path / "LibriSpeech"
    tree(top, "dev-clean/84/121/84-121-0000.flac", "dev-clean/84/121/84-121-0001.flac", "SPEAKERS.TXT")
    tree(
        top, **{"dev-clean/84/121/84-121.trans.txt": "84-121-0000 GO DO YOU HEAR\n84-121-0001 OH HEY MARVIN HE SAID\n"}
    )
    tree(top, "test-clean/7/9/7-9-0000.flac", **{"test-clean/7/9/7-9.trans.txt": "7-9-0000 MARVIN'S IDEA\n"})
    for path in ("LibriSpeech", "."):
        found = look(tmp_path, CorpusConfig(name="librispeech", path=path))
        assert [(o.group, o.text, o.label, o.language) for o in origins(found).values()] == [
            ("librispeech/dev-clean/84", "go do you hear", "negative", "en"),
            ("librispeech/test-clean/7", "marvin's idea", "negative", "en"),
        ]
        [rejected] = found.rejections
        assert rejected.path.endswith("84-121-0001.flac") and "holds the phrase 'hey marvin'" in rejected.reason
    found = look(tmp_path, CorpusConfig(name="librispeech", path=".", only=["test-clean"]))
    assert len(found.files) == 1 and not found.rejections


def test_common_voice_keeps_a_client_in_one_part(tmp_path: Path) -> None:
    top = tmp_path / "cv" / "de"
    header = "client_id\tpath\tsentence\tup_votes\tlocale\n"
    validated = [("x" * 64, "a.mp3", 'Ein "Satz'), ("x" * 64, "b.mp3", "Hey, Marvin!"), ("y" * 64, "c.mp3", "Zwei")]
    rows = [f"{client}\t{path}\t{text}\t2\tde\n" for client, path, text in validated]
    tree(top, "clips/a.mp3", "clips/b.mp3", "clips/c.mp3", "clips/not validated.mp3")
    tree(top, **{"validated.tsv": header + "".join(rows), "test.tsv": header + rows[0]})
    found = origins(look(tmp_path, CorpusConfig(name="common_voice", path="cv")))
    assert [(o.group, o.text, o.label, o.language, o.licence) for o in found.values()] == [
        (f"common_voice/test/{'x' * 16}", 'Ein "Satz', "negative", "de", "CC0-1.0"),
        (f"common_voice/test/{'x' * 16}", "Hey, Marvin!", "positive", "de", "CC0-1.0"),
        (f"common_voice/other/{'y' * 16}", "Zwei", "negative", "de", "CC0-1.0"),
    ]


def test_musan_is_speech_noise_and_music(tmp_path: Path) -> None:
    tree(tmp_path / "musan", "speech/librivox/s-0.wav", "noise/free-sound/n-0.wav", "music/jamendo/m-0.wav", "README")
    tree(tmp_path / "musan", "speech/librivox/LICENSE", "noise/free-sound/ANNOTATIONS")
    found = origins(look(tmp_path, CorpusConfig(name="musan", path="musan")))
    assert sorted((o.label, o.kind, o.group) for o in found.values()) == [
        ("negative", "speech", "musan/speech/s-0"),
        ("noise", "music", "musan/music/m-0"),
        ("noise", "noise", "musan/noise/n-0"),
    ]
    found = origins(look(tmp_path, CorpusConfig(name="musan", path="musan", only=["noise", "music"])))
    assert {o.label for o in found.values()} == {"noise"}


def test_esc50_groups_by_the_source_recording_and_tells_licences_apart(tmp_path: Path) -> None:
    top = tmp_path / "ESC-50-master"
    tree(top, "audio/1-100-A-0.wav", "audio/3-100-B-0.wav", "audio/1-200-A-40.wav")
    rows = "1-100-A-0.wav,1,0,dog,True,100,A\n3-100-B-0.wav,3,0,dog,True,100,B\n1-200-A-40.wav,1,40,train,False,200,A\n"
    tree(top, **{"meta/esc50.csv": "filename,fold,target,category,esc10,src_file,take\n" + rows})
    found = origins(look(tmp_path, CorpusConfig(name="esc50", path=".")))
    assert sorted((o.group, o.licence) for o in found.values()) == [
        ("esc50/100", "CC-BY-3.0"),
        ("esc50/100", "CC-BY-3.0"),
        ("esc50/200", "CC-BY-NC-3.0"),
    ]
    assert len(look(tmp_path, CorpusConfig(name="esc50", path=".", only=["train"])).files) == 1
    message = refusal(tmp_path, CorpusConfig(name="esc50", path=".", only=["train", "cat"]))
    assert "ingest.corpora.0.only" in message and "'cat'" in message and "dog, train" in message


def test_demand_groups_all_microphones_of_an_environment(tmp_path: Path) -> None:
    tree(tmp_path, *(f"{place}/ch{number:02d}.wav" for place in ("PRESTO", "TCAR") for number in range(1, 17)))
    found = origins(look(tmp_path, CorpusConfig(name="demand", path=".")))
    assert len(found) == 32 and {o.group for o in found.values()} == {"demand/PRESTO", "demand/TCAR"}


def test_openslr_rirs_group_by_room_in_both_releases(tmp_path: Path) -> None:
    simulated = "smallroom/Room001/Room001-00001.wav"
    tree(tmp_path / "slr26", f"simulated_rirs_16k/{simulated}")
    real = "RIRS_NOISES/real_rirs_isotropic_noises"
    tree(tmp_path / "slr28", f"RIRS_NOISES/simulated_rirs/{simulated}", "RIRS_NOISES/pointsource_noises/noise-0.wav")
    tree(tmp_path / "slr28", f"{real}/RVB_type1_rir_hall_1.wav", f"{real}/RVB_type1_rir_bath_1.wav")
    tree(tmp_path / "slr28", f"{real}/RVB_type1_noise_hall_1.wav", f"{real}/air_rir_1.wav")
    lists = {
        f"{real}/rir_list": f"--rir-id 1 --room-id Hall {real}/RVB_type1_rir_hall_1.wav\n"
        f"--rir-id 2 --room-id Bath {real}/RVB_type1_rir_bath_1.wav\n",
        f"{real}/noise_list": "--noise-id 1 --noise-type isotropic --room-linkage Hall "
        f"{real}/RVB_type1_noise_hall_1.wav\n",
    }
    tree(tmp_path / "slr28", **lists)
    corpora = [CorpusConfig(name="openslr_rirs", path=path) for path in ("slr26", "slr28")]
    found = [file.origin for file in look(tmp_path, *corpora).files]
    assert sorted((o.label, o.group.removeprefix("openslr_rirs/")) for o in found) == [
        ("noise", "pointsource/noise-0"),
        ("noise", "real/Hall"),
        ("rir", "real/Bath"),
        ("rir", "real/Hall"),
        ("rir", "real/air"),
        ("rir", "smallroom/Room001"),
        ("rir", "smallroom/Room001"),
    ]


def test_asterisk_has_persons_languages_and_what_the_prompts_say(tmp_path: Path) -> None:
    top = tmp_path / "share" / "asterisk"
    tree(top / "sounds", "en_US_f_Allison/vm-deleted.g722", "en_US_f_Allison/digits/1.g722", "it_IT_f_Menardi/x.wav")
    tree(top / "sounds", "es_MX_f_Allison/vm-deleted.g722", "ru_RU_f_IvrvoiceRU/digits/1.g722", "digits/1.gsm")
    tree(top / "sounds", "en_US_f_Allison/silence/1.g722", "en_US_f_Allison/ascending-2tone.g722")
    tree(top, "moh/macroform-cold_day.g722")
    (top / "sounds" / "en").symlink_to(top / "sounds" / "en_US_f_Allison")  # as Debian has it, and found first
    listed = tmp_path / "share" / "doc" / "asterisk-core-sounds-en" / "core-sounds-en.txt.gz"
    listed.parent.mkdir(parents=True)
    with gzip.open(listed, "wt", encoding="utf-8") as file:
        file.write("; Core Sounds\n\nvm-deleted: Message deleted. [beep]\ndigits/1: One: the number\n")
    found = origins(look(tmp_path, CorpusConfig(name="asterisk", path=str(top))))
    assert {path.split("/", 2)[2]: (o.group, o.language, o.text, o.licence) for path, o in found.items()} == {
        "en/vm-deleted.g722": ("asterisk/Allison", "en", "Message deleted.", "CC-BY-SA-3.0"),
        "en/digits/1.g722": ("asterisk/Allison", "en", "One: the number", "CC-BY-SA-3.0"),
        "es_MX_f_Allison/vm-deleted.g722": ("asterisk/Allison", "es", None, "CC-BY-SA-3.0"),
        "it_IT_f_Menardi/x.wav": ("asterisk/Menardi", "it", None, "CC-BY-SA-3.0"),
        "ru_RU_f_IvrvoiceRU/digits/1.g722": ("asterisk/IvrvoiceRU", "ru", None, "CC-BY-3.0"),
        "macroform-cold_day.g722": ("asterisk/moh/macroform-cold_day", None, None, "CC-BY-SA-3.0"),
    }
    assert {o.kind for o in found.values() if o.label == "noise"} == {"music"}
    assert len(look(tmp_path, CorpusConfig(name="asterisk", path=str(top), only=["it_IT_f_Menardi"])).files) == 1


@pytest.mark.parametrize(
    "damage", [lambda packed: packed[:-9], lambda packed: packed[:12] + b"\xff" * 20, lambda _: b"x"]
)
def test_a_damaged_list_of_prompts_is_told(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    tree(tmp_path, "asterisk/sounds/en_US_f_Allison/vm-deleted.g722")
    listed = tmp_path / "doc" / "asterisk-core-sounds-en" / "core-sounds-en.txt.gz"
    listed.parent.mkdir(parents=True)
    listed.write_bytes(damage(gzip.compress(b"vm-deleted: Message deleted.\n")))
    said = refusal(tmp_path, CorpusConfig(name="asterisk", path="asterisk"))
    assert "ingest.corpora.0: cannot read" in said and "as asterisk" in said


def test_tables_that_are_cut_off_or_lack_a_quote_are_told(tmp_path: Path) -> None:
    table = "client_id\tpath\tsentence\tlocale\nanna\ta.mp3\thello\ten\nbert"
    tree(tmp_path / "voice", "clips/a.mp3", **{"validated.tsv": table})
    real = "RIRS_NOISES/real_rirs_isotropic_noises"
    listed = {f"{real}/rir_list": '--rir-id 1 --room-id "hall x.wav\n'}
    tree(tmp_path / "rirs", f"{real}/RVB_type1_rir_hall_1.wav", **listed)
    for name, path in (("common_voice", "voice"), ("openslr_rirs", "rirs")):
        corpus = CorpusConfig.model_validate({"name": name, "path": path})
        assert f"as {name}" in refusal(tmp_path, corpus)


def test_tuxpaint_tells_what_is_said_from_what_sounds(tmp_path: Path) -> None:
    birds = "tp/stamps/animals/birds"
    tree(tmp_path, f"{birds}/owl_desc.ogg", f"{birds}/owl_desc_pt_BR.ogg", f"{birds}/owl_desc_fr.ogg.ogg")
    tree(tmp_path, f"{birds}/owl.ogg", "tp/stamps/symbols/math/1_de.ogg", "tp/stamps/symbols/math/1.ogg")
    tree(tmp_path, **{f"{birds}/owl.txt": "An owl.\nde.utf8=Eine Eule.\npt_BR.utf8=Uma coruja.\n"})
    found = origins(look(tmp_path, CorpusConfig(name="tuxpaint", path="tp")))
    told = {path.rpartition("/")[2]: (o.label, o.group, o.language, o.text) for path, o in found.items()}
    assert told == {
        "owl_desc.ogg": ("negative", "tuxpaint/en", "en", "An owl."),
        "owl_desc_pt_BR.ogg": ("negative", "tuxpaint/pt_BR", "pt", "Uma coruja."),
        "owl_desc_fr.ogg.ogg": ("negative", "tuxpaint/fr", "fr", None),
        "owl.ogg": ("noise", "tuxpaint/sounds/owl", None, None),
        "1_de.ogg": ("negative", "tuxpaint/de", "de", None),
        "1.ogg": ("negative", "tuxpaint/en", "en", None),
    }


def test_fillets_has_dialogues_music_and_sounds(tmp_path: Path) -> None:
    tree(tmp_path, "ff/sound/city/cs/vit-m-hlava.ogg", "ff/sound/city/nl/vit-m-hlava.ogg", "ff/music/menu.ogg")
    tree(tmp_path, "ff/sound/share/sp-dead_big.ogg", "ff/sound/city/en/vit-x-end.ogg", "ff/sound/share/jokes/cs/x.ogg")
    script = 'dialogId("other", "font", "Yes.")\ndialogStr("Ano.")\n\ndialogId("vit-m-hlava", "font", "A head.")\n'
    tree(tmp_path, **{"ff/script/city/dialogs_cs.lua": script + 'dialogStr("Hlava.")\n'})
    found = origins(look(tmp_path, CorpusConfig(name="fillets", path="ff")))
    assert {path: (o.label, o.kind, o.group, o.text) for path, o in found.items()} == {
        "fillets/sound/city/cs/vit-m-hlava.ogg": ("negative", "speech", "fillets/cs", "Hlava."),
        "fillets/sound/share/jokes/cs/x.ogg": ("negative", "speech", "fillets/cs", None),
        "fillets/sound/city/nl/vit-m-hlava.ogg": ("negative", "speech", "fillets/nl", None),
        "fillets/music/menu.ogg": ("noise", "music", "fillets/music/menu", None),
        "fillets/sound/share/sp-dead_big.ogg": ("noise", "noise", "fillets/sounds/sp-dead_big", None),
        "fillets/sound/city/en/vit-x-end.ogg": ("noise", "noise", "fillets/sounds/vit-x-end", None),
    }


def test_hedgewars_and_the_words_of_kde_keep_a_person_together(tmp_path: Path) -> None:
    tree(tmp_path, "hw/Sounds/voices/Russian/Hello.ogg", "hw/Sounds/voices/Russian_pl/Hello.ogg", "hw/Music/Beach.ogg")
    tree(tmp_path, "hw/Sounds/beep.ogg", "kt/sounds/sr@latin/nos.ogg", "kt/sounds/de/nase.wav", "kl/de/alpha/a.ogg")
    tree(tmp_path, "kl/en_GB/syllab/be.ogg", "kl/icons/noise.ogg")
    corpora = [CorpusConfig(name="hedgewars", path="hw"), CorpusConfig(name="kde_words", path="kt")]
    found = origins(look(tmp_path, *corpora, CorpusConfig(name="kde_words", path="kl")))
    assert {path: (o.label, o.group, o.language) for path, o in found.items()} == {
        "hedgewars/Sounds/voices/Russian/Hello.ogg": ("negative", "hedgewars/Russian", None),
        "hedgewars/Sounds/voices/Russian_pl/Hello.ogg": ("negative", "hedgewars/Russian", None),
        "hedgewars/Music/Beach.ogg": ("noise", "hedgewars/music/Beach", None),
        "hedgewars/Sounds/beep.ogg": ("noise", "hedgewars/sounds/beep", None),
        "kde_words/sounds/sr@latin/nos.ogg": ("negative", "kde_words/sr", "sr"),
        "kde_words/sounds/de/nase.wav": ("negative", "kde_words/de", "de"),
        "kde_words/de/alpha/a.ogg": ("negative", "kde_words/de", "de"),
        "kde_words/en_GB/syllab/be.ogg": ("negative", "kde_words/en", "en"),
    }


def test_most_takes_the_same_files_whatever_else_there_is(tmp_path: Path) -> None:
    tree(tmp_path / "m", *(f"noise/a/{number}.wav" for number in range(20)))
    few = {file.origin.path for file in look(tmp_path, CorpusConfig(name="musan", path="m", most=5)).files}
    more = {file.origin.path for file in look(tmp_path, CorpusConfig(name="musan", path="m", most=9)).files}
    assert len(few) == 5 and len(more) == 9 and few < more


def test_a_folder_that_is_another_corpus_or_missing_is_told(tmp_path: Path) -> None:
    speech_commands(tmp_path / "sc")
    message = refusal(tmp_path, CorpusConfig(name="musan", path="sc"))
    assert "ingest.corpora.0.path" in message and "does not look like musan" in message and "music/" in message
    assert "is no folder" in refusal(tmp_path, CorpusConfig(name="musan", path="nowhere"))
    tree(tmp_path / "esc", "audio/1-100-A-0.wav")
    assert "esc50.csv" in refusal(tmp_path, CorpusConfig(name="esc50", path="esc"))


def test_corpora_from_a_folder_and_from_the_web_become_one_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_this_process(
        function: Callable[[Any], Any], items: Iterable[Any], workers: int, ahead: int = 8
    ) -> Iterator[Any]:
        yield from map(function, items)

    monkeypatch.setattr(ingest_module, "ordered_map", in_this_process)
    monkeypatch.setattr(pronunciation, "ordered_map", in_this_process)
    monkeypatch.setattr(health, "_plot", lambda path, _: path.touch())
    raw = tmp_path / "raw"
    write(raw / "positive" / "speaker=a" / "p.wav", word(0.8, 1))
    for number in range(2):
        write(raw / "sc" / "yes" / f"{number}c_nohash_0.wav", word(1.0, 10 + number))
    noise = write(tmp_path / "n.wav", word(2.0, 5)).read_bytes()
    archive = tar_of({"musan/noise/free-sound/n.wav": noise, "musan/README": b""})
    with serving(Site(archive)) as url:
        web = CorpusConfig(name="musan", url=url, sha256=hashlib.sha256(archive).hexdigest())
        config = IngestConfig(
            root=str(raw),
            folders=[FolderConfig(path=".")],
            corpora=[CorpusConfig(name="speech_commands", path="sc"), web],
        )
        ingest(config, PHRASES, "en", 1, 1, tmp_path / "corpus", tmp_path / "report", downloads=tmp_path / "downloads")
    clips = {clip.origin.path: clip for clip in Corpus.open(tmp_path / "corpus").clips}
    assert sorted(clips) == [
        "musan/musan/noise/free-sound/n.wav",
        "positive/speaker=a/p.wav",
        "speech_commands/yes/0c_nohash_0.wav",
        "speech_commands/yes/1c_nohash_0.wav",
    ]
    heard = Corpus.open(tmp_path / "corpus").audio(clips["musan/musan/noise/free-sound/n.wav"])
    assert np.array_equal(heard, soundfile.read(tmp_path / "n.wav", dtype="int16")[0])
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert metrics["source"]["musan"]["noise"]["clips"] == 1
    assert not any("which is none of" in warning for warning in metrics["warnings"])
