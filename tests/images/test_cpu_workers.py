import threading
from contextlib import closing

import pytest
import torch

from probe.images.cpu_workers import CpuWorkers, run_in_threads
from probe.images.models.lookup import image_model

HOW = {"guidance_scale": 3.0, "n_steps": 2}


def test_a_separate_pipeline_has_the_weights_and_nothing_else_in_common(pipeline):
    other = image_model(pipeline).independent_copy()
    assert other.unet is not pipeline.unet
    assert other.scheduler is not pipeline.scheduler
    ours, theirs = (dict(of.unet.named_parameters()) for of in (other, pipeline))
    assert {name: id(weight) for name, weight in ours.items()} == {
        name: id(weight) for name, weight in theirs.items()
    }
    other.unet.conv_in.register_forward_hook(lambda *of: None)
    other.scheduler.set_timesteps(7)
    assert not pipeline.unet.conv_in._forward_hooks
    assert pipeline.scheduler.num_inference_steps != 7


@pytest.mark.usefixtures("two_cores")
def test_pictures_made_side_by_side_are_those_made_in_turn(pipeline):
    states, empty = image_model(pipeline).encode(["a photo of a cook", ""])
    batches = [[1, 2, 3], [4, 5], [6], [7, 8, 9, 10]]
    streams = CpuWorkers(pipeline, n_parts=2)
    met = threading.Barrier(2)

    def made(seeds):
        model = image_model(streams.pipeline)
        return model.denoise(states.expand(len(seeds)), empty, seeds, **HOW)

    def together(seeds):
        met.wait(timeout=60)  # passes only where two run at once
        return seeds, made(seeds)

    torch.set_num_threads(1)
    in_turn = {tuple(seeds): made(seeds) for seeds in batches}
    torch.set_num_threads(2)
    found = list(streams.run((lambda seeds=seeds: together(seeds)) for seeds in batches))
    assert sorted(seeds for seeds, _ in found) == sorted(batches)
    for seeds, latents in found:
        torch.testing.assert_close(latents, in_turn[tuple(seeds)], rtol=0, atol=0)


@pytest.mark.usefixtures("two_cores")
def test_each_stream_takes_its_share_of_the_cores_and_gives_it_back(pipeline):
    streams = CpuWorkers(pipeline, n_parts=8)
    assert streams.n == 2
    assert list(streams.run([torch.get_num_threads] * 3)) == [1, 1, 1]
    assert torch.get_num_threads() == 2
    later = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [2]


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
def test_the_cores_are_given_back_after_an_error(pipeline, kind):
    def fail():
        raise kind

    with pytest.raises(kind):
        list(CpuWorkers(pipeline, n_parts=2).run([fail]))
    assert torch.get_num_threads() == 2


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


def test_an_error_of_a_piece_surfaces_before_the_next_one_starts():
    ran = []

    def fail():
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        list(run_in_threads([lambda: ran.append(0), fail, lambda: ran.append(2)]))
    assert ran == [0]


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
