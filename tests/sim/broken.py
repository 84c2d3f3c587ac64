#!/usr/bin/env python3
"""A copy of a source file with one mistake in it, for a test of the tests: each of these must be caught.

    broken.py NAME SOURCE_ROOT OUTPUT
"""

import pathlib
import sys

# name: file, what stands there once, what is written instead
MISTAKES = {
    # Two steps instead of one: an owner's change of the word between them is lost.
    "mutex": ("mutex.c", "!weft__cas_acq_rel(&m->word, &word, word | SLOW, \"mutex.slow\")",
              "(weft__store_relaxed(&m->word, word | SLOW, \"mutex.slow\"), 0)"),
    "rwlock": ("rwlock.c", "((n->flags & READER) || rw->readers == 0)", "((n->flags & READER) || rw->readers <= 1)"),
    # The mutex is given back before the fiber stands in line.
    "cond": ("cond.c", """    if (r == 0)
        r = stand_in_line(&n);
    if (r < 0) {
        weft__waiter_leave(&wt);
        return r;
    }
    uint32_t depth = weft__mutex_drop(m);""", """    uint32_t depth = weft__mutex_drop(m);
    if (r == 0)
        r = stand_in_line(&n);
    if (r < 0) {
        weft__waiter_leave(&wt);
        return r;
    }
   """),
    # Who waits is looked at before there is more.
    "semaphore": ("semaphore.c", "        s->value += units;\n        serve(s, &news);", "        serve(s, &news);\n        s->value += units;"),
    "event": ("event.c", "if (!e->automatic || n == 0)", "if (!e->automatic)"),
    # One of those who wait is told.
    "latch": ("barrier.c", "while (l->count == 0 && weft__queue_serve(&l->queue, 0, &news))",
              "for (int one = 1; one && l->count == 0 && weft__queue_serve(&l->queue, 0, &news); one = 0)"),
    "barrier": ("barrier.c", "if (b->waiting + 1 < b->parties)\n        return 0;",
                "if (b->waiting + 2 >= b->parties)\n        return 1;"),
    "once": ("cond.c", "int r = once->done ? 0 : fn(arg);", "int r = fn(arg);"),
    "future": ("future.c", "while (weft__queue_serve(&f->queue, 0, &news))",
               "for (int one = 1; one && weft__queue_serve(&f->queue, 0, &news); one = 0)"),
    # An item goes into the buffer although somebody waits for it.
    "channel": ("channel.c", "(c->receivers.first && hand_over(c, item, news))",
                "(c->receivers.first && !has_room(c) && hand_over(c, item, news))"),
    # The head of the ring is taken for its tail.
    "channel-order": ("channel.c", ": slot(c, c->count);", ": slot(c, 0);"),
    # What somebody is given who dies before he sees it is nobody's.
    "rwlock-refuse": ("rwlock.c", "    if (n->answer != -ENOTRECOVERABLE)\n        release(n->object",
                      "    if (n->answer < 0 && n->answer != -ENOTRECOVERABLE)\n        release(n->object"),
    "semaphore-refuse": ("semaphore.c", "{ serve_now(n->object, n->want); }", "{ serve_now(n->object, 0); }"),
    "cond-refuse": ("cond.c", "static void refuse(weft__node *n) { wake(n->object, 0); }", "static void refuse(weft__node *n) { (void)n; }"),
    "event-refuse": ("event.c", "    if (e->automatic)\n        raise(e);", "    if (!e->automatic)\n        raise(e);"),
    "credit-refuse": ("credit.c", "{ back(n->object, n->want); }", "{ back(n->object, 0); }"),
    # Nobody looks for circles; or one looks before the others see it wait.
    "deadlock-unseen": ("../fiber/graph.c", "    unsigned n = surely(e);", "    unsigned n = 0 * surely(e);"),
    "deadlock-late": ("../fiber/graph.c", "    e->fiber->edge = e;\n    unsigned n = surely(e);",
                      "    weft__spin_unlock(lock);\n    unsigned n = surely(e);\n    weft__spin_lock(lock);\n    e->fiber->edge = e;"),
    # The last that came goes first.
    "mutex-order": ("mutex.c", "weft__queue_push(&m->queue, n)", "weft__queue_push_front(&m->queue, n)"),
    "rwlock-order": ("rwlock.c", "weft__queue_push(&((rwlock *)n->object)->queue, n)",
                     "weft__queue_push_front(&((rwlock *)n->object)->queue, n)"),
    "semaphore-order": ("semaphore.c", "weft__queue_push(&((semaphore *)n->object)->queue, n)",
                        "weft__queue_push_front(&((semaphore *)n->object)->queue, n)"),
    "cond-order": ("cond.c", "weft__queue_push(&((cond *)n->object)->queue, n)",
                   "weft__queue_push_front(&((cond *)n->object)->queue, n)"),
    # One that wants little passes one that wants much.
    "semaphore-small": ("semaphore.c", "return !s->queue.first && s->value >= n->want;", "return s->value >= n->want;"),
    # A try finds nothing while somebody waits for room.
    "channel-empty": ("channel.c", "while (n < max && get(c,", "while (n < max && !(c->senders.first && c->count == 1) && get(c,"),
    # One item more than there is room for, in the place of the newest.
    "channel-room": ("channel.c", "    if (!has_room(c))\n        return 0;\n    void *to = back(c);",
                     "    if (!has_room(c) && !c->count)\n        return 0;\n"
                     "    void *to = has_room(c) ? back(c) : slot(c, c->count - 1);"),
    # Who bided its time stands in line although there is room, or an item, by now.
    "channel-bide": ("channel.c", "return left < c->capacity || c->closed;", "return 0;"),
    # What lies there is not given out any more once it is closed.
    "channel-closed": ("channel.c", "    if (c->count) {\n        pop(c, item);", "    if (c->count && !c->closed) {\n        pop(c, item);"),
    # What a receiver was given dies with it.
    "channel-refuse": ("channel.c", "    if (n->answer < 0)\n        return;", "    if (n->answer <= 0)\n        return;"),
    # Who waits for a chunk is not told of it.
    "growing": ("channel.c", "            weft__store_add(s, fresh);\n            let_in(c, &news);", "            weft__store_add(s, fresh);"),
    # A chunk that was read to its end is taken for one that has an item left.
    "growing-order": ("store.c", "    s->head = c->next;\n    s->front = 0;", "    s->head = c->next;\n    s->front = s->per - 1;"),
    # No second look as a case is queued.
    "select": ("select.c", "if (!n->kind->ready(n))\n        r = weft__node_push(n);", "if (1)\n        r = weft__node_push(n);"),
    # A case is taken that is ready although another has claimed the select.
    "select-claim": ("select.c", "else if (!weft__waiter_claim_self(&s->waiter, i))", "else if (weft__waiter_claim_self(&s->waiter, i), 0)"),
    # What it was given dies with it while its operations end.
    "select-left": ("select_home.c", "        f->unwait = weft__waiter_give_up;", "        f->unwait = NULL;"),
    # It is nudged by the end of an operation, and looks everywhere but there.
    "select-blind": ("select_home.c", "    return weft__home_ready(s, i);", "    return !weft__case_is_io(&s->cases[i]) && weft__home_ready(s, i);"),
    # The first of several times is waited for, and not the earliest.
    "select-time": ("select.c", "if (s->at_case < 0 || c->deadline < s->at) {", "if (s->at_case < 0) {"),
    # A future's result is not looked at.
    "select-future": ("select.c", "c->result = weft__future_read(c->object, c->data);",
                      "c->result = weft__future_read(c->object, c->data) * 0;"),
    # Who wants to write is told when there is something to read.
    "select-writable": ("select_home.c", "kind == WEFT_CASE_WRITABLE ? WEFT_WRITABLE : WEFT_READABLE", "((void)kind, WEFT_READABLE)"),
    # Nobody is asked for connections.
    "select-acceptable": ("select_home.c", "if (!weft__case_is_io(c) || c->kind == WEFT_CASE_BUFFER)",
                          "if (!weft__case_is_io(c) || c->kind == WEFT_CASE_BUFFER || c->kind == WEFT_CASE_ACCEPTABLE)"),
    # It is the giver's still; it is free on its way.
    "mutex-give": ("mutex.c", "    hand_to(m, (uintptr_t)to);", "    hand_to(m, (uintptr_t)f);"),
    "mutex-travels": ("mutex.c", "    hand_to(m, NOBODY);", "    hand_to(m, 0);"),
    # A reader grants a byte more than it has room for.
    "flow": ("../net/flow.c", "send_frame(f, GRANT, n, deadline) == 0", "send_frame(f, GRANT, n + 1, deadline) == 0"),
    # Who gives up stays the one that watches; who is dismissed does not hear of it.
    "transfers-left": ("../lane/transfer.c", "    if (d)\n", "    if (!f && d)\n"),
    "transfers-closed": ("../lane/transfer.c", "if (f->waiting != WEFT__WAIT_READY)",
                         "if (!watcher->desc || f->waiting != WEFT__WAIT_READY)"),
    # A reader that has read lets no sender in.
    "broadcast": ("broadcast.c", "    if (b->senders.first)\n        let_senders_in(b, news);", "    (void)news;"),
    # A producer waits although all that is under way has been dealt with.
    "credit": ("credit.c", "if (under_way(c) <= c->low) {", "if (under_way(c) < c->low) {"),
    "group": ("group.c", "return g->running == 0 ||", "return g->running <= 1 ||"),
    # Who has slept is taken to sleep still, with nothing on its way to it.
    "stuck": ("../sched/stuck.c", "(!undisturbed(v) || weft__load_seq(&v->nap, \"stuck.again\") != naps[i])", "(undisturbed(v) > 1 && naps[i] == 0)"),
    # Who falls asleep last does not see that all others do.
    "stuck-missed": ("../sched/stuck.c", """    if (!all_nap(rt, NULL))
        return 0;""", """    for (unsigned i = 0; i < rt->workers; i++)
        if (i != w->index && !(weft__load_seq(&present(rt, i)->nap, "stuck.nap") & 1)) {
            weft__store_seq(&w->nap, w->nap - 1, "stuck.sleep");
            return 0;
        }"""),
    # One that withdraws does not look whether it was served.
    "wait": ("wait.c", "        if (!take_out(wt->nodes)) /* one node is claimed by being taken out */\n            return 0;", "        take_out(wt->nodes);"),
}


def main(name, root, output):
    file, right, wrong = MISTAKES[name]
    text = (pathlib.Path(root) / "src/sync" / file).read_text()
    if text.count(right) != 1:
        sys.exit(f"{file} has {text.count(right)} times what {name} would break: {right}")
    pathlib.Path(output).write_text(text.replace(right, wrong))


if __name__ == "__main__":
    main(*sys.argv[1:])
