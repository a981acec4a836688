// Listening sockets that outlive the server, as a service manager holds them: handed down at descriptor 3 and up.
import assert from 'node:assert/strict';
import net from 'node:net';

// Node accepts what arrives on a socket that it listens on. So it only binds, and whoever execs the server listens; from
// the first start on the socket stays open, because the test's process holds it.
const LISTEN_AND_EXEC = `BEGIN { $^F = 1000 }
my $count = shift;
for my $fd (3 .. 2 + $count) { open(my $s, "+<&=", $fd) or die "fd $fd: $!"; listen($s, 4096) or die "listen: $!"; push @keep, $s; }
@ENV{qw(LISTEN_PID LISTEN_FDS LISTEN_FDNAMES)} = ($$, $count, "http");
exec @ARGV or die "exec: $!";`;

/** A TCP socket on a free port, bound and not listening: { descriptor, host, port, close() }. */
export function boundSocket(host = '127.0.0.1') {
	const handle = net._createServerHandle(host, 0, host.includes(':') ? 6 : 4);
	assert.equal(typeof handle, 'object', `a socket bound to ${host}`);
	const name = {};
	handle.getsockname(name);
	return { descriptor: handle.fd, host, port: name.port, close: () => handle.close() };
}

/** For startServer(): the server is started with these sockets, listening. */
export function handDown(...bound) {
	return {
		descriptors: bound.map(({ descriptor }) => descriptor),
		wrapper: ['perl', '-e', LISTEN_AND_EXEC, String(bound.length)],
	};
}
