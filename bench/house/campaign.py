"""`make bench-campaign`: judges all rows. Rows with a bar that has never been settled on this CPU model, at whatever commit, come before the others, and
of both the most telling first. The first look at every row comes before the second at any, because most bars are settled at the first. What was found is kept by CPU model and commit and goes on from there; how long it may take is said by MINUTES=."""

import time

import bars
import contest
import field
import rows
import store
import verdict

# The first one twice: rows during which the machine was not ours get a second chance.
PASSES = (verdict.LOOKS[0],) + verdict.LOOKS
HURRY_S = 5


def never_settled(row, cpu):
    judged = store.judged().get(cpu, {}).get(row.name, {})
    return any(bars.standing(judged.get(verdict.key(bar))) == "not measured" for bar in row.bars)


class Campaign:
    def __init__(self, wanted, kept, say, minutes=None):
        self.begun = time.monotonic()
        self.until = self.begun + 60 * minutes if minutes else None
        self.say = say
        order = sorted(rows.by_importance(wanted), key=lambda row: not never_settled(row, kept.cpu))
        self.cases = [verdict.Case(row, kept, self.tell, self.until) for row in order]
        self.broken = {}
        self.look = PASSES[0]

    def left_s(self):
        """Of the time that was given, or of what this pass still takes."""
        estimate = sum(case.seconds(self.look) for case in self.cases if case.row.name not in self.broken)
        return min(estimate, self.until - time.monotonic()) if self.until else estimate

    def tell(self, text, keep=False):
        if keep:
            return self.say(text, keep=True)
        settled = sum(len(case.row.bars) - len(case.open_bars()) for case in self.cases)
        bars = sum(len(case.row.bars) for case in self.cases)
        self.say(f"{settled} of {bars} bars settled, {max(self.left_s(), 0) / 60:.0f} min left of this pass; {text}")

    def judge(self, case):
        try:
            case.look(self.look)
        except (field.Absent, contest.Broken) as e:
            self.say(f"{case.row.name}: {e}", keep=True)
            if str(e) != verdict.NOT_OURS:
                self.broken[case.row.name] = str(e)

    def fits(self, case):
        return self.until is None or time.monotonic() + case.seconds(self.look) < self.until + HURRY_S

    def run(self):
        """Whether everything that could be judged has been."""
        skipped = 0
        for self.look in PASSES:
            for case in self.cases:
                if case.row.name in self.broken or not case.open_bars() or not (case.wanted(self.look) or case.undecided()):
                    continue
                if not self.fits(case):
                    skipped += 1
                    continue
                try:
                    self.judge(case)
                except verdict.OutOfTime:
                    skipped += 1
        self.say(f"{(time.monotonic() - self.begun) / 60:.1f} min" + (f"; {skipped} looks did not fit in the time given" if skipped else ""), keep=True)
        return not skipped and not self.broken
