%% Erlang's side of the jobs it is the measure of: processes spawned, sent to and killed. Each line on standard input, "JOB N", is answered
%% by "OPS WALL_NS", or by "none".
-module(jobs).
-export([main/0]).

main() ->
    io:format("ready erlang ~s~n", [erlang:system_info(otp_release)]),
    loop().

loop() ->
    case io:get_line("") of
        eof -> halt(0);
        Line ->
            [Name, Number] = string:tokens(string:trim(Line), " "),
            N = list_to_integer(Number),
            Begin = erlang:monotonic_time(nanosecond),
            Ops = run(Name, N),
            Took = erlang:monotonic_time(nanosecond) - Begin,
            case Ops of
                none -> io:format("none~n");
                _ -> io:format("~b ~b~n", [Ops, Took])
            end,
            loop()
    end.

run("lane-spawn", N) -> spawn_join(N), N;
run("lane-message", N) -> message(N);
run("lane-kill", N) -> kill(N), N;
run(_, _) -> none.

%% Monitored, as a join is: the end is waited for.
spawn_join(0) -> ok;
spawn_join(N) ->
    {_, Ref} = spawn_monitor(fun() -> ok end),
    receive {'DOWN', Ref, process, _, normal} -> ok end,
    spawn_join(N - 1).

message(N) ->
    Rounds = max(1, N div 2),
    Echo = spawn(fun echo/0),
    ping(Echo, Rounds),
    Echo ! stop,
    2 * Rounds.

echo() ->
    receive
        {From, X} -> From ! X, echo();
        stop -> ok
    end.

ping(_, 0) -> ok;
ping(Echo, N) ->
    Echo ! {self(), N},
    receive N -> ok end,
    ping(Echo, N - 1).

kill(0) -> ok;
kill(N) ->
    Self = self(),
    {Pid, Ref} = spawn_monitor(fun() -> Self ! there, receive never -> ok end end),
    receive there -> ok end,
    exit(Pid, kill),
    receive {'DOWN', Ref, process, Pid, killed} -> ok end,
    kill(N - 1).
