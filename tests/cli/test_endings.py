import errno

import pytest

from recloser.cli.endings import unwrapped


class TroubleError(Exception):
    """An error that a command turns into a message."""


def wrapped(*errors: BaseException) -> BaseExceptionGroup[BaseException]:
    return BaseExceptionGroup("of a task group", [BaseExceptionGroup("of another within", list(errors))])


def test_what_is_asked_for_comes_out_as_it_is() -> None:
    first = TroubleError("first")
    with pytest.raises(TroubleError) as caught, unwrapped(TroubleError):
        raise wrapped(first, TroubleError("second"))
    assert caught.value is first


def test_what_is_not_asked_for_stays_wrapped() -> None:
    with pytest.raises(BaseExceptionGroup), unwrapped():
        raise wrapped(TroubleError())


def test_ctrl_c_and_a_reader_that_is_gone_come_first() -> None:
    with pytest.raises(KeyboardInterrupt), unwrapped(TroubleError):
        raise wrapped(TroubleError(), KeyboardInterrupt(), BrokenPipeError())
    with pytest.raises(BrokenPipeError) as caught, unwrapped(TroubleError):
        raise wrapped(TroubleError(), BrokenPipeError())
    assert caught.value.errno == errno.EPIPE


def test_a_block_that_ends_well_raises_nothing() -> None:
    with unwrapped(TroubleError):
        pass
