"""Utterances are cut out of streams where their phonemes can be told, and telling them is learned."""

import copy
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models.networks import CONFIGS
from tests.training.conftest import BATCHES, FRONTEND, PHONEMES, RATE, transcribing
from wakeword.features.cmvn import accumulate
from wakeword.features.frontend import log_mel
from wakeword.features.store import Segment, Stream, StreamSet, write
from wakeword.models.config import DsTcnConfig, ModelConfig
from wakeword.models.network import Network, silent_state
from wakeword.training import loop
from wakeword.training.config import PhonemesConfig, SpecAugmentConfig, TrainConfig
from wakeword.training.objective import Objective, optimizer
from wakeword.training.phonemes import Transcriber, UtteranceSampler, transcription_loss

PITCHES = {"a": 300.0, "b": 900.0, "c": 2500.0}


def sampler(streams: StreamSet, network: Network, config: PhonemesConfig = PHONEMES) -> UtteranceSampler:
    return UtteranceSampler(streams, config, network.receptive_field, network.stride, seed=1)


def collapsed(path: tuple[int, ...]) -> tuple[int, ...]:
    """Return what CTC reads in a path: repetitions are one, blanks nothing."""
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol)


@pytest.mark.parametrize("wanted", [(1, 2), (1, 1), (2,)])
def test_the_loss_is_that_of_all_paths_that_read_so(wanted: tuple[int, ...]) -> None:
    logits = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(1))
    heard = 4  # the fifth score is not the utterance's
    chances = logits[1, :heard].double().softmax(dim=1)
    chance = sum(
        torch.stack([chances[score, symbol] for score, symbol in enumerate(path)]).prod()
        for path in itertools.product(range(3), repeat=heard)
        if collapsed(path) == wanted
    )
    alone = transcription_loss(logits[1:], [heard], [wanted])
    assert alone.item() == pytest.approx(-torch.as_tensor(chance).log().item() / len(wanted), rel=1e-5)
    other = transcription_loss(logits[:1], [5], [(2, 1)])
    both = transcription_loss(logits, [5, heard], [(2, 1), wanted])
    assert both.item() == pytest.approx(alone.item() + other.item(), rel=1e-5)


def test_an_utterance_is_told_by_the_scores_that_hear_it_in_its_stream(streams: StreamSet, network: Network) -> None:
    network.eval()
    drawn = sampler(streams, network).batch(3)
    assert drawn.features.shape[::2] == (4, 40) and drawn.features.dtype == torch.float32
    with torch.no_grad():
        logits = network(drawn.features)
    starts = {}
    for stream in streams.streams:
        features = streams.features(stream).astype(np.float32)
        for segment in stream.segments:
            first = int(segment.start_s * 100) - network.receptive_field
            starts[features[first].tobytes()] = stream, segment, first
    for window, score, scores, phonemes in zip(drawn.features, logits, drawn.scores, drawn.phonemes, strict=True):
        stream, segment, first = starts[window[0].numpy().tobytes()]
        assert " ".join({1: "high", 2: "low"}[symbol] for symbol in phonemes) == segment.phonemes
        # The last score is the first that has heard 0.3 s after the utterance.
        last_s = (first + network.receptive_field + network.stride * (scores - 1)) / 100
        assert segment.end_s + 0.27 < last_s <= segment.end_s + 0.31
        # A network that has long heard the stream gives the same scores.
        until = first + network.receptive_field + network.stride * (scores - 1)
        heard = streams.features(stream)[until % 2 : until].astype(np.float32)
        with torch.no_grad():
            streamed, _ = network.stream(torch.from_numpy(heard)[None], silent_state(network))
        assert torch.allclose(streamed[0, -scores:], score[:scores], atol=1e-4)


def test_the_draw_depends_on_the_step_alone(streams: StreamSet, network: Network) -> None:
    one, two = sampler(streams, network), sampler(streams, network)
    two.batch(7)
    assert np.array_equal(one.batch(5).features, two.batch(5).features)
    assert one.batch(5).phonemes == two.batch(5).phonemes != one.batch(6).phonemes


def rendered(segments: list[Segment], seconds: float = 4.0) -> tuple[Stream, np.ndarray, np.ndarray]:
    pcm = np.random.default_rng(1).integers(-100, 100, int(seconds * RATE)).astype(np.int16)
    features = log_mel(pcm, FRONTEND)
    return Stream("s", "train", 0, len(features), segments), features, pcm


def said(start_s: float, end_s: float, phonemes: str | None) -> Segment:
    return Segment(start_s, end_s, "negative", "speech", "g", f"{start_s}", None, True, phonemes)


