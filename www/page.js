/**
 * The page: signs in, opens conversations by the address, and joins the list, the transcript and the composer.
 * @module
 */

import { Chat } from './chat.js';
import { Composer } from './composer.js';
import { ConversationList } from './list.js';
import { Connection, SluiceApi } from './sluice.js';
import { Follower, Speaker } from './transcript.js';

const byId = (id) => document.getElementById(id);

const api = new SluiceApi();
const speaker = new Speaker(byId('speaker'));
const follower = new Follower(byId('scroller'), byId('latest'));
const list = new ConversationList(byId('conversations'), api, confirmDelete);
/** Tells the other tabs of this browser what has changed in the list. */
const siblings = new BroadcastChannel('sluice');
const COMPLAINT_MS = 8_000;
/** When to look again for a server that did not answer. */
const AGAIN_MS = 3_000;
/** Most breaks of the connection mend before it is worth telling of them. */
const CALM_MS = 700;
const REFRESH_MS = 2_000;
const narrow = matchMedia('(max-width: 760px)');

/** Chats with a turn under way keep it while another one is open. */
const busy = new Set();
/** Of these, the ones whose turn the list and the other tabs know of. */
const announced = new Set();
let connection = null;
let gateTimer = 0;
let linkTimer = 0;
let cutTimer = 0;
let complaintTimer = 0;
let refreshedAt = 0;
let refreshTimer = 0;
let chat = null;

const composer = new Composer({
	onSend(text) {
		chat.send(text);
		follower.toEnd();
	},
	onStop: () => chat.stop(),
	onGrow: () => follower.grown(),
});

const env = {
	api,
	speaker,
	get connection() {
		return connection;
	},
	onGrow: () => follower.grown(),
	onChange: chatChanged,
	onGone(gone) {
		list.remove(gone.id);
		updateComposer();
	},
	onMove(text) {
		newChat();
		if (text) {
			chat.send(text);
		}
	},
	onStarter: (text) => composer.fill(text),
	model: () => composer.model,
};

/* Signing in and out. */

async function start() {
	clearTimeout(gateTimer);
	let refused = false;
	const token = takeToken();
	try {
		if (token) {
			// A used address may still find the session that it once began.
			await api.signIn(token).catch((error) => {
				refused = error.status === 401;
				if (!refused) {
					throw error;
				}
			});
		}
		enter((await api.session()).user);
	} catch (error) {
		showGate(error.status === 401 ? (refused ? 'refused' : 'stranger') : 'unreachable', error);
	}
}

/** Takes the one-time token out of the address, so that it stays in no history and on no screen. */
function takeToken() {
	const match = /^#signin=(.+)$/.exec(location.hash);
	if (match) {
		history.replaceState(null, '', location.pathname);
	}
	return match ? decodeURIComponent(match[1]) : null;
}

function showGate(reason, error) {
	const texts = {
		stranger: ['You are not signed in', 'Ask whoever runs this server for a sign-in address, or print one on the server itself:'],
		refused: ['This address no longer works', 'A sign-in address works once, and only for a while. Ask for a new one, or print one on the server itself:'],
		unreachable: ['The server does not answer', error?.status ? error.message : 'It may be starting, or your network may be down.'],
	};
	const [title, text] = texts[reason];
	byId('gate-title').textContent = title;
	byId('gate-text').textContent = text;
	byId('gate-command').hidden = byId('gate-hint').hidden = reason === 'unreachable';
	byId('gate-retry').hidden = reason !== 'unreachable';
	if (reason === 'unreachable') {
		gateTimer = setTimeout(start, AGAIN_MS);
	}
	document.title = 'sluice';
	byId('app').hidden = true;
	byId('gate').hidden = false;
}

