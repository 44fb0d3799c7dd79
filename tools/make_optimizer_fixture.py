"""Ten steps of PyTorch's AdamW and SGD in float64, for Tests/Fixtures/optimizers.json.

Usage: python tools/make_optimizer_fixture.py Tests/Fixtures/optimizers.json
Needs: pip install torch (the build for CPUs). Start and gradients are random, but exact in float32.
"""
import json
import pathlib
import sys

import torch

SEED, COUNT, STEPS = 7, 12, 10
RATE, DECAY, MOMENTUM = 0.02, 0.1, 0.9


def draw(generator, *shape):
    return torch.randn(*shape, generator=generator, dtype=torch.float32).double()


def run(make, start, gradients):
    """The parameters after every step."""
    parameter = torch.nn.Parameter(start.clone())
    optimizer = make([parameter])
    after = []
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
        after.append(parameter.detach().tolist())
    return after


def main():
    generator = torch.Generator().manual_seed(SEED)
    start, gradients = draw(generator, COUNT), draw(generator, STEPS, COUNT)
    # Gradients of very different sizes, as the layers of a model have.
    gradients *= torch.tensor([2.0 ** -(i % 6) for i in range(COUNT)], dtype=torch.float64)
    fixture = {
        "torch": torch.__version__,
        "rate": RATE,
        "decay": DECAY,
        "momentum": MOMENTUM,
        "start": start.tolist(),
        "gradients": gradients.tolist(),
        "adamw": run(lambda p: torch.optim.AdamW(p, lr=RATE, weight_decay=DECAY), start, gradients),
        "sgd": run(lambda p: torch.optim.SGD(p, lr=RATE, momentum=MOMENTUM), start, gradients),
    }
    pathlib.Path(sys.argv[1]).write_text(json.dumps(fixture, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
