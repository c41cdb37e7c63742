"""Tell what a clock measured, or chance chose, from what is the same in every run of a page."""

import re

TEXT = (
    r"(?:(?<=: median )|^)[\d.e+-]+ s \([\d.e+-]+ to [\d.e+-]+\)$",
    r"(?<=: )[\d.]+(?= times as fast as float32)",
    r"(?<= times as fast as float32 )\([\d.]+ to [\d.]+\)$",
    r"^[\d.]+(?= (?:times as fast|×)$)",
    r"(?<=^times as fast as float32: )[\d.]+ at 32, [\d.]+ at 512$",
    r"(?<=\.\d{4})(?:\s+\d+\.\d\d){2,4}$",
    r"(?<= (?:FAILED|passed)) +[\d.]+ s(?=  )",
    r"(?<=^drawn: ).*$",
    r"(?<=contradicted by )\d+(?= of \d+ shapes measured here$)",
    r"(?<=: )float32 \d+ ms, int8 \d+ ms$",
    r"(?<=, to reading: )[\d.]+ ×$",
    r"(?<=: )[\d.]+ GB/s, \d+ billion/s$",
    r"(?<=: )(?:arithmetic from a batch of \d+|memory for every batch)$",
    r"(?<=: )[\d.]+ ms(?= for a token of each text$)",
    r"(?<=: )[\d.]+(?= times the time of eager$)",
    r"(?<=^finished )\S+ after \d+ s(?= of training$)",
    r"(?<=\*\*Total running time of the script:\*\* )\(.*\)$",
)
TIMED_TABLE = re.compile(
    r"table:\n(?:Milliseconds|Seconds|Measured time|All routes on the trained model)"
)
"""The beginning of a table whose numbers a clock measured."""

NUMBER = re.compile(r"^[\d.,e+-]+(?: to [\d.,e+-]+)?$", re.MULTILINE)
UNITS = {"s", "×", "GB/s", "billion/s"}
"""The units of numbers that a clock measured."""


def masked(text: str) -> list[str]:
    r"""Read the lines of a text, with an ellipsis in place of what a clock measured.

    Examples
    --------
    >>> masked("size: 79.740 MB\nint8: median 0.0498 s (0.0458 to 0.0555)")
    ['size: 79.740 MB', 'int8: median …']
    >>> masked("matches              FAILED  19.2 s  it differs")
    ['matches              FAILED…  it differs']
    >>> masked("table:\nMilliseconds of a call\nLSTM\n3.25")
    ['table:', 'Milliseconds of a call', 'LSTM', '…']
    """
    if TIMED_TABLE.match(text):
        text = NUMBER.sub("…", text)
    for pattern in TEXT:
        text = re.sub(pattern, "…", text, flags=re.MULTILINE)
    return text.splitlines()
