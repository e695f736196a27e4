import threading
from contextlib import closing

import pytest

from probe.images.cpu_workers import run_in_threads


def test_each_piece_runs_on_one_other_thread_in_turn_and_gives_what_it_returns():
    def piece(number):
        return lambda: (number, threading.get_ident())

    results = list(run_in_threads(piece(number) for number in range(5)))
    assert [number for number, _ in results] == list(range(5))
    assert len({thread for _, thread in results}) == 1
    assert threading.get_ident() not in {thread for _, thread in results}


def test_the_next_piece_is_prepared_while_one_runs():
    is_prepared = threading.Event()

    def pieces():
        yield lambda: is_prepared.wait(timeout=30)  # ends only if the second one is prepared
        is_prepared.set()
        yield lambda: True

    assert list(run_in_threads(pieces())) == [True, True]


def test_so_many_pieces_run_at_once_and_no_more_each_on_a_thread_that_began():
    met, began, running, most = threading.Barrier(3), [], [], []

    def piece(number):
        running.append(number)
        most.append(len(running))
        met.wait(timeout=30)  # passes only where three run at once
        running.remove(number)
        return number

    pieces = (lambda number=number: piece(number) for number in range(9))
    found = list(run_in_threads(pieces, 3, lambda: began.append(threading.get_ident())))
    assert sorted(found) == list(range(9))
    assert max(most) == 3
    assert len(set(began)) == len(began) == 3


def test_no_piece_gives_nothing():
    assert list(run_in_threads([])) == []


class FullError(Exception):
    pass


def test_an_error_of_a_piece_surfaces_before_the_next_one_starts():
    ran = []

    def fail():
        raise FullError("no space left")

    with pytest.raises(FullError, match="no space left"):
        list(run_in_threads([lambda: ran.append(0), fail, lambda: ran.append(2)]))
    assert ran == [0]


def test_an_error_of_the_last_piece_surfaces():
    def fail():
        raise FullError

    with pytest.raises(FullError):
        list(run_in_threads([fail]))


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_what_runs_is_run_to_its_end_when_preparing_fails(kind):
    ended, may_end = [], threading.Event()

    def slow():
        may_end.wait(timeout=30)
        ended.append(True)

    def pieces():
        yield slow
        threading.Timer(0.05, may_end.set).start()
        raise kind

    with pytest.raises(kind):
        list(run_in_threads(pieces()))
    assert ended == [True]


def test_closed_early_it_starts_nothing_more_and_leaves_no_thread():
    ran = []
    before = threading.active_count()
    with closing(run_in_threads(lambda n=n: ran.append(n) for n in range(5))) as results:
        next(results)
    assert ran == [0]
    assert threading.active_count() == before
