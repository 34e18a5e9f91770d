"""Batches made ahead are those that were asked for, made once, by one thread, and never stale."""

import threading

import pytest

from wakeword.training.prefetch import Prefetch


def test_steps_in_any_order_give_their_own_batch_and_a_run_makes_each_once() -> None:
    made: list[int] = []
    threads = set()

    def make(step: int) -> int:
        made.append(step)
        threads.add(threading.get_ident())
        return step * step

    batches = Prefetch(make, ahead=2)
    assert [batches(step) for step in range(10)] == [step * step for step in range(10)]
    batches.forget()
    assert sorted(set(made)) == made and set(range(10)) <= set(made) <= set(range(12))
    assert [batches(step) for step in (10_000, 3, 4, 0)] == [10_000**2, 9, 16, 0]
    assert len(threads) == 1 and threading.get_ident() not in threads


def test_the_next_batches_are_made_without_being_asked_for() -> None:
    third = threading.Event()

    def make(step: int) -> int:
        if step == 2:
            third.set()
        return step

    Prefetch(make, ahead=2)(0)
    assert third.wait(timeout=30)


def test_what_was_made_before_a_change_is_not_given_out_after_it() -> None:
    factor = 1
    batches = Prefetch(lambda step: step * factor, ahead=3)
    assert batches(1) == 1
    batches.forget()
    factor = 10
    assert [batches(2), batches(3), batches(4)] == [20, 30, 40]


def test_an_error_reaches_who_asked_for_that_step_and_nobody_else() -> None:
    def make(step: int) -> int:
        if step == 1:
            raise ValueError("step 1")
        return step

    batches = Prefetch(make)
    assert batches(0) == 0
    with pytest.raises(ValueError, match="step 1"):
        batches(1)
    assert batches(2) == 2
    batches.forget()


def test_forgetting_waits_for_what_is_being_made() -> None:
    """What feeds the maker, such as mined windows, is changed right after."""
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def make(step: int) -> int:
        if step == 1:
            begun.set()
            may_end.wait(timeout=30)
            ended.set()
        return step

    batches = Prefetch(make, ahead=1)
    assert batches(0) == 0 and begun.wait(timeout=30)
    threading.Timer(0.2, may_end.set).start()
    batches.forget()
    assert ended.is_set()
