import pytest
import torch

from sscnb.errors import UserError
from sscnb.method.drs import Suppression, suppress


def by_loop(x, delta):
    result = x.clone()
    for image in range(x.shape[0]):
        for channel in range(x.shape[1]):
            cap = delta * max(float(v) for v in x[image, channel].flatten())
            for i in range(x.shape[2]):
                for j in range(x.shape[3]):
                    result[image, channel, i, j] = min(float(x[image, channel, i, j]), cap)
    return result


@pytest.mark.parametrize("delta", [0.2, 0.55, 1.0])
@pytest.mark.parametrize("relu", [True, False])
def test_suppress_is_equation_3(delta, relu):
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = x.relu() if relu else x
    assert torch.equal(suppress(x, delta), by_loop(x, delta))


def test_suppress_by_hand():
    x = torch.tensor([[[[1.0, 2.0], [-3.0, 10.0]]]])
    assert torch.allclose(suppress(x), torch.tensor([[[[1.0, 2.0], [-3.0, 5.5]]]]))


@pytest.mark.parametrize("top", [-1.0, 0.0])
def test_a_channel_that_is_nowhere_positive_stays_as_it_is(top):
    x = torch.tensor([[[[top, -2.0], [top, -5.0]]]], requires_grad=True)
    y = suppress(x)
    assert torch.equal(y, x)
    y.sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))


def test_gradient_flows_through_the_cap():
    x = torch.tensor([[[[1.0, 2.0], [6.0, 10.0]]]], requires_grad=True)
    suppress(x).sum().backward()
    # 6 and 10 are both capped at .55 * 10, so the sum is 1 + 2 + 2 * .55 * max
    assert torch.allclose(x.grad, torch.tensor([[[[1.0, 1.0], [0.0, 1.1]]]]))


def test_gradcheck():
    x = torch.randn(2, 2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    assert torch.autograd.gradcheck(suppress, (x,))


def suppressed_places(module):
    blocks = {0: 1, 1: 2, 2: 3, 3: 2, 4: 3}
    x = torch.tensor([[[[1.0, 10.0]]]])
    places = {(s, b) for s, n in blocks.items() for b in range(n) if not torch.equal(module(x, s, b, b == n - 1), x)}
    return places


def test_places_in_training_and_test():
    assert suppressed_places(Suppression("paper").train()) == {(4, 2)}
    assert suppressed_places(Suppression("paper").eval()) == {(4, 2)}
    assert suppressed_places(Suppression("released").train()) == {(2, 2), (4, 0), (4, 1), (4, 2)}
    assert suppressed_places(Suppression("released").eval()) == {(4, 0), (4, 1), (4, 2)}


def test_module_uses_its_delta():
    x = torch.tensor([[[[1.0, 10.0]]]])
    assert Suppression(delta=0.3)(x, 4, 0, True).max() == pytest.approx(3.0)


def test_bad_choices_are_named():
    with pytest.raises(UserError, match="released"):
        Suppression("release")
    for delta in (0.0, -1.0, 1.5):
        with pytest.raises(UserError, match="delta"):
            Suppression(delta=delta)
        with pytest.raises(UserError, match="delta"):
            suppress(torch.ones(1, 1, 2, 2), delta)
