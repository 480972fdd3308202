#!/bin/bash
# 50 clients at once for some seconds: tests/soak/250.sh in short.
#
# takes: 30
export SOAK_SECONDS=12 SOAK_CLIENTS=50
exec "$(dirname "$0")/../soak/250.sh"
