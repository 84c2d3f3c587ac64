/*
 * The commands of weft. Each takes the arguments after its name and returns the exit status.
 */
#ifndef WEFT_PROGRAM_COMMANDS_H
#define WEFT_PROGRAM_COMMANDS_H

int command_serve(int argc, char **argv);
int command_echo(int argc, char **argv);
int command_info(int argc, char **argv);

#endif
