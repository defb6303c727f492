"""The training loop: schedule, checkpoints, and going on after an interruption as if there had been none."""

import pytest
import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.state import AcceleratorState
from torch import nn

from sscnb.errors import UserError
from sscnb.networks.checkpoints import load_checkpoint, load_state, resume, save_checkpoint
from sscnb.networks.device import precision_for, products_in
from sscnb.networks.training import Schedule, fit
from sscnb.networks.training_data import EpochSampler

NUMBER = 10


@pytest.fixture(autouse=True)
def fresh_accelerator():
    """accelerate keeps one precision a process."""
    AcceleratorState._reset_state(True)
    yield
    AcceleratorState._reset_state(True)


class Numbers(torch.utils.data.Dataset):
    """Points on a line with noise that depends on epoch and index; keeps a list of what was asked for."""

    def __init__(self, poison: tuple[int, int] | None = None):
        self.poison, self.asked = poison, []

    def __len__(self):
        return NUMBER

    def __getitem__(self, key):
        self.asked.append(key)
        noise = torch.randn(4, generator=torch.Generator().manual_seed(1000 * key[0] + key[1]))
        if key == self.poison:
            noise[0] = float("nan")
        return {"id": f"image{key[1]}", "x": noise, "y": noise.sum()}


class Line(nn.Module):
    """A linear model behind dropout, with a frozen helper; `stop` makes it fail at a given (epoch, step)."""

    def __init__(self, stop: tuple[int, int] | None = None):
        super().__init__()
        torch.manual_seed(3)
        self.linear, self.dropout = nn.Linear(4, 1), nn.Dropout(0.3)
        self.helper = nn.Linear(4, 4).requires_grad_(False)
        self.stop, self.steps, self.optimizers = stop, {}, []
        self.rates, self.kinds, self.losses = [], [], []

    def forward(self, batch, epoch):
        step = self.steps[epoch] = self.steps.get(epoch, -1) + 1
        if (epoch, step) == self.stop:
            raise KeyboardInterrupt
        self.rates.append([group["lr"] for o in self.optimizers for group in o.param_groups])
        out = self.linear(self.dropout(batch["x"]))[:, 0]
        self.kinds.append(out.dtype)
        square = (out.float() - batch["y"]).square().mean()
        self.losses.append(square.item())
        return {"loss": square, "square": square * 2}


def train(folder, *, line=None, data=None, epochs=4, exclude=(), config="abc", lr=0.05, momentum=0.9, **schedule):
    line = line or Line()
    sgd = torch.optim.SGD([{"params": [line.linear.weight], "lr": lr}], momentum=momentum)
    adam = torch.optim.Adam([line.linear.bias], lr=0.01)
    line.optimizers = [sgd, adam]
    history = fit(
        line,
        [sgd, adam],
        data or Numbers(),
        Schedule(epochs, **{"batch_size": 3, "precision": "no", **schedule}),
        seed=5,
        folder=folder,
        config_hash=config,
        exclude=exclude,
    )
    return line, history


def weights(folder):
    return load_checkpoint(folder / "checkpoint.pt")["model"]


