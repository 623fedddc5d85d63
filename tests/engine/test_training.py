"""The training loop against plain SGD written out, and the curves it reports against counting."""

import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.engine.step import Diverged
from bench.engine.training import Labelled, predict
from tests.making.trainings import IMAGES, LABELS, TEST, Recorder, draft, fresh, recipe, same_bits, same_curves, trained

STANDING_STILL = {"lr": 1e-30, "momentum": 0.0, "weight_decay": 0.0}


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    return torch.stack([row.exp().sum().log() - row[int(truth)] for row, truth in zip(logits, y, strict=True)]).mean()


def accuracy_one_by_one(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    network.eval()
    with torch.inference_mode():
        right = sum(
            int(network(image[None].float() / 255).argmax()) == int(truth)
            for image, truth in zip(images, labels, strict=True)
        )
    return 100 * right / len(labels)


def weights(network: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().double().flatten() for parameter in network.parameters()])


def test_the_same_seed_gives_the_same_bits(tmp_path: Path) -> None:
    torch.manual_seed(1)
    first, first_history = trained(tmp_path / "a")
    torch.manual_seed(2)
    second, second_history = trained(tmp_path / "b")
    assert same_bits(first, second)
    assert same_curves(first_history, second_history)


def test_another_seed_gives_another_network(tmp_path: Path) -> None:
    first, first_history = trained(tmp_path / "a")
    second, second_history = trained(tmp_path / "b", seed=1)
    assert not same_bits(first, second)
    assert not same_curves(first_history, second_history)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"momentum": 0.0},
        {"weight_decay": 0.1},
        {"nesterov": True},
        {"clip_gradient": 0.2},
        {"schedule": {"kind": "one-cycle"}, "warmup_epochs": 1, "warmup_from": 0.001},
    ],
    ids=str,
)
def test_training_is_sgd_on_the_batches_it_shows(changes: dict[str, Any], tmp_path: Path) -> None:
    how, recorder = recipe(**changes), Recorder()
    network, _ = trained(tmp_path, how, defense=recorder)
    plain = fresh().train()
    parameters = list(plain.parameters())
    velocity = [torch.zeros_like(parameter) for parameter in parameters]
    for step, (x, y) in enumerate(recorder.batches):
        gradients = torch.autograd.grad(cross_entropy(plain(x), y), parameters)
        length = math.sqrt(sum(float((gradient.double() ** 2).sum()) for gradient in gradients))
        shrink = min(1.0, how.clip_gradient / length) if how.clip_gradient else 1.0
        with torch.no_grad():
            for parameter, gradient, v in zip(parameters, gradients, velocity, strict=True):
                pull = shrink * gradient + how.weight_decay * parameter
                v.copy_(how.momentum * v + pull)
                parameter.sub_(how.rate(step, 4) * (pull + how.momentum * v if how.nesterov else v))
    moved, error = weights(plain) - weights(fresh()), weights(plain) - weights(network)
    assert float(error.norm()) < 1e-4 * float(moved.norm())
    for name, value in plain.named_buffers():
        torch.testing.assert_close(network.state_dict()[name], value, rtol=1e-3, atol=1e-4)


def test_every_step_uses_the_rate_of_the_recipe(tmp_path: Path) -> None:
    how, recorder = recipe(schedule={"kind": "one-cycle"}, warmup_epochs=1), Recorder()
    trained(tmp_path, how, defense=recorder)
    assert recorder.rates == [how.rate(step, 4) for step in range(12)]


def test_every_epoch_shows_every_image_once_in_an_order_of_its_own(tmp_path: Path) -> None:
    recorder = Recorder()
    trained(tmp_path, recipe(augmentation={}), defense=recorder)
    assert [len(y) for _, y in recorder.batches] == [16, 16, 16, 2] * 3
    known = {image.numpy().tobytes(): position for position, image in enumerate(IMAGES)}
    orders = []
    for epoch in range(3):
        batches = recorder.batches[4 * epoch : 4 * epoch + 4]
        x, y = torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])
        assert 0 <= float(x.amin()) <= float(x.amax()) <= 1
        order = [known[(image * 255).round().byte().contiguous().numpy().tobytes()] for image in x]
        assert sorted(order) == list(range(50))
        assert torch.equal(y, LABELS[order])
        orders.append(order)
    assert len({tuple(order) for order in orders}) == 3


