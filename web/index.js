// The page: the door, and behind it one softphone, or two beside each other to try it alone.
import { Restsip } from './restsip.js';
import { Phone } from './phone.js';
import { button, problem } from './dom.js';

const $ = (id) => document.getElementById(id);
const NAMES = ['restsip', 'restsip.beside'];
const open = new Map();

function enter(api) {
	const phone = new Phone(api, () => {
		open.delete(api.name);
		look();
	});
	open.set(api.name, phone);
	$('phones')[api.name === NAMES[0] ? 'prepend' : 'append'](phone.element);
	look();
	return phone.start();
}

/** The door is there while nobody has come in, once that is known; a place beside them while one has. */
function look() {
	$('front').hidden = open.size > 0;
	$('door').hidden = false;
	document.body.classList.toggle('two', open.size > 1);
	$('error').textContent = '';
}

async function attempt(work) {
	$('error').textContent = '';
	try {
		await work();
	} catch (error) {
		$('error').textContent = problem(error);
	}
}

async function signIn({ email, password }, name = NAMES[0]) {
	const api = new Restsip('', { name });
	await api.signIn(email, password);
	await enter(api);
}

$('door').addEventListener('submit', (event) => {
	event.preventDefault();
	const { email, password } = Object.fromEntries(new FormData(event.target));
	attempt(async () => {
		if (event.submitter?.id === 'join') await new Restsip('', { name: 'restsip.new' }).signUp(email, password);
		await signIn({ email, password });
		event.target.reset();
	});
});

/** The demo accounts, where this is a demo: two people talk at once. */
async function offerDemo() {
	const answer = await fetch('/demo.json');
	if (!answer.ok) return;
	const { accounts: [one, other] } = await answer.json();
	const start = button('Try it as alice, and as bob beside her', () => attempt(async () => {
		await Promise.all([signIn(one), signIn(other, NAMES[1])]);
		open.get(NAMES[1])?.people.pick(one.email);
		open.get(NAMES[0])?.people.pick(other.email);
		await open.get(NAMES[0])?.chat.send('Hello, bob! Write back, or call me.');
	}), { className: 'go', id: 'try' });
	$('demo').append(start);
	$('demo').hidden = false;
}

const kept = await Promise.all(NAMES.map(async (name) => {
	const api = new Restsip('', { name });
	return await api.resume().catch(() => null) && api;
}));
for (const api of kept.filter(Boolean)) enter(api);
look();
await offerDemo();
