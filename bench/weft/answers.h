/* A lane that jobs and counts talk to. */
#ifndef ANSWERS_H
#define ANSWERS_H

/* Body of a lane: sends each message back to whom it came from, in the same block, and ends at one with tag 1. */
int answers(void *arg);

#endif
