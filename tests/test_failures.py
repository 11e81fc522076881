"""What goes wrong inside Spark comes out as one of the package's errors, in one line."""

import errno
import os
import signal

import pyarrow as pa
import pytest

from curation import tables
from curation.errors import BadItemError, BrokenTableError, OutputError, SchemaError, TaskError
from curation.failures import spark_failures, told
from curation.job import _failed
from curation.stage import to_workers


def _raised(spark, task):
    with pytest.raises(spark_failures()) as caught:
        tables.in_tasks(spark.range(4), task)
    error = told(caught.value)
    assert "\n" not in str(error)
    return error


def test_an_own_error_of_a_task_keeps_its_class(spark):
    def fail(batches):
        raise SchemaError("part 3: table pairs lacks ['uid']")

    error = _raised(spark, fail)
    assert type(error) is SchemaError and str(error) == "part 3: table pairs lacks ['uid']"


class Damaged:
    """A data set of which no sample can be read."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, number: int):
        raise BrokenTableError("00000001.tar: wanted 7 bytes as committed, found 3")


def test_an_error_of_a_loaders_worker_is_told_in_one_line(capsys):
    from torch.utils.data import DataLoader

    with pytest.raises(BrokenTableError, match="Traceback") as caught:
        list(DataLoader(Damaged(), num_workers=1))
    assert _failed(caught.value) == 1
    assert capsys.readouterr().err == "BrokenTableError: 00000001.tar: wanted 7 bytes as committed, found 3\n"


def test_another_error_says_its_name_and_text(spark):
    def fail(batches):
        {}["colour"]
        yield {}

    error = _raised(spark, fail)
    assert type(error) is TaskError and "KeyError" in str(error) and "colour" in str(error)


def test_an_item_error_is_no_class_for_a_whole_run(spark):
    def fail(batches):
        raise BadItemError("too_large", "17 bytes")

    assert type(_raised(spark, fail)) is TaskError


def test_a_worker_killed_again_and_again_is_told(spark):
    def fail(batches):
        os.kill(os.getpid(), signal.SIGKILL)
        yield {}

    assert "worker" in str(_raised(spark, fail))


def test_a_full_place_is_told_with_the_path(spark, tmp_path):
    from curation.parts import write_part

    def fail(batches):
        schema = pa.schema([("text", pa.string())])
        write_part("/dev/full/part", "all", [], schema)
        yield {}

    error = _raised(spark, fail)
    assert type(error) is OutputError and "/dev/full/part/all.parquet" in str(error)


class Full:
    """As pickled to a full disk."""

    def __reduce__(self):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_scratch_while_a_value_is_sent_to_workers_is_one_line(spark, capfd):
    with pytest.raises(OSError) as caught:
        to_workers(spark.range(1), [Full()])
    assert "scratch folder is full" in str(told(caught.value))
    assert capfd.readouterr().err == ""
    assert to_workers(spark.range(1), 7).value == 7
