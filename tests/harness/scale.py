# SPDX-License-Identifier: Apache-2.0
"""How much the proofs in tests/proof do: the short form in `make test`, the long one in `make soak` (SERIN_SCALE=long)."""
import os
import random
from collections import namedtuple

Scale = namedtuple("Scale", [
    "kills",  # of the server, at random moments and at failpoints together
    "operations",  # in recorded histories whose order is checked
    "cuts",  # of the power, under the store
    "api_calls",  # made up from the OpenAPI document
    "streams",  # open at once
    "overload_seconds",  # six times as many requests as are answered
    "mixed_seconds",  # everything at once, with flat memory
    "outage_seconds",  # without the store, while clients ask
])
SHORT = Scale(kills=100, operations=20_000, cuts=200, api_calls=2_000, streams=10_000, overload_seconds=20, mixed_seconds=20,
              outage_seconds=6)
LONG = Scale(kills=1_000, operations=100_000, cuts=5_000, api_calls=20_000, streams=10_000, overload_seconds=300, mixed_seconds=3_600,
             outage_seconds=180)

LONG_RUN = os.environ.get("SERIN_SCALE") == "long"
SCALE = LONG if LONG_RUN else SHORT


def make_random():
    """Randomness whose seed is printed; SERIN_SEED repeats a run."""
    seed = int(os.environ.get("SERIN_SEED") or random.SystemRandom().randrange(2**32))
    print(f"seed {seed}: repeat with SERIN_SEED={seed}")
    return random.Random(seed)