function enter(user) {
	byId('user-name').textContent = user.name;
	byId('user-initial').textContent = user.name.slice(0, 1).toUpperCase();
	byId('gate').hidden = true;
	byId('app').hidden = false;
	connection?.close();
	forget();
	connection = new Connection({ api, onState: linkChanged, onError: (error) => complain(error.message) });
	composer.restore(user.id);
	composer.loadModels(api);
	list.load().catch(() => {}).then(openFromAddress);
}

function leave(reason) {
	connection?.close();
	connection = null;
	forget();
	showGate(reason);
}

/** Chats belong to a connection, and to who was signed in. */
function forget() {
	chat = null;
	busy.clear();
	announced.clear();
	byId('scroller').replaceChildren();
}

async function signOut() {
	await api.signOut().catch(() => {});
	composer.clear();
	history.replaceState(null, '', location.pathname);
	leave('stranger');
}

/* Conversations. */

/** The id of the conversation that the address names; empty for a new one. */
function addressed() {
	return decodeURIComponent(/^#c=(.+)$/.exec(location.hash)?.[1] ?? '');
}

/** Opens what the address names. */
async function openFromAddress() {
	const id = addressed();
	if (chat && chat.id === (id || null)) {
		return;
	}
	const running = [...busy].find((other) => other.id === id);
	if (!id || running) {
		open(running ?? new Chat(env, null));
		return;
	}
	const conversation = await list.find(id).catch(() => null);
	if (addressed() !== id) {
		return;
	}
	const opened = new Chat(env, conversation ?? { id });
	open(opened);
	await opened.load();
	if (chat === opened) {
		follower.toEnd();
	}
}

function open(next) {
	const before = chat;
	chat = next;
	if (before && before !== next && !before.busy) {
		before.leave();
	}
	byId('scroller').replaceChildren(chat.element);
	chatChanged(chat);
	list.mark(chat.id);
	follower.toEnd();
	drawer(false);
	if (!narrow.matches) {
		composer.focus();
	}
}

function newChat() {
	history.pushState(null, '', location.pathname);
	open(new Chat(env, null));
	composer.focus();
}

/** A chat has begun or ended a turn, or got its id. */
function chatChanged(changed) {
	const begun = changed.busy && changed.id && !announced.has(changed);
	changed.busy ? busy.add(changed) : busy.delete(changed);
	if (begun) {
		list.touch(changed.id, changed.title);
		siblings.postMessage({});
		announced.add(changed);
	} else if (!changed.busy) {
		announced.delete(changed);
	}
	if (changed !== chat) {
		if (!changed.busy) {
			changed.leave();
		}
		return;
	}
	const title = chat.title || 'New chat';
	byId('title').textContent = title;
	document.title = chat.title ? `${title} · sluice` : 'sluice';
	// An address that names another one is where the reader is about to go: the event that says so is on its way.
	if (chat.id && !addressed()) {
		history.replaceState(null, '', `#c=${chat.id}`);
		list.mark(chat.id);
	}
	updateComposer();
}

function updateComposer() {
	const connected = connection?.state === 'open';
	composer.update({ stoppable: chat?.busy ?? false, ready: connected && (chat?.ready ?? false) });
}

function confirmDelete(conversation) {
	byId('delete-name').textContent = conversation.title || 'Untitled';
	const dialog = byId('delete-dialog');
	byId('delete-yes').onclick = () => {
		dialog.close();
		remove(conversation);
	};
	dialog.showModal();
}

async function remove(conversation) {
	try {
		await api.deleteConversation(conversation.id);
	} catch (error) {
		if (error.status !== 404) {
			complain(`Not deleted: ${error.message}`);
			return;
		}
	}
	list.remove(conversation.id);
	siblings.postMessage({ deleted: conversation.id });
	speaker.say('Deleted.');
	if (chat.id === conversation.id) {
		newChat();
	}
	composer.focus();
}

/* The connection, as the reader sees it. */

function linkChanged(state, detail) {
	clearInterval(linkTimer);
	if (state === 'signed-out') {
		leave('stranger');
		return;
	}
	if (state === 'open') {
		clearTimeout(cutTimer);
		cutTimer = 0;
		composer.update({ cut: false });
		showLink('open', '');
		refreshList();
	} else if (state === 'connecting') {
		showLink('connecting', 'Connecting');
	} else if (state === 'waiting') {
		const tick = () => {
			const seconds = Math.max(1, Math.ceil((detail.retryAt - Date.now()) / 1000));
			showLink('waiting', navigator.onLine ? `Reconnecting in ${seconds} s` : 'You are offline');
		};
		linkTimer = setInterval(tick, 1000);
		tick();
	} else if (detail.code !== 1000) {
		showLink('closed', detail.reason || 'The server closed the connection');
	}
	if (state === 'waiting' || state === 'closed') {
		cutTimer ||= setTimeout(() => composer.update({ cut: true }), CALM_MS);
	}
	byId('link-retry').hidden = state !== 'waiting' && state !== 'closed';
	updateComposer();
}

function showLink(state, text) {
	byId('link').dataset.state = state;
	if (byId('link-text').textContent !== text) {
		byId('link-text').textContent = text;
	}
}

/** Tells of something that went wrong beside the conversation, for a while. */
function complain(text) {
	showLink('trouble', text);
	clearTimeout(complaintTimer);
	complaintTimer = setTimeout(() => byId('link').dataset.state === 'trouble' && showLink('open', ''), COMPLAINT_MS);
}

/** The reader is back, or the network: nothing that stood open meanwhile is to be trusted. */
function wake() {
	if (document.visibilityState === 'visible') {
		connection?.wake();
		refreshList();
	}
}

/** Soon, and not again and again. */
function refreshList() {
	refreshTimer ||= setTimeout(() => {
		refreshTimer = 0;
		refreshedAt = Date.now();
		connection && list.refresh();
	}, Math.max(0, refreshedAt + REFRESH_MS - Date.now()));
}

siblings.onmessage = ({ data }) => {
	if (!connection) {
		return;
	}
	if (data.deleted) {
		list.remove(data.deleted);
		[chat, ...busy].find((open) => open?.id === data.deleted)?.wasDeleted();
	} else {
		refreshList();
	}
};

/* The drawer: on a narrow screen the list comes and goes. */

function drawer(shown) {
	document.body.classList.toggle('drawer-open', shown && narrow.matches);
	byId('sidebar').inert = narrow.matches && !shown;
	byId('stage').inert = narrow.matches && shown;
	byId('menu').setAttribute('aria-expanded', String(shown));
}

byId('menu').addEventListener('click', () => {
	drawer(true);
	byId('new-chat').focus();
});
byId('scrim').addEventListener('click', () => drawer(false));
narrow.addEventListener('change', () => drawer(false));
drawer(false);

byId('new-chat').addEventListener('click', newChat);
byId('new-chat-small').addEventListener('click', newChat);
byId('sign-out').addEventListener('click', signOut);
byId('gate-retry').addEventListener('click', start);
byId('link-retry').addEventListener('click', () => connection?.wake());
byId('delete-no').addEventListener('click', () => byId('delete-dialog').close());

document.addEventListener('keydown', (event) => {
	if (event.key !== 'Escape' || event.defaultPrevented || byId('delete-dialog').open) {
		return;
	}
	if (document.body.classList.contains('drawer-open')) {
		drawer(false);
		byId('menu').focus();
	} else {
		chat?.stop();
	}
});
addEventListener('hashchange', () => (location.hash.startsWith('#signin=') ? start() : chat && openFromAddress()));
addEventListener('popstate', () => chat && !location.hash && openFromAddress());
addEventListener('online', wake);
addEventListener('offline', wake);
addEventListener('focus', refreshList);
addEventListener('pageshow', (event) => event.persisted && wake());
document.addEventListener('visibilitychange', wake);

start();