def same_tree(one, other) -> bool:
    """Tell whether two checkpoints hold the same to the last bit, but for the seconds of an epoch."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_tree(v, other[k]) for k, v in one.items() if k != "seconds")
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same_tree, one, other))
    return one == other


# --- schedule ------------------------------------------------------------------------------------------------------


def test_rates_fall_by_the_polynomial(tmp_path):
    line, _ = train(tmp_path, epochs=2, power=0.9)
    factors = [(1 - step / 6) ** 0.9 for step in range(6)]  # 2 epochs of 3 whole batches of 3
    assert line.rates == [pytest.approx([0.05 * f, 0.01 * f], rel=1e-12) for f in factors]
    assert line.rates[0] == [0.05, 0.01]


def test_rates_fall_no_further_than_the_smallest(tmp_path):
    line, _ = train(tmp_path, epochs=2, power=0.9, min_lr=0.004)
    factors = [(1 - step / 6) ** 0.9 for step in range(6)]
    assert line.rates == [pytest.approx([max(0.004, 0.05 * f), max(0.004, 0.01 * f)]) for f in factors]
    assert line.rates[-1] == [pytest.approx(0.05 * factors[-1]), 0.004] and line.rates[-3][1] > 0.004


def test_rates_go_on_where_they_were(tmp_path):
    whole, _ = train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", line=Line(stop=(2, 1)))
    rest, _ = train(tmp_path / "parts")
    assert rest.rates == whole.rates[6:]


def test_every_epoch_sees_each_image_once_but_for_the_last_part_of_a_batch(tmp_path):
    data = Numbers()
    train(tmp_path, data=data, epochs=2)
    for epoch in range(2):
        asked = [key for key in data.asked if key[0] == epoch]
        assert len(asked) == len(set(asked)) == 9
    assert [i for _, i in data.asked[:9]] != [i for _, i in data.asked[9:]]


def test_fewer_images_than_a_batch(tmp_path):
    data = Numbers()
    _, history = train(tmp_path, data=data, epochs=1, batch_size=64)
    assert len(data.asked) == NUMBER and len(history) == 1


def test_history_holds_the_means_of_the_losses(tmp_path):
    line, history = train(tmp_path, epochs=3)
    assert [e["epoch"] for e in history] == [0, 1, 2]
    assert [e["loss"] for e in history] == pytest.approx([sum(line.losses[i : i + 3]) / 3 for i in (0, 3, 6)])
    assert all(e["square"] == pytest.approx(2 * e["loss"]) and e["seconds"] >= 0 for e in history)
    assert history == load_checkpoint(tmp_path / "checkpoint.pt")["history"]


def test_seed_changes_the_order(tmp_path):
    orders = set()
    for seed in (0, 1):
        data, line = Numbers(), Line()
        sgd = torch.optim.SGD(line.parameters(), lr=0.0)
        fit(line, [sgd], data, Schedule(1, 3), seed=seed, folder=tmp_path / str(seed), config_hash="a")
        orders.add(tuple(data.asked))
    assert len(orders) == 2


# --- going on ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [(1, 0), (1, 2), (2, 1), (3, 2)])
def test_interrupted_training_ends_like_the_uninterrupted(tmp_path, stop):
    train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", line=Line(stop=stop))
    assert len(load_checkpoint(tmp_path / "parts/checkpoint.pt")["history"]) == stop[0]
    torch.rand(7)  # the state of the generators plays no part
    train(tmp_path / "parts")
    whole, parts = (load_checkpoint(tmp_path / name / "checkpoint.pt") for name in ("whole", "parts"))
    assert len(parts["history"]) == 4 and same_tree(whole, parts)


def test_a_resumed_run_sees_the_images_of_its_own_epochs(tmp_path):
    # accelerate's loader counts epochs by itself, from 0 in every process.
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, line=Line(stop=(2, 1)))
    data = Numbers()
    train(tmp_path, data=data)
    expected = []
    for epoch in (2, 3):
        sampler = EpochSampler(NUMBER, 5)
        sampler.set_epoch(epoch)
        expected += list(sampler)[:9]
    assert data.asked == expected


def test_finished_training_is_not_repeated(tmp_path):
    train(tmp_path, epochs=2)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    data = Numbers()
    _, history = train(tmp_path, data=data, epochs=2)
    assert data.asked == [] and len(history) == 2 and (tmp_path / "checkpoint.pt").read_bytes() == before


def test_excluded_parts_are_not_saved(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, line=Line(stop=(1, 0)), exclude=("helper.",))
    assert set(weights(tmp_path)) == {"linear.weight", "linear.bias"}
    _, history = train(tmp_path, exclude=("helper.",))
    assert len(history) == 4


def test_a_checkpoint_without_a_part_that_is_wanted(tmp_path):
    train(tmp_path, epochs=1, exclude=("helper.",))
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(UserError, match="helper.weight") as caught:
        train(tmp_path)
    assert str(tmp_path / "checkpoint.pt") in str(caught.value)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_a_checkpoint_of_another_configuration(tmp_path):
    train(tmp_path, epochs=1)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(UserError) as caught:
        train(tmp_path, config="xyz")
    text = str(caught.value)
    assert str(tmp_path / "checkpoint.pt") in text and "configuration abc, not xyz" in text
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_a_damaged_checkpoint(tmp_path, content):
    train(tmp_path, epochs=1)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:-300] if content is None else content)
    before = path.read_bytes()
    with pytest.raises(UserError, match="cannot be read") as caught:
        train(tmp_path)
    assert str(path) in str(caught.value) and path.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": {"weight": "text"}}, "not made of tensors"),
        ({"optimizers": [3]}, "lacks what a training goes on from"),
        ({"optimizers": []}, "lacks what a training goes on from"),
    ],
)
def test_a_checkpoint_of_another_shape(tmp_path, change, said):
    train(tmp_path, epochs=1)
    path = tmp_path / "checkpoint.pt"
    torch.save(torch.load(path, weights_only=True) | change, path)
    with pytest.raises(UserError, match=said) as caught:
        train(tmp_path)
    assert str(path) in str(caught.value) and "elete it" in str(caught.value)


def test_a_checkpoint_is_data_and_no_code(tmp_path):
    torch.save({"config": "abc", "model": Line()}, tmp_path / "checkpoint.pt")  # a pickled object
    with pytest.raises(UserError, match="cannot be read"):
        load_checkpoint(tmp_path / "checkpoint.pt")


def test_an_interruption_while_a_checkpoint_is_written_is_one(tmp_path, monkeypatch):
    train(tmp_path, epochs=1)
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def interrupted(*_):
        """As torch does: it closes its archive on the way out, and that fails."""
        try:
            raise KeyboardInterrupt("terminated")
        finally:
            raise RuntimeError("unexpected pos 20132800 vs 20132688")

    with monkeypatch.context() as patch:
        patch.setattr("torch.save", interrupted)
        with pytest.raises(KeyboardInterrupt, match="terminated"):
            train(tmp_path, epochs=2)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_missing_checkpoint(tmp_path):
    with pytest.raises(UserError, match="is missing") as caught:
        load_checkpoint(tmp_path / "checkpoint.pt")
    assert str(tmp_path / "checkpoint.pt") in str(caught.value)


def test_states_that_do_not_fit(tmp_path):
    net, path = nn.Linear(2, 2), tmp_path / "c.pt"
    state = {"weight": torch.zeros(2, 2), "bias": torch.zeros(2)}
    load_state(net, state, path)
    assert (net.weight == 0).all()
    with pytest.raises(UserError, match="another network: bias"):
        load_state(net, {"weight": state["weight"]}, path)
    load_state(net, {"weight": state["weight"]}, path, optional=("bias",))
    with pytest.raises(UserError, match="another network: extra"):
        load_state(net, state | {"extra": torch.zeros(1)}, path)
    with pytest.raises(UserError, match="size mismatch for weight") as caught:
        load_state(net, state | {"weight": torch.zeros(3, 2)}, path)
    assert str(path) in str(caught.value)


# --- what stops it -------------------------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_names_the_images(tmp_path):
    train(tmp_path, epochs=4, line=Line(), data=Numbers())
    (tmp_path / "checkpoint.pt").unlink()
    sampler = EpochSampler(NUMBER, 5)
    sampler.set_epoch(2)
    order = list(sampler)
    with pytest.raises(UserError) as caught:
        train(tmp_path, data=Numbers(poison=order[4]))  # in the second batch of three
    text = str(caught.value)
    assert "epoch 2, step 1" in text and "loss nan" in text
    assert ", ".join(f"image{index}" for _, index in order[3:6]) in text
    checkpoint = load_checkpoint(tmp_path / "checkpoint.pt")  # of the last whole epoch
    assert len(checkpoint["history"]) == 2 and str(tmp_path / "checkpoint.pt") in text
    assert all(torch.isfinite(v).all() for v in checkpoint["model"].values())


def test_clipping_limits_the_step(tmp_path):
    start = Line().linear.weight.detach().clone()

    def moved(name, clip):
        line, _ = train(tmp_path / name, epochs=1, batch_size=NUMBER, lr=1.0, momentum=0.0, clip=clip)
        return line.linear.weight.detach() - start

    free, clipped = moved("free", 0.0), moved("clipped", 1e-3)
    assert free.norm() > 0.1
    # The norm is over all gradients, the bias's too, so the weight's part is at most clip.
    assert 0 < clipped.norm() <= 1e-3 * (1 + 1e-4)
    torch.testing.assert_close(clipped / clipped.norm(), free / free.norm(), rtol=1e-3, atol=1e-4)


def test_bf16_computes_in_bf16_and_keeps_full_weights(tmp_path):
    line, history = train(tmp_path, precision="bf16", epochs=2)
    assert set(line.kinds) == {torch.bfloat16} and line.linear.weight.dtype == torch.float32
    assert history[-1]["loss"] > 0
    assert set(v.dtype for v in weights(tmp_path).values()) == {torch.float32}


def test_precision():
    assert precision_for("no") == "no" and precision_for("bf16") == "bf16"
    assert precision_for("tf32") == "no"  # mixed precision is another thing
    for wrong in ("auto", "fp8", None):
        with pytest.raises(UserError, match="precision is"):
            precision_for(wrong)


def test_precisions_that_a_device_lacks(monkeypatch):
    asked = {}

    def supported(including_emulation=True):
        asked["emulation"] = including_emulation
        return including_emulation  # a GPU that only emulates it

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="needs a GPU"):
        precision_for("fp16")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    with pytest.raises(UserError, match="Tesla T4"):
        precision_for("bf16")
    assert asked == {"emulation": False} and precision_for("fp16") == "fp16" and precision_for("tf32") == "no"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert precision_for("bf16") == "bf16"


@pytest.mark.parametrize("precision, allowed", [("no", False), ("tf32", True), ("bf16", False)])
def test_tf32_is_allowed_inside_alone_and_on_a_gpu_alone(precision, allowed):
    def switches():
        return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32

    before = switches()
    assert before != (allowed, allowed)  # torch lets convolutions be rounded and matrix products not
    with products_in(precision, torch.device("cpu")):
        assert switches() == before
    with pytest.raises(ZeroDivisionError), products_in(precision, torch.device("cuda")):
        assert switches() == (allowed, allowed)
        raise ZeroDivisionError
    assert switches() == before


def test_the_scale_of_fp16s_losses_is_kept_with_the_optimisers(tmp_path):
    def state():
        net, scaler = torch.nn.Linear(1, 1), torch.amp.GradScaler("cpu", init_scale=64.0)
        optimizers = [torch.optim.SGD([parameter], 0.1, momentum=0.9) for parameter in net.parameters()]
        return net, [AcceleratedOptimizer(optimizer, False, scaler) for optimizer in optimizers], scaler

    Accelerator(cpu=True)
    net, optimizers, scaler = state()
    scaler.scale(net(torch.full((1, 1), torch.inf)).sum()).backward()
    scaler.step(optimizers[0].optimizer)  # skipped, since the gradient is not finite
    scaler.update()
    save_checkpoint(tmp_path / "c.pt", net, optimizers, [{"epoch": 0, "seconds": 1.0}], "hash")
    other, optimizers, scaler = state()
    assert resume(tmp_path / "c.pt", other, optimizers, "hash") == [{"epoch": 0, "seconds": 1.0}]
    assert scaler.get_scale() == 32.0 and torch.equal(other.weight, net.weight)


def test_full_precision_computes_in_full(tmp_path):
    line, _ = train(tmp_path, epochs=1)
    assert set(line.kinds) == {torch.float32}
