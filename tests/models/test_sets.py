"""Norms kept apart by data set: each sample passes its own, and one set's part is a model of its own."""

import pytest
import torch
from torch import Tensor, nn

from limbeck.batch import Batch
from limbeck.errors import UserError
from limbeck.models import VGG, ImageModel, MultiTask, ResNet18, Several, fixed
from limbeck.tasks import Task
from tests.models.test_image import pixels

TASKS = (Task("age", 8),)
SPECS: tuple[ImageModel, ...] = (VGG(width=4, sets=3), ResNet18(width=4, sets=3))


def batch(x: Tensor, domain: Tensor | None = None) -> Batch:
    inputs = {"image": x} if domain is None else {"image": x, "domain": domain}
    return Batch(inputs, {}, torch.arange(len(x)))


def trained(spec: ImageModel, domain: Tensor) -> tuple[MultiTask, Tensor]:
    """A model whose norms have seen sets of different brightness, and the images."""
    torch.manual_seed(0)
    model = spec.build(TASKS, (1, 32, 32))
    x = (pixels(len(domain), 1, 32) // (1 + domain.view(-1, 1, 1, 1))).to(torch.uint8)
    optimiser = torch.optim.SGD(model.parameters(), 0.05)
    for _ in range(3):
        optimiser.zero_grad()
        model(batch(x, domain)).logits["age"].square().mean().backward()
        optimiser.step()
    optimiser.zero_grad()
    return model, x


def head_gradient(model: nn.Module) -> Tensor:
    gradient = dict(model.named_parameters())["heads.0.weight"].grad
    assert gradient is not None
    return gradient


@pytest.mark.parametrize("spec", SPECS, ids=["vgg", "resnet18"])
def test_one_set_of_a_model_is_a_plain_model_that_answers_the_same(spec: ImageModel) -> None:
    domain = torch.tensor([2, 0, 1, 1, 0, 2, 2, 0, 1, 2])
    model, x = trained(spec, domain)
    model.eval()
    answers = model(batch(x, domain)).logits["age"]
    for which in range(3):
        plain = spec.changed(sets=1).build(TASKS, (1, 32, 32)).eval()
        plain.load_state_dict(fixed(model, which).state_dict())
        for alone in (fixed(model, which), plain):
            assert torch.allclose(alone(batch(x[domain == which])).logits["age"], answers[domain == which], atol=1e-5)
        others = alone(batch(x[domain != which])).logits["age"]
        assert not torch.allclose(others, answers[domain != which], atol=1e-3)


@pytest.mark.parametrize("spec", SPECS, ids=["vgg", "resnet18"])
def test_training_on_a_mixed_batch_is_training_on_the_rows_of_each_set(spec: ImageModel) -> None:
    domain = torch.tensor([1, 0, 1, 2, 0, 2, 1])
    model, x = trained(spec, domain)
    alone = [fixed(model, which) for which in range(3)]
    answers = model(batch(x, domain)).logits["age"]
    answers.square().sum().backward()
    gradients = []
    for which, each in enumerate(alone):
        own = each(batch(x[domain == which])).logits["age"]
        assert torch.allclose(own, answers[domain == which], atol=1e-5)
        each.zero_grad()
        own.square().sum().backward()
        gradients.append(head_gradient(each))
        statistics = dict(each.named_buffers())
        for name, value in model.named_buffers():
            if f"each.{which}." in name:
                assert torch.allclose(value, statistics[name.replace(f"each.{which}.", "each.0.")], atol=1e-5), name
    assert torch.allclose(head_gradient(model), torch.stack(gradients).sum(dim=0), rtol=1e-4, atol=1e-5)


def test_a_set_that_is_not_in_a_batch_is_not_changed_by_it() -> None:
    model, x = trained(VGG(width=4, sets=3), torch.tensor([0, 1, 2, 2]))
    before = {name: value.clone() for name, value in model.named_buffers() if "each.2." in name}
    model(batch(x, torch.tensor([0, 1, 1, 0])))
    assert before
    for name, value in model.named_buffers():
        assert name not in before or torch.equal(value, before[name])


def test_sets_share_all_weights_but_those_of_the_norms() -> None:
    sizes = {sets: sum(p.numel() for p in VGG(width=4, sets=sets).build(TASKS, (1, 32, 32)).parameters())
             for sets in (1, 2)}  # fmt: skip
    assert sizes[2] - sizes[1] == 2 * (4 + 8 + 16 + 16 + 32 + 32)


def test_networks_side_by_side_are_fixed_each_and_one_that_keeps_no_sets_apart_stays() -> None:
    domain = torch.tensor([0, 1, 2, 1])
    model, x = trained(VGG(width=4, sets=3), domain)
    other = VGG(width=4).build((Task("gender", 2),), (1, 32, 32))
    both, joined = Several([model, other]).eval(), batch(x, domain)
    one, answers = fixed(both, 1)(batch(x)).logits, both(joined).logits
    assert torch.allclose(one["age"][domain == 1], answers["age"][domain == 1], atol=1e-5)
    assert torch.equal(one["gender"], answers["gender"])
    assert model.sets == 3, "it was a copy"
    with pytest.raises(UserError, match="keeps 3 data sets apart, and has not learnt from number 4"):
        fixed(model, 3)


def test_samples_of_no_set_or_an_unknown_one_are_told() -> None:
    model = VGG(width=4, sets=2).build(TASKS, (1, 32, 32)).eval()
    with pytest.raises(UserError, match="keeps 2 data sets apart, and these samples do not say whose they are"):
        model(batch(pixels(2, 1, 32)))
    with pytest.raises(UserError, match="keeps 2 data sets apart, and was given samples of a set number 3"):
        model(batch(pixels(2, 1, 32), torch.tensor([0, 2])))
