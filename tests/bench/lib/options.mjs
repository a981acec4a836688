// The command line of the bench; run.mjs says what there is.

export function readOptions(argv, names) {
	const options = { only: undefined, rounds: 3, seconds: 5, loops: undefined, smoke: false, peers: true, write: true, greed: undefined, open: false };
	const figures = ['rounds', 'seconds', 'loops'];
	for (let at = 0; at < argv.length; at++) {
		const name = argv[at].replace(/^--/, '');
		if (name === 'only' || name === 'greed') {
			options[name] = argv[++at].split(',');
		} else if (figures.includes(name)) {
			options[name] = Number(argv[++at]);
		} else if (name === 'smoke' || name === 'open') {
			options[name] = true;
		} else if (name === 'no-peers') {
			options.peers = false;
		} else if (name === 'no-write') {
			options.write = false;
		} else {
			throw new Error(`usage: run.mjs [--only ${names.join('|')},…] [--rounds N] [--seconds N] [--loops N] [--greed KIND,…] [--open] [--smoke] [--no-peers] [--no-write]`);
		}
	}
	const unknown = (options.only ?? []).find((name) => !names.includes(name));
	if (unknown) {
		throw new Error(`there is no measure '${unknown}': ${names.join(' ')}`);
	}
	if (options.smoke) {
		options.rounds = 1;
		options.seconds = 1;
	}
	return options;
}
