"""A breaker can't be copied: each copy would see only some of the calls."""

import copy
import pickle
from collections.abc import Callable

import pytest

from recloser import CircuitBreaker


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_breaker_refuses_to_be_copied_and_pickled(duplicate: Callable[[CircuitBreaker], object]) -> None:
    with pytest.raises(TypeError, match="'payments' can be neither copied nor pickled; share the object"):
        duplicate(CircuitBreaker("payments"))
