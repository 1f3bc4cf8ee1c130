"""Files of JSON lines under kills, other writers and a full disk."""

import resource

import pytest

from pursamere_viz.evaluation.journal import append, whole_lines


def test_what_another_writer_left_of_a_line_is_taken_away_before_the_next(tmp_path):
    path = tmp_path / "run.jsonl"
    append(path, "1\n2\n")
    with path.open("ab") as killed:  # by somebody else, after this program has read the file
        killed.write(b'{"half')
    append(path, "3\n")
    assert path.read_bytes() == b"1\n2\n3\n"


@pytest.mark.parametrize("there", [b"", b"half a line", b"x" * 200_000, b"1\n" + b"x" * 200_000])
def test_the_last_whole_line_is_found_however_long_the_rest_is(there, tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_bytes(there)
    append(path, "2\n")
    assert whole_lines(path.read_bytes()) == [*whole_lines(there), b"2"]


def test_a_full_disk_keeps_what_was_there_and_nothing_of_the_rest(tmp_path):
    path, (soft, hard) = tmp_path / "run.jsonl", resource.getrlimit(resource.RLIMIT_FSIZE)
    append(path, "kept\n")
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(ValueError, match="File too large; what was kept before stays"):
            append(path, "a line\n" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"kept\n"
    append(path, "after\n")
    assert path.read_bytes() == b"kept\nafter\n"
