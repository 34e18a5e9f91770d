"""The listening sheet: everything on it is there, is what its label says, and is the same bytes twice."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.streams.test_assembly import CONFIG, RATE, corpus
from wakeword.corpus.shards import Corpus
from wakeword.streams.assembly import plan_training, render
from wakeword.streams.config import AugmentConfig
from wakeword.streams.samples import variants, write_samples

__all__ = ["corpus"]


def test_the_sheet_plays_every_file_and_is_the_same_bytes_twice(corpus: Corpus, tmp_path: Path) -> None:
    written = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        write_samples(folder, corpus, corpus.clips, plan_training(CONFIG, corpus.clips, 5), AugmentConfig())
        written.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert written[0] == written[1]
    page = written[0]["index.html"].decode()
    played = re.findall(r'src="(\d\d\.wav)"', page)
    assert sorted([*played, "index.html", "augmentation.png"]) == sorted(written[0])
    assert 24 <= len(played) <= 48  # a few dozen; DVC is slow with many files
    assert 'src="augmentation.png"' in page and written[0]["augmentation.png"].startswith(b"\x89PNG")
    for name in played:
        pcm, rate = soundfile.read(tmp_path / "1" / name, dtype="int16")
        assert rate == RATE and pcm.any()


def test_each_variant_does_what_it_says(corpus: Corpus) -> None:
    clip = next(clip for clip in corpus.clips if clip.origin.phrase)
    heard = {v.done: render(v.plan, corpus).astype(float) for v in variants(clip, corpus.clips, AugmentConfig())}
    dry = heard.pop("dry")
    assert len(heard) > 12 and all(np.abs(sound - dry).max() > 10 for sound in heard.values())
    quiet = heard["gain: speech at -42 dBFS"]
    assert 20 * np.log10(np.linalg.norm(dry) / np.linalg.norm(quiet)) == pytest.approx(18.0, abs=0.5)
    noisy, less = (heard[f"recorded noise, SNR {snr} dB"] - dry for snr in (5, 20))
    assert 20 * np.log10(np.linalg.norm(noisy) / np.linalg.norm(less)) == pytest.approx(15.0, abs=0.5)


def test_without_recordings_of_rooms_and_noise_the_rest_is_shown(corpus: Corpus) -> None:
    clips = [clip for clip in corpus.clips if clip.origin.label in ("positive", "negative")]
    told = [variant.done for variant in variants(clips[0], clips, AugmentConfig())]
    assert "dry" in told and not any(word in done for done in told for word in ("recorded", "measured"))
