// The page: who is signed in, where they can be reached, and what they are sent.
import { Restsip } from './restsip.js';
const $ = (id) => document.getElementById(id);
const api = new Restsip();
let stop = () => {};

const item = (list, text, note) => {
	const li = document.createElement('li');
	li.textContent = text + ' ';
	const span = document.createElement('span');
	span.className = 'quiet';
	span.textContent = note;
	li.append(span);
	list.prepend(li);
	return span;
};
const attempt = async (work) => {
	$('error').textContent = '';
	try { await work(); } catch (error) { $('error').textContent = error.message; }
};
const contacts = (list) => {
	$('contacts').replaceChildren();
	if (!list.length) item($('contacts'), 'Nowhere but here.', 'Register a phone to change that.');
	for (const c of list) item($('contacts'), c.contact || (c.source === 'publish' ? 'presence only' : 'this page'), `${c.source}${c.expires_at ? ', until ' + new Date(c.expires_at).toLocaleTimeString() : ''}`);
};
// After a crash a message may come once more: nobody could say that it had been here.
const seen = new Set();
const isNew = ({ id }) => seen.size !== seen.add(id).size;
const connections = { open: 'Connected.', lost: 'Connection lost; trying again…', closed: 'Not connected any more: sign in again.' };
const enter = async (email, password) => {
	await api.signIn(email, password);
	$('me').textContent = email;
	$('door').hidden = true;
	document.querySelector('main').hidden = false;
	stop = api.watch('/login/me', ({ event, data }) => {
		if (event === 'state' || event === 'change') contacts(data);
		if (event === 'message' && isNew(data)) item($('messages'), data.body ?? '(binary)', `from ${data.from}, ${new Date(data.sent_at).toLocaleTimeString()}`);
	}, { connection: (state) => { $('connection').textContent = connections[state]; } });
};

$('door').addEventListener('submit', (event) => {
	event.preventDefault();
	attempt(() => enter(event.target.email.value, event.target.password.value));
});
$('join').addEventListener('click', () => attempt(async () => {
	const form = $('door');
	if (!form.reportValidity()) return;
	await api.signUp(form.email.value, form.password.value);
	await enter(form.email.value, form.password.value);
}));
$('leave').addEventListener('click', () => attempt(async () => {
	stop();
	await api.signOut();
	location.reload();
}));
$('send').addEventListener('submit', (event) => {
	event.preventDefault();
	attempt(async () => {
		const form = event.target;
		const sent = await api.send(form.to.value, form.text.value);
		const note = item($('messages'), form.text.value, `to ${sent.to}: ${sent.status}`);
		form.text.value = '';
		const end = api.watch(sent.url, ({ event: what, data }) => {
			if (what !== 'state' && what !== 'change') return;
			note.textContent = `to ${data.to}: ${data.status}`;
			if (['delivered', 'displayed', 'accepted', 'failed', 'cancelled'].includes(data.status)) end();
		});
	});
});
