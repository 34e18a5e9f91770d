"""Stream and clip figures, against streams worked by hand, exhaustive sweeps, scipy and scikit-learn."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, sparse
from sklearn import metrics as sklearn

from wakeword.detection.policy import GRID, Policy
from wakeword.evaluation.metrics import (
    LOWEST_THRESHOLD,
    DetCurve,
    Keyword,
    Match,
    ScoredStream,
    Tally,
    clip_figures,
    det_curve,
    frr_at_fah,
    hours_outside,
    match,
    mean_recall,
    measure,
    tally,
)

SHIFT = 20.0


def test_an_event_hits_from_the_start_of_a_keyword_to_its_end_and_the_tolerance() -> None:
    keyword = [Keyword(10.0, 11.3)]
    for time_s, hit in ((9.98, False), (10.0, True), (11.0, True), (11.8, True), (11.82, False)):
        assert bool(match([time_s], keyword, 500).hits) is hit
    assert match([11.8], keyword, 0).false_alarms == [0]


def test_a_keyword_is_hit_once_and_an_event_hits_once() -> None:
    assert match([10.2, 10.6, 30.0], [Keyword(10, 11), Keyword(20, 21)], 500) == Match([(0, 0)], [1, 2], [1])
    overlapping = [Keyword(10, 14), Keyword(11, 12)]
    # The event at 12.2 could hit either; taking the one that ends first leaves the other for the event at 14.
    assert match([12.2, 14.0], overlapping, 500) == Match([(0, 1), (1, 0)], [], [])
    assert match([12.2], overlapping, 500) == Match([(0, 1)], [], [0])


@settings(max_examples=200)
@given(
    st.lists(st.integers(0, 60), max_size=8),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 15)), max_size=8),
    st.sampled_from([0, 500, 3000]),
)
def test_no_assignment_hits_more_keywords(events: list[int], spans: list[tuple[int, int]], tolerance: int) -> None:
    times = sorted(float(event) for event in events)
    keywords = [Keyword(float(start), float(start + length)) for start, length in spans]
    found = match(times, keywords, tolerance)
    possible = np.array(
        [[k.start_s <= t <= k.end_s + tolerance / 1000 for k in keywords] for t in times], dtype=bool
    ).reshape(len(times), len(keywords))
    assert all(possible[event, keyword] for event, keyword in found.hits)
    assert len({keyword for _, keyword in found.hits}) == len({event for event, _ in found.hits}) == len(found.hits)
    best = 0
    if possible.size:
        assigned = sparse.csgraph.maximum_bipartite_matching(sparse.csr_matrix(possible), perm_type="column")
        best = int((assigned >= 0).sum())
    assert len(found.hits) == best
    assert len(found.hits) + len(found.false_alarms) == len(times)
    assert len(found.hits) + len(found.misses) == len(keywords)


def test_hours_outside_counts_overlapping_keywords_once() -> None:
    assert hours_outside([], 3600) == 1.0
    assert hours_outside([Keyword(30, 50), Keyword(0, 10), Keyword(40, 60)], 3640) == pytest.approx(1.0)
    assert hours_outside([Keyword(0, 10), Keyword(2, 4), Keyword(95, 120)], 100) * 3600 == pytest.approx(85)


def hand_made() -> list[ScoredStream]:
    """Two streams of half an hour; of four keywords three are hit at 0.5, with two false alarms."""
    first, second = np.zeros(90_000, dtype=np.float32), np.zeros(90_000, dtype=np.float32)
    first[540:550] = 0.9  # inside the keyword, fires at 10.82 s
    first[5_000:5_003] = 0.6  # nothing there
    first[20_060:20_070] = 0.8  # 220 ms after the end
    second[1_000:1_010] = 0.7  # 20 ms after the end ...
    second[1_020:1_030] = 0.7  # ... and once more, 420 ms after: a false alarm without a refractory time
    second[70_000:70_010] = 0.45
    return [
        ScoredStream(first, [Keyword(10, 11), Keyword(400, 401)], 1800.0),
        ScoredStream(second, [Keyword(19, 20), Keyword(1399, 1400)], 1800.0),
    ]


def test_figures_of_hand_made_streams() -> None:
    policy = Policy(0.5, 0.4, refractory_ms=0)
    total = measure(hand_made(), policy, SHIFT, 500)
    hours = (3600 - 4) / 3600
    assert total == Tally(4, 1, 2, pytest.approx(hours), (-0.18, 0.22, 0.02))
    figures = total.figures()
    assert (figures["keywords"], figures["misses"], figures["frr"]) == (4, 1, 0.25)
    assert figures["frr_interval"] == pytest.approx([0.0456, 0.6994], abs=1e-4)
    assert (figures["false_alarms"], figures["fah"]) == (2, pytest.approx(2 / hours))
    assert figures["fah_interval"] == pytest.approx([0.2422 / hours, 7.2247 / hours], abs=1e-4)
    assert figures["latency_ms_median"] == pytest.approx(20)
    assert figures["latency_ms_p95"] == pytest.approx(20 + 0.9 * 200)
    assert measure(hand_made(), replace(policy, refractory_ms=1000), SHIFT, 500).false_alarms == 1


def test_figures_of_nothing_are_none() -> None:
    figures = tally([], [], 0.0, 500).figures()
    assert [key for key, value in figures.items() if value is None] == [
        "frr",
        "frr_interval",
        "fah",
        "fah_interval",
        "latency_ms_median",
        "latency_ms_p95",
    ]


def test_det_curve_of_hand_made_streams() -> None:
    curve = det_curve(hand_made(), Policy(0.5, 0.4, refractory_ms=0), SHIFT, 500)
    hours = (3600 - 4) / 3600
    assert curve.threshold == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.45])
    assert curve.misses.tolist() == [3, 2, 1, 1, 0]
    assert curve.false_alarms.tolist() == [0, 0, 1, 2, 2]
    assert curve.frr == pytest.approx([0.75, 0.5, 0.25, 0.25, 0.0])
    assert curve.fah == pytest.approx(np.array([0, 0, 1, 2, 2]) / hours)
    assert (curve.keywords, curve.hours, curve.floor) == (4, pytest.approx(hours), LOWEST_THRESHOLD)

    at = frr_at_fah(curve, 1.5)
    assert (at.threshold, at.misses, at.false_alarms, at.frr) == (pytest.approx(0.7), 1, 1, 0.25)
    assert frr_at_fah(curve, 0.5).frr == 0.5
    # 0.5 for FAH < 1 / hours, 0.75 from there to 2 / hours, which lies just above 2
    assert mean_recall(curve, 2.0) == pytest.approx((0.5 / hours + 0.75 * (2 - 1 / hours)) / 2)
    assert mean_recall(curve, 4.0) == pytest.approx((0.5 + 0.75 + 1.0 * (4 * hours - 2)) / hours / 4)


def test_the_sweep_ends_where_false_alarms_exceed_the_limit() -> None:
    curve = det_curve(hand_made(), Policy(0.5, 0.4, refractory_ms=0), SHIFT, 500, max_fah=1.5)
    assert curve.threshold == pytest.approx([0.9, 0.8, 0.7])
    assert curve.floor == pytest.approx(0.6)
    with pytest.raises(ValueError, match=r"1\.5"):
        frr_at_fah(curve, 2.0)
    with pytest.raises(ValueError, match=r"1\.5"):
        mean_recall(curve, 2.0)


def test_no_policy_reaches_the_rate_if_the_best_event_is_a_false_alarm() -> None:
    scores = np.zeros(50 * 3600)
    scores[100], scores[1005] = 0.9, 0.8
    curve = det_curve([(scores, [Keyword(20, 21)], 3600.0)], Policy(1.0, 0.8), SHIFT)
    at = frr_at_fah(curve, 0.5)
    assert (at.threshold, at.index, at.frr, at.misses, at.false_alarms) == (None, None, 1.0, 1, 0)
    assert frr_at_fah(curve, 2.0).frr == 0.0
    assert mean_recall(curve) == pytest.approx((2 - 3600 / 3599) / 2)


def test_what_the_hours_cannot_support_is_said() -> None:
    def curve(hours: float) -> DetCurve:
        one = np.array([0.5])
        return DetCurve(one, one, 0 * one, np.array([1]), np.array([0]), 0.1, 2, hours, 60.0)

    short, long = frr_at_fah(curve(2.0), 0.5), frr_at_fah(curve(6.0), 0.5)
    assert not short.supported
    assert "2 h cannot show FAH ≤ 0.5" in short.statement
    assert "only at 1.5" in short.statement
    assert "at least 6 h" in short.statement
    assert long.supported
    assert short.frr_interval == pytest.approx((0.0945, 0.9055), abs=1e-4)
    assert short.fah_interval == pytest.approx((0.0, 3.6889 / 2), abs=1e-4)


def test_a_dead_model_and_missing_truth() -> None:
    silent = det_curve([(np.zeros(1000), [Keyword(1, 2)], 20.0)], Policy(0.5, 0.4), SHIFT)
    assert len(silent.threshold) == 0
    assert frr_at_fah(silent, 1.0).frr == 1.0
    assert mean_recall(silent) == 0.0
    stuck = det_curve([(np.full(180_000, 0.5), [Keyword(1, 2)], 3600.0)], Policy(0.5, 0.4), SHIFT)
    assert (stuck.misses.tolist(), stuck.false_alarms.tolist()) == ([1], [1])
    with pytest.raises(ValueError, match="keywords"):
        det_curve([(np.zeros(1000), [], 20.0)], Policy(0.5, 0.4), SHIFT)
    with pytest.raises(ValueError, match="outside"):
        det_curve([(np.zeros(1000), [Keyword(0, 20)], 20.0)], Policy(0.5, 0.4), SHIFT)


@st.composite
def stream_sets(draw: st.DrawFn) -> list[ScoredStream]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    streams = []
    for _ in range(draw(st.integers(1, 3))):
        frames = draw(st.integers(1, 400))
        scores = rng.random(frames) ** draw(st.sampled_from([1, 3, 8]))
        if draw(st.booleans()):
            scores = np.round(scores * 12) / 12
        starts = rng.random(draw(st.integers(0, 5))) * frames * 0.02
        keywords = [Keyword(float(start), float(start + rng.random() * 0.6)) for start in starts]
        streams.append(ScoredStream(scores.astype(np.float32), keywords, frames * 0.02 + 20.0))
    streams[0] = streams[0]._replace(keywords=[*streams[0].keywords, Keyword(0.1, 0.5)])
    return streams


def test_the_sweep_goes_on_below_the_lowest_score_while_the_release_threshold_falls() -> None:
    # The middle score arms the detector again while the release threshold is above it: from a threshold of 1.08e-6 on.
    streams = [ScoredStream(np.array([0.9, 4e-7, 0.9], np.float32), [Keyword(10.0, 10.5)], 20.0)]
    curve = det_curve(streams, Policy(1.0, 0.37, 1, 1, 1, 0), SHIFT, 300, 1e6)
    assert curve.false_alarms.tolist() == [2, 1]
    assert curve.threshold == pytest.approx([0.9, 4e-7 / 0.37], rel=1e-5)


@settings(max_examples=70)
@given(
    stream_sets(),
    st.sampled_from([1.0, 0.8, 0.37]),
    st.sampled_from([1, 2, 5]),
    st.sampled_from([(1, 1), (2, 3), (3, 3)]),
    st.sampled_from([0, 60, 1000]),
    st.sampled_from([200.0, 1e6]),
    st.integers(0, 2**32 - 1),
)
def test_det_curve_is_that_of_the_detector_at_any_threshold(
    streams: list[ScoredStream],
    ratio: float,
    smoothing: int,
    votes: tuple[int, int],
    refractory: int,
    max_fah: float,
    seed: int,
) -> None:
    template = Policy(1.0, ratio, smoothing, *votes, refractory)
    curve = det_curve(streams, template, SHIFT, 300, max_fah)
    rng = np.random.default_rng(seed)
    scores = np.concatenate([stream.scores for stream in streams]).astype(np.float64)
    tried = np.concatenate([rng.random(20), rng.choice(scores, 15), rng.choice(scores, 15) / ratio, curve.threshold])
    tried = np.concatenate([tried, np.nextafter(curve.threshold, 0) - 1e-11, curve.threshold + 1e-11, [curve.floor]])
    tried = np.round(tried / GRID) * GRID  # the detector knows none between: two scores below 2^-17 may be one to it
    for threshold in rng.permutation(tried)[:60]:
        if not LOWEST_THRESHOLD <= threshold <= 1.0:
            continue
        truth = measure(streams, replace(template, threshold=threshold, release=threshold * ratio), SHIFT, 300)
        if threshold <= curve.floor:
            if threshold == curve.floor > LOWEST_THRESHOLD:
                assert truth.false_alarms > max_fah * curve.hours
            continue
        index = int(np.sum(curve.threshold >= threshold)) - 1
        expected = (int(curve.misses[index]), int(curve.false_alarms[index])) if index >= 0 else (curve.keywords, 0)
        assert (truth.misses, truth.false_alarms) == expected


def lifelike(seed: int, hours: float, keywords: int) -> list[ScoredStream]:
    rng = np.random.default_rng(seed)
    frames = round(hours * 180_000)
    logits = np.convolve(rng.normal(size=frames + 10), np.full(11, 0.3), "valid") * 2 - 7
    for centre in rng.integers(0, frames - 60, frames // 1000):
        logits[centre : centre + 40] += np.hanning(40) * rng.gamma(2, 2)
    truth = []
    for number in range(keywords):
        start = (number + 0.3) * frames * 0.02 / keywords
        truth.append(Keyword(start, start + 0.8))
        at = round((start + 0.4) * 50)
        logits[at : at + 50] += np.hanning(50) * rng.normal(11, 3)
    return [ScoredStream((1 / (1 + np.exp(-logits))).astype(np.float32), truth, frames * 0.02)]


def test_the_curve_of_two_lifelike_hours_is_that_of_the_detector() -> None:
    streams = lifelike(0, 2.0, 400)
    curve = det_curve(streams, Policy(1.0, 0.8, 10), SHIFT)
    assert curve.fah[-1] <= 60.0
    truth = measure(streams, Policy(curve.floor, curve.floor * 0.8, 10), SHIFT, 500)
    assert truth.false_alarms > 60.0 * curve.hours
    for index in range(0, len(curve.threshold), len(curve.threshold) // 10):
        threshold = float(curve.threshold[index])
        truth = measure(streams, Policy(threshold, threshold * 0.8, 10), SHIFT, 500)
        assert (truth.misses, truth.false_alarms) == (curve.misses[index], curve.false_alarms[index])


@settings(max_examples=80)
@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=40),
    st.lists(st.integers(0, 12), min_size=1, max_size=60),
)
def test_clip_figures_are_those_of_scikit_learn(positive: list[int], negative: list[int]) -> None:
    figures = clip_figures(np.array(positive) / 12, np.array(negative) / 12)
    labels = np.repeat([1, 0], [len(positive), len(negative)])
    scores = np.array(positive + negative) / 12
    assert figures.roc_auc == pytest.approx(sklearn.roc_auc_score(labels, scores))
    fpr, tpr, _ = sklearn.roc_curve(labels, scores, drop_intermediate=False)
    inside = fpr <= 0.1
    # np.interp takes the last of equal abscissae, which at the very edge adds no area
    x, y = np.append(fpr[inside], 0.1), np.append(tpr[inside], np.interp(0.1, fpr, tpr))
    assert figures.pauc == pytest.approx(sklearn.auc(x, y) / 0.1 if len(x) > 1 else 0.0)
    # on a vertical piece the error is where it crosses; parametrize by arc to have one solution
    steps = np.arange(len(fpr))
    crossing = optimize.brentq(lambda s: np.interp(s, steps, fpr) + np.interp(s, steps, tpr) - 1, 0, steps[-1])
    assert figures.eer == pytest.approx(np.interp(crossing, steps, fpr), abs=1e-9)


def test_clip_figures_worked_by_hand() -> None:
    perfect = clip_figures(np.array([0.9, 0.8]), np.array([0.1, 0.2, 0.3]))
    assert (perfect.roc_auc, perfect.pauc, perfect.eer) == pytest.approx((1.0, 1.0, 0.0))
    useless = clip_figures(np.full(3, 0.5), np.full(4, 0.5))
    assert (useless.roc_auc, useless.pauc, useless.eer) == pytest.approx((0.5, 0.05, 0.5))
    # of 10 negatives the best beats one of two positives: at FPR 0.1 the curve is at TPR 0.5
    mixed = clip_figures(np.array([0.9, 0.4]), np.append(0.5, np.zeros(9)))
    assert (mixed.positives, mixed.negatives, mixed.pauc) == (2, 10, pytest.approx(0.5))
    assert mixed.eer == pytest.approx(0.1)


def test_clip_figures_refuse_what_has_none() -> None:
    for positive, negative in (([], [0.5]), ([0.5], []), ([0.5], [math.nan])):
        with pytest.raises(ValueError, match="finite"):
            clip_figures(np.array(positive), np.array(negative))
