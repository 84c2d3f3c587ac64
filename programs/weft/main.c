/*
 * The weft command: which command runs. Nothing of the runtime is up here.
 */
#include "commands.h"

#include <stdio.h>
#include <string.h>
#include <weft/weft.h>

static const char help[] =
    "usage: weft COMMAND [options]\n"
    "\n"
    "  serve [DIR]   serve files over HTTP/1.1, or a page about this server\n"
    "  echo          a TCP echo server\n"
    "  info          what this machine and this build offer\n"
    "\n"
    "  weft COMMAND --help   the options of a command\n"
    "  weft --version        the version\n";

#ifndef WEFT_HAVE_LLHTTP
int command_serve(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    fputs("weft serve: this build has no HTTP parser; install llhttp's C source and configure again\n", stderr);
    return 1;
}
#endif

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    if (strcmp(command, "serve") == 0)
        return command_serve(argc - 2, argv + 2);
    if (strcmp(command, "echo") == 0)
        return command_echo(argc - 2, argv + 2);
    if (strcmp(command, "info") == 0)
        return command_info(argc - 2, argv + 2);
    if (strcmp(command, "--version") == 0 || strcmp(command, "-V") == 0 || strcmp(command, "version") == 0) {
        printf("weft %s\n", weft_version());
        return 0;
    }
    if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0 || strcmp(command, "help") == 0) {
        fputs(help, stdout);
        return 0;
    }
    if (*command == '\0')
        fputs("weft: a command is needed: serve, echo or info (see weft --help)\n", stderr);
    else
        fprintf(stderr, "weft: unknown %s '%s' (see weft --help)\n", *command == '-' ? "option" : "command", command);
    return 2;
}
