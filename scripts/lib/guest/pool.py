# SPDX-License-Identifier: GPL-2.0
"""What runs at the same time: pieces of work, and workers that share them."""

import threading

# Another guest for a group is worth its boot when the limits of the tests that are left come to
# so many seconds (tests take a tenth of their limits).
WORTH_A_BOOT = 180


class Piece:
    """Work for one worker: a function; `weight` says what is to begin first."""

    def __init__(self, weight, run):
        self.weight, self.run = weight, run
        self.started = False

    def shared(self):
        """How much of it another worker could take over."""
        return 0


class Group(Piece):
    """Tests that share a machine: a worker boots it and takes one test after the other.

    Where there is much left another worker boots one more and takes from the same tests."""

    def __init__(self, suite, machine, tests):
        super().__init__(0, lambda: suite.run_group(self))
        self.machine, self.slower = machine, suite.kernel.slower
        self.lock = threading.Lock()
        # Those that may take longest first: no guest is left alone with one in the end.
        self.tests = sorted(tests, key=lambda test: (-test.timeout, test.name))
        self.weight = self._left() * self.slower

    def _left(self):
        """The limits of the tests that nobody has taken yet."""
        with self.lock:
            return sum(test.timeout for test in self.tests)

    def shared(self):
        left = self._left()
        return left * self.slower if left >= WORTH_A_BOOT else 0

    def take(self):
        """The next test, or None."""
        with self.lock:
            return self.tests.pop(0) if self.tests else None

    def empty(self):
        """Whether all tests have been taken."""
        return not self.tests


def run(pieces, workers):
    """Run all pieces, the weightiest first; an exception of one is raised when all have ended."""
    waiting = sorted(pieces, key=lambda piece: -piece.weight)
    lock, errors = threading.Lock(), []

    def next_piece():
        with lock:
            for piece in waiting:
                if not piece.started:
                    piece.started = True
                    return piece
            most = max(waiting, key=lambda piece: piece.shared(), default=None)
            return most if most and most.shared() else None

    def work():
        while piece := next_piece():
            try:
                piece.run()
            except BaseException as error:
                errors.append(error)
                return

    threads = [threading.Thread(target=work, daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
