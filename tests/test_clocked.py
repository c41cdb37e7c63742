"""What a clock measured is told from what is the same in every run."""

from tools.downloads import clocked


def test_only_what_a_clock_measured_is_masked():
    text = """\
float32: 3.2825 nats, int8: 3.2822 nats, difference -0.0003
trained model, int8: median 0.0498 s (0.0458 to 0.0555)
published architecture, int8: 79.740 MB
published architecture, int8: 3.28 times as fast as float32
hidden size 32: 0.51 times as fast as float32 (0.45 to 0.58)
eager LSTM, 1 × 1 words, 1 thread: 9.9 times as fast as float32 (9.1 to 10.2), kept 8.8: agrees
live cells that contradict the kept grid: 3 of 24, measured alike
eager int8, writing: 17.8 times its limit
finished 2026-11-21T18:40:17+00:00 after 194 s of training
   **Total running time of the script:** (0 minutes 15.240 seconds)"""
    assert clocked.masked(text) == [
        "float32: 3.2825 nats, int8: 3.2822 nats, difference -0.0003",
        "trained model, int8: median …",
        "published architecture, int8: 79.740 MB",
        "published architecture, int8: … times as fast as float32",
        "hidden size 32: … times as fast as float32 …",
        "eager LSTM, 1 × 1 words, 1 thread: … times as fast as float32 …",
        "live cells that contradict the kept grid: …",
        "eager int8, writing: … times its limit",
        "finished … of training",
        "   **Total running time of the script:** …",
    ]
