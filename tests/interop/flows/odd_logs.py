import os
import sys

from metaflow import FlowSpec, step


class OddLogsFlow(FlowSpec):
    """Logs that are not what a log should be."""

    @step
    def start(self):
        print("grüße ☃ \U0001f600")
        print("")
        print("   indented\ttabbed  ")
        print("\x1b[31mred\x1b[0m")
        print("x" * 300_000)
        sys.stdout.flush()
        print("to stderr", file=sys.stderr)
        self.next(self.binary)

    @step
    def binary(self):
        os.write(1, bytes(byte for byte in range(256) if byte not in b"\r\n") + b"\n")
        os.write(1, b"\xff\xfe half a character: \xe2\x98\n")
        os.write(1, b"no newline at the end")
        self.next(self.silent)

    @step
    def silent(self):
        self.next(self.end)

    @step
    def end(self):
        for number in range(500):
            print("line", number, file=sys.stderr if number % 2 else sys.stdout)


if __name__ == "__main__":
    OddLogsFlow()
