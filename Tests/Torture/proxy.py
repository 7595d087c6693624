"""What lies between the replicas and PostgreSQL: passes bytes on, until a line on standard input says otherwise.

`cut` ends all connections; `halve` passes on half of what comes next from the server, and ends the connection; `swallow`
passes on nothing of what comes next from the server, whose answer nobody learns; `hold SECONDS` passes nothing on.
"""
import asyncio
import os
import sys


class Proxy:
    def __init__(self):
        self.writers = set()
        self.fate = None
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def serve(self, path, upstream):
        async def accept(reader, writer):
            try:
                server_reader, server_writer = await asyncio.open_unix_connection(upstream)
            except OSError:
                writer.close()
                return
            pair = {writer, server_writer}
            self.writers |= pair
            pumps = [
                asyncio.create_task(self.pump(reader, server_writer, False)),
                asyncio.create_task(self.pump(server_reader, writer, True))]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self.writers -= pair
            for each in pair:
                each.transport.abort()

        await asyncio.start_unix_server(accept, path)
        os.chmod(path, 0o777)

    async def pump(self, reader, writer, is_answer):
        try:
            while data := await reader.read(1 << 16):
                await self.is_open.wait()
                if is_answer and self.fate:
                    if self.fate == "halve":
                        writer.write(data[:len(data) // 2])
                        await writer.drain()
                    return
                writer.write(data)
                await writer.drain()
        except OSError:
            pass

    async def obey(self, line):
        what, *seconds = line.split()
        if what == "cut":
            for writer in self.writers:
                writer.transport.abort()
        elif what == "hold":
            self.is_open.clear()
            await asyncio.sleep(float(seconds[0]))
            self.is_open.set()
        else:
            self.fate = what
            await asyncio.sleep(0.05)
            self.fate = None
        print("done", flush=True)


async def main(paths):
    proxy = Proxy()
    for path, upstream in zip(paths[::2], paths[1::2]):
        await proxy.serve(path, upstream)
    print("done", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        await proxy.obey(line)


asyncio.run(main(sys.argv[1:]))
