"""The bytes that all images of a task may have in memory together."""

import asyncio
import collections

BUDGET_BYTES = 256 << 20  # bodies of one task in memory, waiting to be decoded included


class Budget:
    """Bytes that may be in memory at a time; whoever needs more waits, first come first served."""

    def __init__(self, total: int) -> None:
        self.free, self.waiting = total, collections.deque()
        self.one = asyncio.Lock()  # held by the one body that may grow although nothing is free: so none waits for ever

    async def take(self, amount: int) -> None:
        """Reserve `amount` bytes; give them back with `give`."""
        if self.waiting or self.free < amount:
            turn = asyncio.get_running_loop().create_future()
            self.waiting.append((amount, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self.give(amount)
                raise
            return
        self.free -= amount

    def give(self, amount: int) -> None:
        """Let go of `amount` bytes and wake whom they are enough for."""
        self.free += amount
        while self.waiting and (self.waiting[0][1].done() or self.waiting[0][0] <= self.free):
            wanted, turn = self.waiting.popleft()
            if not turn.done():
                self.free -= wanted
                turn.set_result(None)


class Held:
    """What one image holds of the budget."""

    def __init__(self, budget: Budget) -> None:
        self.budget, self.amount, self.alone = budget, 0, False

    async def grow(self, needed: int) -> None:
        """Have at least `needed` bytes."""
        if needed <= self.amount or self.alone:
            return
        more = needed - self.amount
        if self.amount == 0:
            await self.budget.take(more)
        elif self.budget.free >= more and not self.budget.waiting:
            self.budget.free -= more
        else:  # it cannot be given back half read, so it does not wait in the same line
            await self.budget.one.acquire()
            self.alone = True
            return
        self.amount = needed

    def release(self) -> None:
        """Give all of it back."""
        self.budget.give(self.amount)
        self.amount = 0
        if self.alone:
            self.budget.one.release()
            self.alone = False