@pytest.mark.parametrize(
    "augmentation",
    [{"crop_padding": 2, "flip": True}, {"crop_padding": 0, "resized_crop": 0.2, "flip": True}],
    ids=["crop", "resize"],
)
def test_images_that_are_to_stay_as_stored_do_and_the_others_are_augmented_as_ever(
    augmentation: dict[str, Any], tmp_path: Path
) -> None:
    how, some, none = recipe(augmentation=augmentation), Recorder(), Recorder()
    kept = torch.arange(50) % 5 < 2
    trained(tmp_path / "some", how, defense=some, as_stored=kept)
    trained(tmp_path / "none", how, defense=none)
    trained(tmp_path / "plain", recipe(augmentation={}), defense=(plain := Recorder()))
    known = {image.numpy().tobytes(): position for position, image in enumerate(IMAGES)}
    for (x, _), (augmented, _), (stored, _) in zip(some.batches, none.batches, plain.batches, strict=True):
        positions = [known[(image * 255).round().byte().contiguous().numpy().tobytes()] for image in stored]
        for image, position, other, own in zip(x, positions, augmented, stored, strict=True):
            assert torch.equal(image, own if kept[position] else other)


def test_augmentation_is_drawn_anew_for_every_epoch(tmp_path: Path) -> None:
    recorder = Recorder()
    trained(tmp_path, recipe(), defense=recorder)
    assert not torch.equal(
        *(torch.cat([x for x, _ in recorder.batches[4 * e : 4 * e + 4]]).sort(0).values for e in (0, 1))
    )


