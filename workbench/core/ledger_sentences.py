"""What the GpuLedger says to people, as templates. Memory in GB of 1,000,000,000 bytes."""

from __future__ import annotations

WAITS_IDLE = (
    "waiting for GPU {gpu}: {free} GB free, needs {need}; held by {holder}, idle {idle} min: "
    "unload it to go on"
)
WAITS_HELD = "waiting for GPU {gpu}: {free} GB free, needs {need}; held by {holder}"
WAITS_OTHERS = "waiting for GPU {gpu}: {free} GB free, needs {need}; other programs use the rest"
WAITS_TURN = "waiting for GPU {gpu}: {first} asked for it before and needs {need} GB"
WAITS_LOST = "waiting for GPU {gpu}: it is lost, until its driver gives it again"
WAITS_UNREAD = "waiting for GPU {gpu}: how much of its memory is free cannot be read now"
WAITS_SILENT = "waiting for a GPU: the driver has not answered for {seconds} s"
WAITS_AGAIN = "waiting for a GPU: none could be read; it is tried again every {seconds} s"

NO_GPU = "no GPU is here, and {name} needs {need} GB of one: run it on a machine that has one"
NO_SUCH_GPU = "there is no GPU {gpu} for {name} here: ask for one of {known}"
SPLIT = "GPU {gpu} is split into slices and is not lent as a whole: ask for one of {slices}"
TOO_LARGE = (
    "{name} needs {need} GB of GPU memory, and the largest GPU that it may use, {gpu}, has "
    "{total}: let it need less, or run it on a larger one"
)
UNTOLD = (
    "{name} needs {need} GB of GPU memory, and GPU {gpu} does not tell how much it has free: "
    "see what the GPU panel says about it"
)
NO_AMOUNT = "{name} asks for {amount} MB of GPU memory; allowed: a number above 0"
TWICE = "{name} has asked for GPU memory under {claim} already: give that back first"
CLOSED = "the hub is shutting down: ask for GPU memory again when it is back"
