"""The other pages of a build are stopped while one measures time."""

import ast
import os
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

from tools.gallery import alone, project

PAGE = textwrap.dedent(
    """
    import ast, codeop, sys, time
    from tools.gallery import alone

    alone.ask_before_cells()
    compiler = codeop.Compile()
    for cell in sys.argv[1:]:
        exec(compiler(ast.parse(cell), "page.py", "exec"))
    """
)
CHILD = "import subprocess; subprocess.run(['sleep', '60'])"
MEASURES = "x = time.perf_counter(); print('measures', flush=True); sys.stdin.readline()"
GOES_ON = "print('goes on', flush=True); time.sleep(60)"


@pytest.fixture
def start():
    """Start pages of some cells, each in a process that asks for silence; end them at last."""
    silence, started = alone.Silence(), []

    def begin(*cells):
        variables = {**os.environ, alone.ADDRESS: silence.address, "PYTHONPATH": str(project.ROOT)}
        command = [sys.executable, "-c", PAGE, *cells]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        started.append(psutil.Popen(command, env=variables, **pipes))
        return started[-1]

    with silence.serve():
        yield begin
        for process in started:
            for child in [process, *process.children(recursive=True)]:
                child.kill()
            process.communicate()


def wait_until(what):
    """Wait for something for as long as a slow machine may need."""
    late = time.monotonic() + 60
    while not what():
        assert time.monotonic() < late
        time.sleep(0.01)


def are_stopped(page):
    """Tell whether a page and all that it started are stopped."""
    processes = [page, *page.children(recursive=True)]
    return all(one.status() == psutil.STATUS_STOPPED for one in processes)


def test_others_and_what_they_started_are_stopped_while_a_cell_measures(start):
    other = start(CHILD)
    wait_until(other.children)
    page = start(MEASURES, GOES_ON)
    assert page.stdout.readline() == "measures\n"
    wait_until(lambda: are_stopped(other))  # a signal takes a moment to arrive
    page.stdin.write("\n")
    page.stdin.flush()
    assert page.stdout.readline() == "goes on\n"
    wait_until(lambda: not are_stopped(other))


def test_two_do_not_measure_at_once(start):
    pages = [start(MEASURES, GOES_ON) for _ in range(2)]
    wait_until(lambda: any(map(are_stopped, pages)))
    assert not all(map(are_stopped, pages))


def test_a_page_that_dies_while_it_measures_does_not_stop_the_others_for_good(start):
    other = start(CHILD)
    wait_until(other.children)
    page = start(MEASURES)
    page.stdout.readline()
    wait_until(lambda: are_stopped(other))
    page.kill()
    wait_until(lambda: not are_stopped(other))


def test_a_call_of_a_function_of_the_page_that_measures_is_a_measurement():
    measuring = alone.Measuring()
    cells = "def once(): return clock.process_time()", "x = 1", "print(once())", "measured = 1"
    assert [measuring(ast.parse(cell)) for cell in cells] == [True, False, True, False]
