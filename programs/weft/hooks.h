/*
 * What the end-to-end tests do to a server beside talking to it. Off unless WEFT_TEST_HOOKS is set in the environment.
 */
#ifndef WEFT_PROGRAM_HOOKS_H
#define WEFT_PROGRAM_HOOKS_H

#include "tracker.h"

/* hooks_signals returns the signals to wait for, ended by 0: those in `end`, and with hooks those below as well. */
const int *hooks_signals(const int *end);

/*
 * hooks_act does what a signal asks for and returns true, or false if it is none of ours. SIGUSR1 kills the lane of
 * every connection, SIGALRM that of the listener, SIGUSR2 prints what there is of everything that a connection has;
 * each prints a line when it is done. A fiber's call.
 */
bool hooks_act(int number, struct tracker *t);

#endif