@pytest.mark.parametrize(
    ("segment", "fits"),
    [
        (said(2.0, 3.0, "x y"), True),
        (said(2.0, 3.0, None), False),
        (said(0.3, 1.3, "x y"), False),  # the network would hear what is before the stream
        (said(3.0, 3.8, "x y"), False),  # or after it
        (said(1.0, 3.6, "x y"), False),  # longer than 2.5 s
        (said(2.0, 2.1, "x y z x y z x y z x y z x y z x y z x y z x y z"), False),  # 21 scores for 24
        (said(2.0, 2.1, "x x x x x x x x x x x x"), False),  # 12, and 11 blanks between them
    ],
)
def test_only_what_can_be_told_is_transcribed(tmp_path: Path, network: Network, segment: Segment, fits: bool) -> None:
    streams = write(tmp_path, "train", [rendered([segment])], FRONTEND.fingerprint, FRONTEND.mels, 0.0)
    made = sampler(streams, network)
    assert made.texts == fits
    if fits:
        drawn = made.batch(0)
        assert drawn.phonemes == [(1, 2)] * 4 and drawn.scores == [66] * 4
        assert drawn.features.shape == (4, network.receptive_field + 130, 40)


def test_where_a_stream_ends_its_last_frame_is_repeated(tmp_path: Path, network: Network) -> None:
    spoken = [said(1.0, 3.0, "x y"), said(2.5, 3.6, "y x")]
    streams = write(tmp_path, "train", [rendered(spoken)], FRONTEND.fingerprint, FRONTEND.mels, 0.0)
    drawn = sampler(streams, network, PhonemesConfig(utterances=8)).batch(0)
    assert len(set(drawn.phonemes)) == 2
    features = streams.features(streams.streams[0]).astype(np.float32)
    for window, phonemes in zip(drawn.features, drawn.phonemes, strict=True):
        first = (100 if phonemes == (1, 2) else 250) - network.receptive_field
        held = features[np.minimum(np.arange(first, first + len(window)), len(features) - 1)]
        assert np.array_equal(window, held)


