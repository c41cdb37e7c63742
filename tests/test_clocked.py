"""What a clock measured is told from what is the same in every run."""

from tools.downloads import clocked


def test_only_what_a_clock_measured_is_masked():
    text = """\
float32: 3.2825 nats, int8: 3.2822 nats, difference -0.0003
trained model, int8: median 0.0498 s (0.0458 to 0.0555)
published architecture, int8: 79.740 MB
published architecture, int8: 3.28 times as fast as float32
hidden size 32: 0.51 times as fast as float32 (0.45 to 0.58)
2.1 times as fast
2.14 ×
drawn: olmo2, Olmo2ForCausalLM, 127,488 parameters
0.0512 s (0.0508 to 0.0527)
times as fast as float32: 0.48 at 32, 3.99 at 512
eager float32  float32 3.46  0.0000   1.00  0.44   1.00   0.36
float16 on disk  float16 5.39 0.0000   1.09  1.26
  contradicted by 3 of 24 shapes measured here
memory kept: float32 154 ms, int8 95 ms
eager int8, 25 words: writing, to reading: 4.4 ×
int8: 30.1 GB/s, 93 billion/s
int8: arithmetic from a batch of 4
float32: memory for every batch
finished 2026-11-21T18:40:17+00:00 after 194 s of training
   **Total running time of the script:** (0 minutes 15.240 seconds)"""
    assert clocked.masked(text) == [
        "float32: 3.2825 nats, int8: 3.2822 nats, difference -0.0003",
        "trained model, int8: median …",
        "published architecture, int8: 79.740 MB",
        "published architecture, int8: … times as fast as float32",
        "hidden size 32: … times as fast as float32 …",
        "… times as fast",
        "… ×",
        "drawn: …",
        "…",
        "times as fast as float32: …",
        "eager float32  float32 3.46  0.0000…",
        "float16 on disk  float16 5.39 0.0000…",
        "  contradicted by … of 24 shapes measured here",
        "memory kept: …",
        "eager int8, 25 words: writing, to reading: …",
        "int8: …",
        "int8: …",
        "float32: …",
        "finished … of training",
        "   **Total running time of the script:** …",
    ]


def test_the_numbers_of_a_timed_table_are_masked():
    timed = "table:\nMilliseconds of a call\ntexts\n16\n2.23 to 5.40\neager"
    assert clocked.masked(timed)[2:] == ["texts", "…", "…", "eager"]
    counted = timed.replace("Milliseconds of a call", "Bytes")
    assert clocked.masked(counted) == counted.splitlines()
