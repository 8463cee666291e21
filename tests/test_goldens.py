"""Numbers from elsewhere: the published LARNN cell, a float64 Aaren written independently, torch's own LSTM and GRU.

``data/larnn_*.npz``: the published cell in evaluation mode. h, c and attn are its float32 run, h64, c64 and attn64 its
float64 run with the same float32 weights, h_reset and so on its float64 run with a new state at each start.
``data/aaren_*.npz``: the recurrence of "Attention as an RNN" in float64, from the state m_in, u_in, w_in.

Letters: T time, B batch rows, I input, H hidden, W window, A heads, D head width.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rl_larnn import scan
from rl_larnn.memories import Gru, Lstm, Memory
from rl_larnn.memories.aaren import AarenLayer, AarenOptions
from rl_larnn.memories.larnn import LarnnLayer, LarnnState, sinusoids
from rl_larnn.scan import AverageState, average_scan, average_step
from rl_larnn.state import map_state, select

DATA = Path(__file__).parent / "data"
LARNN_FILES = sorted(path.stem for path in DATA.glob("larnn_*.npz"))
AAREN_FILES = sorted(path.stem for path in DATA.glob("aaren_*.npz"))
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-9}

every_larnn = pytest.mark.parametrize("name", LARNN_FILES)
every_aaren = pytest.mark.parametrize("name", AAREN_FILES)


def load(name: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """The arrays of a file, the numbers among them in ``dtype``."""
    with np.load(DATA / f"{name}.npz") as file:
        arrays = {key: torch.from_numpy(file[key]) for key in file.files if key != "meta"}
    return {key: array.to(dtype) if array.is_floating_point() else array for key, array in arrays.items()}


def assert_close(found: Tensor, expected: Tensor) -> None:
    tolerance = TOLERANCE[found.dtype]
    torch.testing.assert_close(found, expected.to(found.dtype), rtol=tolerance, atol=tolerance)


def test_all_files_are_there() -> None:
    assert (len(LARNN_FILES), len(AAREN_FILES)) == (12, 9)


def published_cell(name: str, dtype: torch.dtype) -> tuple[LarnnLayer, dict[str, Tensor]]:
    """The layer with the published weights, and the arrays of the file."""
    with np.load(DATA / f"{name}.npz") as file:
        meta = json.loads(str(file["meta"]))
    numbers = load(name, torch.float64)  # so that two biases add up without rounding
    positions = "sinusoid" if meta["use_positional_encoding"] else "none"
    sizes = meta["input_size"], meta["hidden_size"], meta["window"], meta["heads"]
    layer = LarnnLayer(*sizes, meta["mode"], positions, meta["activation_on_keys_and_values"], "batch").double()
    layer.load_state_dict(_published_weights(numbers, meta["mode"]), strict=True)
    if positions == "sinusoid":
        torch.testing.assert_close(sinusoids(meta["window"]).double(), numbers["pe"], rtol=0, atol=1e-6)
        layer.position_table.copy_(numbers["pe"])
    return layer.to(dtype).eval(), load(name, dtype)


def _published_weights(numbers: dict[str, Tensor], mode: str) -> dict[str, Tensor]:
    pairs = {"query": ("W_q", "b_q"), "key": ("W_k", "b_k"), "value": ("W_v", "b_v"), "output": ("W_o", "b_o")}
    pairs |= {"to_gates": ("W_a", "b_a")} if mode == "layer" else {}
    state: dict[str, Tensor] = {}
    for module, (weight, bias) in pairs.items():
        state |= {f"{module}.weight": numbers[weight], f"{module}.bias": numbers[bias]}
    if mode == "residual":
        state |= {"input_to_gates.weight": numbers["W_x"], "input_to_gates.bias": numbers["b_x"] + numbers["b_a"]}
        state |= {"hidden_to_gates.weight": numbers["W_h"], "attention_to_gates.weight": numbers["W_a"]}
    norms = {"kv_norm": "bn_kv", "attention_norm": "bn_att", "cell_norm": "bn_cell", "hidden_norm": "bn_out"}
    fields = {"weight": "weight", "bias": "bias", "running_mean": "mean", "running_var": "var"}
    for module, norm in norms.items():
        if f"{norm}_mean" in numbers:
            state |= {f"{module}.{ours}": numbers[f"{norm}_{theirs}"] for ours, theirs in fields.items()}
            state[f"{module}.num_batches_tracked"] = torch.tensor(0)
    return state


def step_through(layer: LarnnLayer, xs: Tensor, starts: Tensor) -> tuple[Tensor, Tensor, Tensor, LarnnState]:
    """Outputs, newest cells and attention weights of each step, and the last state."""
    state = initial = layer.initial_state(xs.shape[1])
    hiddens, cells, weights = [], [], []
    for x, start in zip(xs, starts, strict=True):
        state = select(start, initial, state)
        weights.append(layer.attention_weights(x, state))
        hidden, state = layer.step(x, state)
        hiddens.append(hidden)
        cells.append(state.cells[:, -1])
    return torch.stack(hiddens), torch.stack(cells), torch.stack(weights), state


@every_larnn
@torch.no_grad()
def test_larnn_steps_are_those_of_the_published_cell(name: str) -> None:
    for dtype in TOLERANCE:
        layer, data = published_cell(name, dtype)
        hiddens, cells, weights, after = step_through(layer, data["x"], torch.zeros_like(data["resets"]))
        for suffix in ["64"] if dtype == torch.float64 else ["64", ""]:
            assert_close(hiddens, data[f"h{suffix}"])
            assert_close(cells, data[f"c{suffix}"])
            assert_close(weights, data[f"attn{suffix}"])
        assert_close(after.cells, data["final_queue"])
        hiddens, cells, weights, _ = step_through(layer, data["x"], data["resets"])
        assert_close(hiddens, data["h_reset"])
        assert_close(cells, data["c_reset"])
        assert_close(weights, data["attn_reset"])


@every_larnn
@torch.no_grad()
def test_larnn_scans_are_those_of_the_published_cell(name: str) -> None:
    for dtype, cut in itertools.product(TOLERANCE, (17, 1, 8)):  # whole, or cut in two
        layer, data = published_cell(name, dtype)
        for starts, hiddens, cells in (
            (torch.zeros_like(data["resets"]), data["h64"], data["c64"]),
            (data["resets"], data["h_reset"], data["c_reset"]),
        ):
            state = layer.initial_state(data["x"].shape[1])
            for part in (slice(0, cut), slice(cut, None)):
                if len(data["x"][part]) == 0:
                    continue
                outputs, state = layer.scan(data["x"][part], state, starts[part])
                assert_close(outputs, hiddens[part])
                assert_close(state.hidden, outputs[-1])
                assert_close(state.cells[:, -1], cells[part][-1])
            if not starts.any():
                assert_close(state.cells, data["final_queue"])


def carried_in(data: dict[str, Tensor]) -> AverageState:
    """The files write an empty average as (-inf, 0, 0); here it is three zeros."""
    maximum = torch.where(data["u_in"] > 0, data["m_in"], 0.0)
    return AverageState(maximum, data["u_in"], data["w_in"])


def log_total(state: AverageState) -> Tensor:
    return state.maximum + state.denominator.log()


@every_aaren
def test_aaren_scans_are_those_of_the_recurrence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load(name, torch.float64)
    for block in (None, 1, 7, 64):  # None: the kernel; else in torch, in blocks of so many steps
        if block is not None:
            monkeypatch.setattr(scan, "BLOCK", block)
            monkeypatch.setattr(scan.native, "usable", lambda like, kernel: False)
        outputs, after = average_scan(data["s"], data["v"], None, carried_in(data), data["resets"])
        assert_close(outputs, data["out"])
        assert_close(after.numerator / after.denominator.unsqueeze(-1), data["w_out"] / data["u_out"].unsqueeze(-1))
        assert_close(log_total(after), data["m_out"] + data["u_out"].log())


@every_aaren
def test_aaren_steps_are_those_of_the_recurrence(name: str) -> None:
    data = load(name, torch.float64)
    state = carried_in(data)
    initial = map_state(torch.zeros_like, state)
    for t, start in enumerate(data["resets"]):
        output, state = average_step(data["s"][t], data["v"][t], None, select(start, initial, state))
        assert_close(output, data["out"][t])
        assert_close(log_total(state), data["log_norm"][t])
    assert_close(state.numerator / state.denominator.unsqueeze(-1), data["w_out"] / data["u_out"].unsqueeze(-1))


@every_aaren
def test_aaren_weights_are_those_of_the_recurrence(name: str) -> None:
    """An output is linear in values and carried sums: its derivatives are the weights."""
    data = load(name, torch.float64)
    values, state = data["v"].requires_grad_(), carried_in(data)
    state = state._replace(numerator=state.numerator.requires_grad_())
    outputs, _ = average_scan(data["s"], values, None, state, data["resets"])
    for t, output in enumerate(outputs):
        by_value, by_sum = torch.autograd.grad(output[..., 0].sum(), [values, state.numerator], retain_graph=True)
        assert_close(by_value[..., 0].permute(1, 2, 0), data["weights"][t])
        assert_close(by_sum[..., 0] * state.denominator, data["weight_carry"][t])


@every_aaren
def test_aaren_holds_in_single_precision(name: str) -> None:
    # A score of 10,000 has three decimals in float32, so the exact answer is that for the rounded scores.
    data = load(name, torch.float32)
    outputs, after = average_scan(data["s"], data["v"], None, carried_in(data), data["resets"])
    exact = {key: array.double() if array.is_floating_point() else array for key, array in data.items()}
    expected, expected_after = average_scan(exact["s"], exact["v"], None, carried_in(exact), exact["resets"])
    assert_close(outputs, expected)
    assert_close(log_total(after), log_total(expected_after))
    if exact["s"].abs().max() < 100:
        assert_close(outputs, data["out"])


def parameter_count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_an_aaren_block_has_the_published_number_of_parameters() -> None:
    assert parameter_count(AarenLayer(512, 64, AarenOptions("none"))) == 3_152_896
    assert parameter_count(AarenLayer(512, 8, AarenOptions("decay"))) == 3_152_896 + 8


def torch_module(memory: Memory, kind: type[nn.LSTM] | type[nn.GRU], order: list[int]) -> nn.RNNBase:
    """torch's module with the weights of ours, whose blocks of rows it wants in another ``order``."""
    layers = list(memory.layers)  # type: ignore[arg-type]
    module = kind(memory.input_size, memory.output_size, len(layers)).double()
    size = memory.output_size

    def reorder(blocks: Tensor) -> Tensor:
        return torch.cat([blocks.split(size)[index] for index in order])

    for index, layer in enumerate(layers):
        from_input, from_hidden = layer.input_to_gates, layer.hidden_to_gates.weight
        weights = {"weight_ih": reorder(from_input.weight), "bias_ih": reorder(from_input.bias)}
        weights |= {"weight_hh": reorder(from_hidden), "bias_hh": torch.zeros(len(order) * size)}
        if kind is nn.GRU:
            weights["bias_hh"][2 * size :] = layer.candidate_bias.detach()
        for key, weight in weights.items():
            getattr(module, f"{key}_l{index}").data.copy_(weight)
    return module


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("ours, kind, order", [(Lstm, nn.LSTM, [0, 1, 3, 2]), (Gru, nn.GRU, [0, 1, 2])])
def test_lstm_and_gru_are_those_of_torch(
    ours: type[Lstm] | type[Gru], kind: type[nn.LSTM] | type[nn.GRU], order: list[int], layers: int
) -> None:
    memory = ours(5, 8, layers).double()
    module = torch_module(memory, kind, order)
    xs = torch.randn(20, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    outputs, after = memory.scan(xs, memory.initial_state(3), torch.zeros(20, 3, dtype=torch.bool))
    expected, last = module(xs)
    assert_close(outputs, expected)
    for field, theirs in enumerate(last if kind is nn.LSTM else (last,)):
        assert_close(torch.stack([layer[field] for layer in after.layers]), theirs)
