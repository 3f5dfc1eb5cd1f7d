# SPDX-License-Identifier: Apache-2.0
"""What the figures share: `table` (rows, goals, the printed table), `machine` (facts, cores, programs), `servers` (Serin and its
peers, each on a free port of loopback), `load` (what asks them and what it cost them)."""
