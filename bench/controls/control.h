/* What the controls share: how they begin. */
#ifndef CONTROL_H
#define CONTROL_H

_Noreturn void die(const char *what); /* with errno's sentence */
/* A listening socket on a free port of 127.0.0.1, whose address has been printed as "listening on 127.0.0.1:PORT". */
int listen_somewhere(int flags);
void no_delay(int fd);

#endif
