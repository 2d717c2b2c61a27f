import os
import signal
import subprocess
import sys
import threading
import time

from metaflow import FlowSpec, Parameter, step


def exit_zero():
    sys.exit(0)


def exit_three():
    sys.exit(3)


def exit_text():
    sys.exit("words of farewell")


def vanish():
    os._exit(0)


def vanish_five():
    os._exit(5)


def segfault():
    import ctypes

    ctypes.string_at(0)


def abort():
    os.abort()


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)


def interrupt():
    raise KeyboardInterrupt


def recurse():
    recurse()


def close_stdout():
    sys.stdout.close()


def close_descriptors():
    os.close(1)
    os.close(2)


def close_everything():
    os.closerange(3, 1024)


def replace_stdout():
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = None


def binary():
    os.write(1, bytes(range(256)) * 100)
    os.write(1, b"\n")


def long_line():
    piece = b"x" * (1 << 20)
    for _ in range(100):
        os.write(1, piece)


def many_lines():
    sys.stdout.write("y" * 99 + "\n")
    for _ in range(120):
        sys.stdout.write(("y" * 99 + "\n") * 1000)


def carriage_returns():
    for percent in range(101):
        sys.stdout.write(f"\r{percent} %")
    sys.stdout.write("\n")


def grandchild():
    subprocess.Popen(["sleep", "300"])


def daemonised_grandchild():
    subprocess.Popen(["sh", "-c", "sleep 300 & sleep 300"], start_new_session=True)


def stubborn_grandchild():
    script = """if True:
        import signal, time
        for number in (1, 2, 15):
            signal.signal(number, signal.SIG_IGN)
        print('up', flush=True)
        time.sleep(300)
    """
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    child.stdout.readline()


def twice_forked():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(300)
        os._exit(0)
    os.wait()


def forked_and_done():
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def new_group():
    os.setpgrp()


def thread():
    def speak():
        time.sleep(0.3)
        print("said by the thread", flush=True)

    threading.Thread(target=speak).start()


def daemon_thread():
    threading.Thread(target=time.sleep, args=(300,), daemon=True).start()


def change_directory():
    os.mkdir("elsewhere")
    os.chdir("elsewhere")


def vanished_directory():
    os.mkdir("doomed")
    os.chdir("doomed")
    os.rmdir("../doomed")


def write_to_descriptor_three():
    try:
        os.write(3, b"nobody has opened it")
    except OSError:
        pass


def umask():
    os.umask(0o777)


def signals():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def environment():
    os.environ.clear()


def read_stdin():
    assert sys.stdin.read() == ""


def pool():
    import multiprocessing

    with multiprocessing.get_context("fork").Pool(2) as workers:
        assert workers.map(abs, [-1, -2]) == [1, 2]


def spawned_pool():
    import multiprocessing

    with multiprocessing.get_context("spawn").Pool(1) as workers:
        assert workers.map(abs, [-1, -2]) == [1, 2]


def run_command():
    told = subprocess.run(["sh", "-c", "echo from the shell; exit 3"], check=False)
    assert told.returncode == 3


def resource_limit():
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def run_event_loop():
    import asyncio

    assert asyncio.run(asyncio.sleep(0, "awake")) == "awake"


class RoughFlow(FlowSpec):
    what = Parameter("what", default="exit_zero")

    @step
    def start(self):
        self.directory = os.getcwd()
        print("before", flush=True)
        globals()[self.what]()
        self.next(self.end)

    @step
    def end(self):
        self.still_here = os.getcwd() == self.directory
        self.mask = os.umask(0o022)
        print("after")


if __name__ == "__main__":
    RoughFlow()
