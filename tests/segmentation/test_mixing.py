"""ClassMix and contours, counted by hand."""

import pytest
import torch

from sscnb.segmentation.mixing import at_contour, mix_halves, mix_next, outline


def test_at_contour():
    target = torch.tensor([[[0, 0, 1, 1, 254, 2, 255, 0]]])
    assert at_contour(target, 3).tolist() == [[[0, 1, 1, 0, 0, 0, 0, 0]]]  # untrusted pixels make none, and are none
    assert at_contour(target, 5).tolist() == [[[1, 1, 1, 1, 0, 1, 0, 1]]]
    assert not at_contour(torch.full((1, 4, 4), 254), 5).any()


def test_the_next_image_gives_whole_classes():
    torch.manual_seed(0)
    target = torch.randint(0, 4, (6, 8, 8))
    target[:, 0], target[:, 1] = 254, 255
    images = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 3, 8, 8)
    mixed, labels, where = mix_next(images, target, 1.0)
    for index in range(6):
        donor = (index + 1) % 6
        pasted = mixed[index, 0] == donor
        assert torch.equal(where[index], pasted)
        chosen = target[donor][pasted].unique()
        assert len(chosen) == 2 and chosen.max() < 254  # half of four classes
        assert torch.equal(pasted, torch.isin(target[donor], chosen))
        assert torch.equal(labels[index], torch.where(pasted, target[donor], target[index]))
        assert torch.equal(mixed[index, 0] == index, ~pasted)


def test_mixing_leaves_its_input_alone_and_happens_as_often_as_said():
    torch.manual_seed(0)
    images, target = torch.randn(2, 3, 4, 4), torch.tensor([[[0, 1, 2, 2]] * 4, [[3, 3, 4, 5]] * 4])
    before = images.clone(), target.clone()
    same = mix_next(images, target, 0.0)
    assert torch.equal(same[0], images) and torch.equal(same[1], target)
    changed = sum(not torch.equal(mix_next(images, target, 0.5)[1][0], target[0]) for _ in range(400))
    assert 160 < changed < 240
    assert torch.equal(images, before[0]) and torch.equal(target, before[1])
    nothing = torch.full((2, 4, 4), 255)
    assert torch.equal(mix_next(images, nothing, 1.0)[0], images)


@pytest.mark.parametrize("count", [6, 7])
def test_halves_mix_with_each_other_without_the_background(count):
    torch.manual_seed(0)
    target = torch.randint(0, 4, (count, 8, 8))
    target[:, 0], target[:, 1] = 254, 255
    images = torch.arange(float(count)).view(-1, 1, 1, 1).expand(-1, 3, 8, 8)
    mixed, labels, where = mix_halves(images, target, 1.0)
    for index in range(6):
        donor = (index + 3) % 6
        pasted = mixed[index, 0] == donor
        chosen = target[donor][pasted].unique()
        assert len(chosen) == 2 and chosen.min() > 0 and chosen.max() < 254  # half of three classes, rounded up
        assert torch.equal(pasted, torch.isin(target[donor], chosen)) and torch.equal(where[index], pasted)
        assert torch.equal(labels[index], torch.where(pasted, target[donor], target[index]))
        assert torch.equal(mixed[index, 0] == index, ~pasted)
    if count == 7:  # without a partner
        assert torch.equal(mixed[6], images[6]) and torch.equal(labels[6], target[6]) and not where[6].any()


def test_halves_every_foreground_class_is_chosen_equally_often():
    torch.manual_seed(0)
    target = torch.tensor([[[0, 0, 0]], [[1, 2, 3]]])
    counts = torch.zeros(3)
    for _ in range(600):
        counts += mix_halves(torch.zeros(2, 3, 1, 3), target, 1.0).pasted[0, 0]
    assert (counts - 400).abs().max() < 60


def test_labels_of_mixed_images_come_from_elsewhere():
    torch.manual_seed(0)
    target = torch.tensor([[[1, 0]], [[0, 0]], [[2, 0]], [[0, 0]]])
    said = torch.tensor([[[3, 254]], [[3, 3]], [[0, 0]], [[0, 0]]])
    images = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 1, 2)
    mixed, labels, pasted = mix_halves(images, target, 1.0, said)
    # Only 0 and 1 have something to give, by what was said, to 2 and 3.
    assert pasted.tolist() == [[[False, False]], [[False, False]], [[True, False]], [[True, True]]]
    assert labels.tolist() == [[[1, 0]], [[0, 0]], [[3, 0]], [[3, 3]]]
    assert mixed[:, 0].tolist() == [[[0, 0]], [[1, 1]], [[0, 2]], [[1, 1]]]


def test_outline():
    pasted = torch.zeros(1, 5, 7, dtype=torch.bool)
    pasted[0, 1:4, :4] = True  # touches the left border
    expected = [
        [1, 1, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 1, 0, 0],
        [0, 0, 0, 1, 1, 0, 0],
        [1, 1, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 1, 0, 0],
    ]
    assert outline(pasted)[0].tolist() == expected
    assert not outline(torch.ones(1, 4, 4, dtype=torch.bool)).any()
