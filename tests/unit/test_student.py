"""Student's t against scipy."""

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from core.student import central_probability, two_sided_quantile


@pytest.mark.parametrize("dof", [1, 2, 3, 4, 5, 9, 10, 29, 30, 99, 200])
@pytest.mark.parametrize("probability", [0.5, 0.9, 0.95, 0.99])
def test_the_quantile_of_student_is_scipys(dof: int, probability: float) -> None:
    wanted = scipy.stats.t.ppf(0.5 + probability / 2, dof)
    assert two_sided_quantile(probability, dof) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("dof", [201, 1000, 10**6])
@pytest.mark.parametrize("probability", [0.5, 0.9, 0.95, 0.99])
def test_many_degrees_of_freedom_are_quick_and_good_to_eight_digits(dof: int, probability: float) -> None:
    wanted = scipy.stats.t.ppf(0.5 + probability / 2, dof)
    assert two_sided_quantile(probability, dof) == pytest.approx(wanted, rel=1e-8)


@given(t=st.floats(0.0, 50.0), dof=st.integers(1, 120))
def test_the_probability_of_student_is_scipys(t: float, dof: int) -> None:
    wanted = scipy.stats.t.cdf(t, dof) - scipy.stats.t.cdf(-t, dof)
    assert central_probability(t, dof) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(("probability", "dof"), [(0.0, 3), (1.0, 3), (0.95, 0)])
def test_a_quantile_that_does_not_exist(probability: float, dof: int) -> None:
    with pytest.raises(ValueError, match="degree of freedom"):
        two_sided_quantile(probability, dof)
