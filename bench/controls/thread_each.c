/* The plain-C alternative to all of this: a thread for each connection, blocking calls.
 * Small stacks, as whoever has many threads would choose. */
#include "control.h"
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STACK = 128 * 1024, BUFFER = 65536 };

static void *serve(void *arg)
{
    char buffer[BUFFER];
    int fd = (int)(intptr_t)arg;
    ssize_t n;
    while ((n = recv(fd, buffer, sizeof buffer, 0)) > 0)
        for (ssize_t at = 0; at < n;) {
            ssize_t w = send(fd, buffer + at, (size_t)(n - at), MSG_NOSIGNAL);
            if (w < 0)
                goto over;
            at += w;
        }
over:
    close(fd);
    return NULL;
}

int main(void)
{
    pthread_attr_t attr;
    int listener = listen_somewhere(0);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    for (;;) {
        pthread_t thread;
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        no_delay(fd);
        if (pthread_create(&thread, &attr, serve, (void *)(intptr_t)fd) != 0) {
            fprintf(stderr, "no more threads\n");
            close(fd);
        }
    }
}
