// One softphone of one account: its stream, its views, and what is shown of them.
import { el, button, problem } from './dom.js';
import { Live } from './live.js';
import { People } from './people.js';
import { Chat } from './chat.js';
import { Calls } from './calls.js';
import { Past } from './past.js';
import { Mail } from './mail.js';
import { Device } from './device.js';
import { Meet } from './meet.js';
import { Drawer } from './drawer.js';

const VIEWS = { chat: 'Contacts', past: 'Calls', mail: 'Voice mail', meet: 'Meetings', device: 'Phones' };
const CONNECTION = {
	open: 'Connected',
	lost: 'Connection lost; trying again…',
	closed: 'Signed out by the server: sign in again',
};
const CALL = /^\/call\/\d+$/;
const SAID_MS = 8000;
const HEARD = 200;

export class Phone {
	#heard = new Set();

	/** @param api  signed in. @param leave  called when it signs out */
	constructor(api, leave) {
		this.api = api;
		this.email = api.email;
		this.status = el('span', { className: 'connection', role: 'status' }, 'Connecting…');
		this.error = el('p', { className: 'error bad', role: 'alert', hidden: true });
		this.drawer = new Drawer(this);
		this.live = new Live(api, (state) => this.#connection(state));
		api.follow = (url, options) => this.live.events(url, options);
		this.people = new People(this);
		this.chat = new Chat(this);
		this.calls = new Calls(this);
		this.past = new Past(this);
		this.mail = new Mail(this);
		this.meet = new Meet(this);
		this.device = new Device(this);
		this.tabs = Object.fromEntries(Object.entries(VIEWS).map(([name, text]) => [name, button(text, () => this.show(name === 'chat' ? 'people' : name), { 'data-view': name })]));
		this.element = el('div', { className: 'phone', role: 'group', 'aria-label': this.email },
			el('header', { className: 'top' }, el('h1', { className: 'me' }, this.email), this.status,
				button('What just happened', () => this.drawer.toggle(), { className: 'quiet' }),
				button('Sign out', async () => {
					const left = this.people.leave();
					this.close();
					await left;
					await this.api.signOut().catch(() => {});
					leave();
				}, { className: 'quiet' })),
			this.calls.element, this.error,
			this.body = el('div', { className: 'body' }, el('nav', { 'aria-label': `Views of ${this.email}` }, ...Object.values(this.tabs)), this.people.element,
				...Object.keys(VIEWS).map((name) => this[name].element), this.drawer.element));
		this.show('people');
	}

	async start() {
		this.past.start();
		this.mail.start();
		this.meet.start();
		await this.attempt(() => this.people.start());
		await this.attempt(() => this.calls.find());
	}

	/** A view; `people` is the list of contacts alone, where there is no room for both. */
	show(view) {
		const name = view === 'people' ? 'chat' : view;
		this.body.classList.toggle('alone', view === 'people');
		for (const one of Object.keys(VIEWS)) {
			this[one].element.hidden = one !== name;
			this.tabs[one].setAttribute('aria-current', String(one === name));
		}
		if (name === 'device') this.device.show();
		if (name === 'past') this.past.seen();
		if (name === 'meet') this.meet.seen();
	}

	isShown(name) {
		return !this[name].element.hidden && document.visibilityState === 'visible';
	}

	badge(name, n) {
		this.tabs[name].textContent = n ? `${VIEWS[name]} (${n})` : VIEWS[name];
	}

	/** A message: an invitation, another command, or what somebody writes. */
	inbox(message) {
		if (this.#heard.has(message.id)) return; // a crash of the server may send it once more
		this.#heard.add(message.id);
		if (this.#heard.size > HEARD) this.#heard.delete(this.#heard.values().next().value);
		const { command, meeting, digits, reason, url } = message.json || {};
		// What names anything else is a text: nobody has this page ask for a path, or a site, of their choice.
		if (command && !CALL.test(url)) this.chat.take(message);
		else if (command === 'invite' && meeting) this.meet.asked(message);
		else if (command === 'invite') this.attempt(() => this.calls.take(message));
		else if (command === 'cancel') this.calls.withdrawn(message);
		else if (command === 'reject') return; // the call's own stream says so
		else if (command === 'dtmf') this.chat.note(message.from, `Pressed ${digits}`);
		else if (command) this.chat.note(message.from, reason ? `${command}: ${reason}` : command);
		else this.chat.take(message);
	}

	/** What fails is said, in words. */
	async attempt(work) {
		this.error.hidden = true;
		try {
			return await work();
		} catch (error) {
			this.error.textContent = problem(error);
			this.error.hidden = false;
			clearTimeout(this.saying);
			this.saying = setTimeout(() => { this.error.hidden = true; }, SAID_MS);
			return false;
		}
	}

	#connection(state) {
		if (state === this.state) return; // it was only opened anew
		const isBack = state === 'open' && this.state === 'lost';
		this.state = state;
		this.status.textContent = isBack ? 'Connected again' : CONNECTION[state];
		this.status.classList.toggle('bad', state !== 'open');
		if (isBack) this.attempt(() => this.people.back());
	}

	close() {
		this.live.close();
		this.calls.close();
		this.meet.close();
		for (const what of ['chat', 'call', 'login', 'meet']) this.api.store.removeItem(`${this.api.name}.${what}`);
		this.element.remove();
	}
}
