#!/usr/bin/env python3
"""A crowd of callers that stay connected and say nothing, each coming back a
second after it was refused.

crowd.py ADDRESS COUNT SECONDS PID

Prints what became of them; fails when the process PID takes 80 % of a processor
or more meanwhile.
"""

import asyncio
import sys
import time

from process import processor_seconds

address, count, seconds, pid = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
host, port = address.rsplit(":", 1)
refused = 0
held = 0


async def caller():
    global held, refused
    while True:
        try:
            reader, writer = await asyncio.open_connection(host, int(port))
            held += 1
            try:
                await reader.read()
            finally:
                held -= 1
                writer.close()
        except OSError:
            pass
        refused += 1
        await asyncio.sleep(1)


async def main():
    callers = [asyncio.create_task(caller()) for _ in range(count)]
    await asyncio.sleep(seconds)
    share = 100 * (processor_seconds(pid) - before) / (time.monotonic() - begun)
    print(f"{count} callers, {held} connected at the end, refused {refused} times, {share:.0f} % of a processor")
    for one in callers:
        one.cancel()
    return share


begun, before = time.monotonic(), processor_seconds(pid)
share = asyncio.run(main())
sys.exit(share >= 80)
