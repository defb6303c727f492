"""The suite runs small networks: more threads than one make it slower, and its figures less repeatable."""

import torch

torch.set_num_threads(1)