def test_too_few_texts_teach_nothing_and_it_is_said(
    streams: StreamSet, network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    assert UtteranceSampler.of(streams, None, network, 1) is None
    assert UtteranceSampler.of(streams, PHONEMES, network, 1) is None
    assert "too few training clips have a text" in caplog.text and "train.phonemes" in caplog.text


def test_utterances_leave_the_statistics_to_the_windows(streams: StreamSet, network: Network) -> None:
    windows, utterances = torch.randn(4, 100, 40), torch.randn(3, 90, 40) * 5 + 3
    alone, learner = copy.deepcopy(network).train(), Transcriber(network, 3).train()
    torch.manual_seed(1)
    learner(windows, utterances)
    alone(windows)
    expected = dict(alone.named_buffers())
    for name, buffer in network.named_buffers():
        assert torch.allclose(buffer, expected[name], atol=1e-6), name
    assert all(norm.track_running_stats for norm in network.modules() if isinstance(norm, torch.nn.BatchNorm2d))


@pytest.mark.parametrize("mixed", [0.0, 0.5])
def test_micro_batches_add_up_to_the_gradient_of_the_step(
    streams: StreamSet, network: Network, objective: Objective, mixed: float
) -> None:
    batches = objective.batches.model_copy(update={"mixup": mixed})
    gradients = []
    for parts in (1, 2, 4):
        made = transcribing(streams, network, parts, batches)
        learner = made.learner(copy.deepcopy(network)).eval()
        loss = made.backward(learner, 4).item()
        gradients.append((loss, {name: parameter.grad for name, parameter in learner.named_parameters()}))
    (loss, whole), *others = gradients
    assert whole["head.weight"].abs().sum() > 0
    for total, gradient in others:
        assert total == pytest.approx(loss, rel=1e-5)
        for name in whole:
            assert torch.allclose(gradient[name], whole[name], rtol=1e-3, atol=1e-5), name


def test_the_weight_counts(streams: StreamSet, network: Network) -> None:
    losses = []
    for weight in (1.0, 2.0, 3.0):
        made = transcribing(streams, network)
        assert made.utterances is not None
        made.utterances.weight = weight
        losses.append(made(made.learner(copy.deepcopy(network)).eval(), 4).item())
    assert losses[2] - losses[1] == pytest.approx(losses[1] - losses[0], rel=1e-4)
    assert losses[1] > losses[0]


def test_it_fades_out_in_the_course_of_a_training(
    streams: StreamSet, network: Network, objective: Objective, config: TrainConfig, tmp_path: Path
) -> None:
    made, learner = transcribing(streams, network), transcribing(streams, network).learner(network).eval()
    losses = []
    for made.progress in (0.0, 0.5, 1.0):
        losses.append(made(learner, 4).item())
    assert losses[1] == pytest.approx((losses[0] + losses[2]) / 2, rel=1e-5)
    assert losses[2] == pytest.approx(objective(network, 4).item(), rel=1e-5) and losses[0] > losses[2]
    loop.train(network.train(), made, lambda _: {"mean_recall": 0.0, "frr": 0.0}, config, 0.01, 1, tmp_path)
    steps = config.epochs * config.steps_per_epoch
    assert made.progress == pytest.approx(1.0 - 1.0 / steps)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_every_architecture_transcribes_as_often_as_it_scores(streams: StreamSet, config: ModelConfig) -> None:
    network = Network(config, accumulate([streams.all_features], FRONTEND.fingerprint), FRONTEND.floor, phrases=2)
    heard = torch.randn(2, network.receptive_field + 100, 40)
    scores, told = Transcriber(network, 5).eval()(heard, heard)
    assert scores.shape == (2, 100 // network.stride + 1, 2) and told.shape == (2, 100 // network.stride + 1, 5)


def test_what_is_kept_has_one_head(streams: StreamSet, network: Network, config: TrainConfig, tmp_path: Path) -> None:
    names = list(network.state_dict())
    made = transcribing(streams, network)
    trained = loop.train(network, made, lambda _: {"mean_recall": 0.0, "frr": 0.0}, config, 0.01, 1, tmp_path)
    assert list(trained.network.state_dict()) == names


@pytest.fixture(scope="module")
def tunes(tmp_path_factory: pytest.TempPathFactory) -> tuple[StreamSet, StreamSet]:
    """Streams in which three pitches follow one another in any order, for training and for judging."""
    sets = []
    for name, seed, count in (("train", 1, 6), ("judged", 2, 1)):
        rng = np.random.default_rng(seed)
        made = []
        for number in range(count):
            sound = rng.standard_normal(60 * RATE) * 0.003
            segments = []
            for start_s in np.arange(2.0, 56.0, 2.0):
                text = [str(rng.choice(list(PITCHES)))]
                while len(text) < 3:
                    text.append(str(rng.choice([pitch for pitch in PITCHES if pitch != text[-1]])))
                time = np.arange(int(0.2 * RATE)) / RATE
                tones = [0.2 * np.sin(2 * np.pi * PITCHES[pitch] * time) for pitch in text]
                first = int(start_s * RATE)
                sound[first : first + int(0.6 * RATE)] += np.concatenate(tones)
                label = "positive" if text == ["a", "b", "c"] else "negative"
                phrase = 0 if label == "positive" else None
                end_s = start_s + 0.6
                segments.append(Segment(start_s, end_s, label, label, "g", "c", phrase, True, " ".join(text)))
            pcm = (sound * 32767).astype(np.int16)
            features = log_mel(pcm, FRONTEND)
            made.append((Stream(f"{name}{number}", name, 0, len(features), segments), features, pcm))
        sets.append(write(tmp_path_factory.mktemp(name), name, made, FRONTEND.fingerprint, FRONTEND.mels, 0.0))
    return sets[0], sets[1]


def test_what_was_never_heard_is_transcribed(tunes: tuple[StreamSet, StreamSet]) -> None:
    train, judged = tunes
    torch.manual_seed(1)
    config = DsTcnConfig(channels=32, dilations=[1, 2], stacks=2, dropout=0.0)
    network = Network(config, accumulate([train.all_features], FRONTEND.fingerprint), FRONTEND.floor, phrases=1)
    still = SpecAugmentConfig(time_masks=0, band_masks=0, gain_db=0.0, equalizer_db=0.0, vocal_tract=0.0)
    batches = BATCHES.model_copy(update={"spec_augment": still})
    made = transcribing(train, network, batches=batches, phonemes=PhonemesConfig())
    learner = made.learner(network)
    assert isinstance(learner, Transcriber)
    update = optimizer(learner.train(), TrainConfig().optimizer, 0.01)
    for step in range(250):
        # What a rate that does not fall leaves behind is a matter of rounding, which differs between processors.
        update.param_groups[0]["lr"] = update.param_groups[1]["lr"] = 0.01 * (1 - step / 250)
        made.backward(learner, step)
        update.step()
        update.zero_grad()
    spoken = UtteranceSampler(judged, PhonemesConfig(utterances=40), network.receptive_field, network.stride, seed=1)
    batch = spoken.batch(0)
    with torch.no_grad():
        _, logits = learner.eval()(torch.zeros(1, 200, 40), batch.features)
    right = [
        collapsed(tuple(row[:scores].argmax(dim=1).tolist())) == wanted
        for row, scores, wanted in zip(logits, batch.scores, batch.phonemes, strict=True)
    ]
    assert np.mean(right) > 0.8
