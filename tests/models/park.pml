/* Park and unpark: a flag in the fiber's word and one message to its home (src/fiber/wait.c), the port's inbox and its
 * sleep (src/port/inbox.c). Each step that touches a shared variable is one atomic operation of the C code; all of
 * those are read-modify-writes or sequentially consistent, as Promela is.
 *
 * Others change `news` and unpark the fiber; the fiber parks until it has seen all. Checked: it sees them all (no
 * wake-up is lost), and what it runs is run by its home only. The worker sleeps without a limit.
 *
 * That home looks at its inbox once more after it said that it sleeps is not needed for that: it only saves a wait.
 * -DNO_LOOK leaves it out, and nothing is lost; so do the first two of these:
 *
 *     -DPLAIN_SLEEP    `sleeping` is stored before the wait, whatever it was: a wake in between is overwritten
 *     -DCASUAL_WAKE    who finds nobody asleep leaves no WOKEN behind
 *     -DTWO_STEPS      a sender says that a message is on its way, and only then what for:
 *                      the message may come and find nothing */
#if defined(PLAIN_SLEEP) || defined(CASUAL_WAKE)
#define NO_LOOK
#endif

#ifndef SENDERS
#define SENDERS 2
#endif
#ifndef TIMES
#define TIMES 2 /* that each has something */
#endif
#define ALL (SENDERS * TIMES)

mtype = { AWAKE, SLEEPING, WOKEN };
mtype sleeping = AWAKE;   /* port->sleeping */
bool event;               /* what driver->wake leaves for driver->enter */
bool inbox;               /* the fiber's message lies in port->inbox; others do not matter: */
bool other;               /* ... but there may be another request in front of it */
bool pending, unpark;     /* WEFT__SIG_PENDING and WEFT__SIG_UNPARK in f->head.word */
byte news;                /* what the fiber is told about */
bool done;

/* weft__port_wake */
inline port_wake(was)
{
#ifdef CASUAL_WAKE
    atomic { was = sleeping; if :: was == SLEEPING -> sleeping = WOKEN :: else fi };
#else
    atomic { was = sleeping; sleeping = WOKEN };
#endif
    if
    :: was == SLEEPING -> event = true /* driver->wake */
    :: else
    fi;
    was = AWAKE
}

proctype sender()
{
    byte i;
    mtype was = AWAKE;
    bool first;

    for (i : 1 .. TIMES) {
        news++;
        /* weft__fiber_signal: flag and PENDING by one compare-and-swap */
#ifdef TWO_STEPS
        atomic { first = !pending; pending = true };
#else
        atomic { unpark = true; first = !pending; pending = true };
#endif
        if
        :: first -> /* weft__port_send: only who finds it empty wakes */
            atomic { first = !inbox && !other; inbox = true };
            if
            :: first -> port_wake(was)
            :: else
            fi
        :: else
        fi;
#ifdef TWO_STEPS
        unpark = true
#endif
    }
}

/* Some other message to the same worker. */
proctype stranger()
{
    mtype was = AWAKE;
    bool first;

    atomic { first = !inbox && !other; other = true };
    if
    :: first -> port_wake(was)
    :: else
    fi
}

proctype home()
{
    bool token, waiting, ready = true; /* of the fiber: home's alone */
    bool message, told;
    bool now;                          /* weft__port_enter does not wait */
    byte seen;

    do
    :: ready -> /* it runs: weft_park in a loop */
        ready = false;
        seen = news;
        if
        :: seen == ALL -> done = true; break
        :: else
        fi;
        if
        :: token -> token = false; ready = true
        :: else -> waiting = true
        fi
    :: !ready -> /* weft__port_enter */
        now = false;
        if
        :: sleeping != AWAKE -> atomic { now = (sleeping == WOKEN); sleeping = AWAKE }
        :: else
        fi;
        atomic { message = inbox; now = now || inbox || other; inbox = false; other = false }; /* weft__inbox_run */
        if
        :: message -> /* weft__fiber_message */
            atomic { told = unpark; unpark = false; pending = false };
            if
            :: told && waiting -> waiting = false; ready = true
            :: told && !waiting -> token = true
            :: else
            fi;
            message = false; told = false
        :: else
        fi;
        if
        :: !now && !ready -> /* fall_asleep */
#ifdef PLAIN_SLEEP
            sleeping = SLEEPING;
#else
            atomic { if :: sleeping == AWAKE -> sleeping = SLEEPING :: else -> now = true fi };
#endif
#ifndef NO_LOOK
            if
            :: !now && (inbox || other) -> now = true
            :: else
            fi;
#endif
            if
            :: now -> sleeping = AWAKE
            :: else -> /* driver->enter waits without a limit */
                atomic { event -> event = false };
                sleeping = AWAKE
            fi
        :: else -> atomic { if :: event -> event = false :: else fi }
        fi
    od
}

init {
    byte i;
    atomic {
        run home();
        run stranger();
        for (i : 1 .. SENDERS) { run sender() }
    }
    timeout;
    assert(done)
}
