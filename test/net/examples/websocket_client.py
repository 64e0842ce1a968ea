#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Talks to the WebSocket echo at the port that is given, as some clients at once. Exit status 0: all was right."""

import asyncio
import os
import sys

import websockets

CLIENTS = 20


async def expect_echo(socket, message):
    await socket.send(message)
    answer = await socket.recv()
    if answer != message:
        raise AssertionError(f"{len(answer)} of {type(answer)} came back for {len(message)} of {type(message)}")


async def talk(port, number):
    async with websockets.connect(f"ws://127.0.0.1:{port}/", max_size=None) as socket:
        await expect_echo(socket, f"client {number}")
        await expect_echo(socket, "")
        await expect_echo(socket, "äöü" * number)
        await expect_echo(socket, os.urandom(200_000))
        await (await socket.ping())
        for n in range(20):
            await expect_echo(socket, f"{number}: {n}")
        for n in range(10):  # before the first answer has been received
            await socket.send(str(n))
        for n in range(10):
            if await socket.recv() != str(n):
                raise AssertionError("answers out of order")
        await socket.send(["in ", "three ", "parts"])
        if await socket.recv() != "in three parts":
            raise AssertionError("a message in parts")
    if socket.close_code != 1000:
        raise AssertionError(f"closed with {socket.close_code}")


async def stay_until_closed(port):
    """Says that it is there, and waits for the server to go."""
    async with websockets.connect(f"ws://127.0.0.1:{port}/") as socket:
        await expect_echo(socket, "here")
        print("here", flush=True)
        await socket.wait_closed()
    if socket.close_code != 1001:
        raise AssertionError(f"closed with {socket.close_code}")


async def main():
    port = int(sys.argv[1])
    if sys.argv[2] == "talk":
        await asyncio.gather(*(talk(port, n) for n in range(CLIENTS)))
    else:
        await stay_until_closed(port)


asyncio.run(asyncio.wait_for(main(), 60))