class Dice(Recorder):
    """Keeps the first number that each batch, and the data set, would draw."""

    def __init__(self) -> None:
        super().__init__()
        self.rolled: list[float] = []

    def dataset(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        self.rolled.append(float(torch.rand((), generator=generator)))
        return images

    def batch(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        self.rolled.append(float(torch.rand((), generator=generator)))
        return x, y


def test_a_defense_draws_other_numbers_for_every_batch_epoch_and_seed(tmp_path: Path) -> None:
    first, again, other = Dice(), Dice(), Dice()
    trained(tmp_path / "a", defense=first)
    trained(tmp_path / "b", defense=again)
    trained(tmp_path / "c", defense=other, seed=1)
    assert first.rolled == again.rolled
    assert len({*first.rolled, *other.rolled}) == 2 * (1 + 3 * 4)


def test_reported_loss_and_accuracy_are_means_over_the_images_as_trained_on(tmp_path: Path) -> None:
    # The rate is too small to move a weight. Batch norm in train mode makes the logits of an image depend on its
    # batch, so the batches are those that were shown; the last one is smaller and weighs less.
    recorder = Recorder()
    _, history = trained(tmp_path, recipe(epochs=1, **STANDING_STILL), defense=recorder)
    network = fresh().train()
    loss, right = 0.0, 0
    with torch.no_grad():
        for x, y in recorder.batches:
            logits = network(x)
            for row, truth in zip(logits, y, strict=True):
                loss += float(row.double().exp().sum().log() - row[int(truth)])
                right += int(row.argmax()) == int(truth)
    assert history.train_loss == pytest.approx([loss / 50], rel=1e-5)
    assert history.train_acc == pytest.approx([100 * right / 50], abs=1e-9)


def test_reported_test_accuracy_is_that_of_the_network_after_each_epoch(tmp_path: Path) -> None:
    after: list[nn.Module] = []
    network, history = trained(tmp_path)
    for epoch in range(3):
        checkpoint = fresh()
        checkpoint.load_state_dict(draft(tmp_path).tensors(f"epoch-{epoch:03d}"))
        after.append(checkpoint)
    assert history.test_acc == pytest.approx([accuracy_one_by_one(each, TEST.images, TEST.labels) for each in after])
    assert same_bits(after[-1], network)
    assert not same_bits(after[0], after[1])
    assert not network.training


def test_a_checkpoint_is_the_network_of_a_run_that_ended_there(tmp_path: Path) -> None:
    constant = {"schedule": {"kind": "steps", "at": []}}
    trained(tmp_path / "long", recipe(epochs=3, **constant))
    for epochs in (1, 2):
        short, _ = trained(tmp_path / f"short-{epochs}", recipe(epochs=epochs, **constant))
        kept = draft(tmp_path / "long").tensors(f"epoch-{epochs - 1:03d}")
        assert all(torch.equal(value, kept[name]) for name, value in short.state_dict().items())


def test_training_overwrites_neither_images_nor_labels(tmp_path: Path) -> None:
    before = [tensor.clone() for tensor in (IMAGES, LABELS, TEST.images, TEST.labels)]
    trained(tmp_path)
    assert all(torch.equal(*pair) for pair in zip(before, (IMAGES, LABELS, TEST.images, TEST.labels), strict=True))


def test_prediction_is_the_class_of_the_largest_logit_whatever_the_number_of_images() -> None:
    network = deepcopy(fresh())
    images = IMAGES.repeat(25, 1, 1, 1)
    predicted = predict(network.train(), images, "fp32", 0)
    assert predicted.dtype == torch.int64
    with torch.inference_mode():
        one_by_one = torch.stack([network.eval()(image[None].float() / 255)[0].argmax() for image in IMAGES])
    assert torch.equal(predicted, one_by_one.repeat(25))


class Formats(Recorder):
    """Keeps the number format of the logits in training and in judging."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[bool, torch.dtype]] = set()

    def network(self, network: nn.Module) -> nn.Module:
        network.register_forward_hook(lambda module, _, logits: self.seen.add((module.training, logits.dtype)))
        return network


@pytest.mark.parametrize(
    ("wanted", "format_used"), [("auto", torch.float32), ("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_training_and_judging_use_the_precision_of_the_recipe(
    wanted: str, format_used: torch.dtype, tmp_path: Path
) -> None:
    formats = Formats()
    network, _ = trained(tmp_path, recipe(epochs=1, precision=wanted), defense=formats)
    assert formats.seen == {(True, format_used), (False, format_used)}
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_an_absurd_rate_is_reported_as_divergence_with_its_epoch(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"training loss of epoch 1 is (nan|inf): lower recipe\.lr, or bound the"):
        trained(tmp_path, recipe(lr=1e30, weight_decay=0.0))


class Breaks(Recorder):
    """Writes a number into the network after a step, as an overflow does; the loss of that step is finite."""

    def __init__(self, tensor: str, number: float, step: int) -> None:
        super().__init__()
        self.tensor, self.number, self.step = tensor, number, step

    def network(self, network: nn.Module) -> nn.Module:
        self.trained = network
        return network

    def optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        optimizer.register_step_post_hook(lambda *_: self.overflow())
        return super().optimizer(optimizer)

    def overflow(self) -> None:
        if len(self.batches) == self.step:
            self.trained.state_dict()[self.tensor].fill_(self.number)


@pytest.mark.parametrize(
    ("tensor", "number", "says"),
    [
        (
            "classifier.conv1.weight",
            math.nan,
            "conv1.weight holds values that are not finite after the last step",
        ),
        (
            "classifier.bn1.running_var",
            math.inf,
            "bn1.running_var holds values that are not finite after the last",
        ),
        ("classifier.head.weight", 3e38, "outputs for 30 of 30 test images are not finite after epoch 3"),
    ],
)
def test_a_network_that_overflows_in_its_last_step_is_not_judged(
    tensor: str, number: float, says: str, tmp_path: Path
) -> None:
    with pytest.raises(Diverged, match=says):
        trained(tmp_path, defense=Breaks(tensor, number, step=12))
    assert draft(tmp_path).names() == ["epoch-000", "epoch-001"]


def test_what_an_overflow_has_left_is_never_gone_on_from(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"last step of epoch 2: lower recipe\.lr"):
        trained(tmp_path, defense=Breaks("classifier.conv1.weight", math.inf, step=8))
    whole, history = trained(tmp_path)
    again, undisturbed = trained(tmp_path / "undisturbed")
    assert same_bits(whole, again)
    assert same_curves(history, undisturbed)


def test_a_network_that_takes_all_for_one_class_is_a_result(tmp_path: Path) -> None:
    _, history = trained(tmp_path, recipe(epochs=1), defense=Breaks("classifier.head.bias", 1e30, step=4))
    assert history.test_acc == pytest.approx([100 / 3])


def test_without_test_images_no_epoch_is_judged_and_the_last_network_comes_out(tmp_path: Path) -> None:
    judged, of_judged = trained(tmp_path / "judged")
    alone, history = trained(tmp_path / "alone", test=Labelled(TEST.images[:0], TEST.labels[:0], classes=3))
    assert history.test_acc == []
    assert (history.train_loss, history.train_acc) == (of_judged.train_loss, of_judged.train_acc)
    assert len(history.seconds) == len(history) == 3
    assert same_bits(alone, judged)
